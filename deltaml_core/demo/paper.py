"""The thesis's experiment (T§8) as a market: its data, its terms, its validator."""

from __future__ import annotations

from pathlib import Path

from deltaml_core.chain.ganache import GanacheProcess
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo.market import ETHER, Market, OnEvent, Participant
from deltaml_core.statistics import Column, Dataset, Requirements
from deltaml_core.terms import TrainingTerms

DATA = Path(__file__).resolve().parents[2] / "data" / "diabetes"
FEATURES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
PAPER_REQUIREMENTS = Requirements(
    features=tuple(Column(name, -0.2, 0.2) for name in FEATURES), target=Column("progression", 25.0, 346.0), minimum_rows=20
)
PAPER_VALIDATOR = 1
"""The thesis's second owner validates, the other four train (T§8)."""

GAS_MONEY_WEI = 10 * ETHER
"""What every participant of the demo begins with."""


def paper_terms(*, rounds: int = 100, key_bits: int = 2048, metrics: str = "verifiable", step: float = 1.5) -> TrainingTerms:
    """The thesis's training; `metrics="noise"` measures as the thesis did, which compares no coalitions but those with one trainer less."""
    rule = "leave_one_out" if metrics == "noise" else "shapley"
    return TrainingTerms(PAPER_REQUIREMENTS, rounds=rounds, step=step, key_bits=key_bits, metrics=metrics, contributions=rule)


def paper_market(ganache: GanacheProcess, marketplace: Marketplace, on_event: OnEvent = lambda event: None) -> Market:
    """A buyer, an aggregator and the paper's five owners, each with a new wallet and ether for gas (the buyer for its escrow too)."""
    owners = [
        Participant(path.stem.replace("_", "-"), Wallet.create(), Dataset.from_csv(path, "progression"))
        for path in sorted(DATA.glob("owner_*.csv"))
    ]
    market = Market(
        ganache, marketplace, Participant("buyer", Wallet.create()), Participant("aggregator", Wallet.create()), owners, on_event
    )
    for participant in (market.buyer, market.aggregator, *owners):
        ganache.fund(participant.address, GAS_MONEY_WEI)
    return market
