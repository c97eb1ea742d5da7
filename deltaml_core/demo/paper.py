"""The thesis's experiment (T§8) as a market: its data, its terms, its validator."""

from __future__ import annotations

from statistics import mean

import numpy as np

from deltaml_core.chain.ganache import GanacheProcess
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo.market import Market, OnEvent, Participant
from deltaml_core.local.market import GAS_MONEY_WEI, shards
from deltaml_core.models import federated_descent, mean_squared_error
from deltaml_core.statistics import Column, Dataset, Requirements, Statistics
from deltaml_core.terms import TrainingTerms

FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
PAPER_REQUIREMENTS = Requirements(
    features=tuple(Column(name, -0.2, 0.2) for name in FEATURES), target=Column("progression", 25.0, 346.0), minimum_rows=20
)
PAPER_VALIDATOR = 1
"""The thesis's second owner validates, the other four train (T§8)."""


def paper_terms(*, rounds: int = 100, key_bits: int = 2048, metrics: str = "verifiable", step: float = 1.5) -> TrainingTerms:
    """The thesis's training; `metrics="noise"` measures as the thesis did, which compares no coalitions but those with one trainer less."""
    rule = "leave_one_out" if metrics == "noise" else "shapley"
    return TrainingTerms(PAPER_REQUIREMENTS, rounds=rounds, step=step, key_bits=key_bits, metrics=metrics, contributions=rule)


def paper_market(ganache: GanacheProcess, marketplace: Marketplace, on_event: OnEvent = lambda event: None) -> Market:
    """A buyer, an aggregator and the paper's five owners, each with a new wallet and ether for gas (the buyer for its escrow too)."""
    owners = [Participant(path.stem.replace("_", "-"), Wallet.create(), Dataset.from_csv(path, "progression")) for path in shards()]
    market = Market(
        ganache, marketplace, Participant("buyer", Wallet.create()), Participant("aggregator", Wallet.create()), owners, on_event
    )
    for participant in (market.buyer, market.aggregator, *owners):
        ganache.fund(participant.address, GAS_MONEY_WEI)
    return market


def local_mse(terms: TrainingTerms) -> float:
    """The mean error, on the validator's rows, of what each trainer reaches with its own rows only: all data are here, so it is known."""
    found = [Statistics.of(Dataset.from_csv(path, terms.requirements.target.name).select(terms.requirements)) for path in shards()]
    validator, start = found.pop(PAPER_VALIDATOR), np.zeros(terms.weights)
    alone = [federated_descent([one], start, terms.step, terms.local_steps, terms.rounds)[-1] for one in found]
    return mean(mean_squared_error([validator], weights) for weights in alone)
