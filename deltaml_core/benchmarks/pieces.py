"""The paper's set-up (T§8), and what the pieces of a training of ours cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.datasets import load_diabetes

from deltaml_core import schemes
from deltaml_core.benchmarks.baseline_2019 import ROUNDS_BETWEEN_REFRESHES
from deltaml_core.benchmarks.measure import Ledger
from deltaml_core.benchmarks.seats import seated
from deltaml_core.messages import AskMasks, Masks, OpenedMasked, OpenMasked, Train, TrainAlone, Update
from deltaml_core.schedule import Kind, schedule
from deltaml_core.statistics import Array, Dataset

OWNERS, ROWS_EACH = 5, 50


@dataclass(frozen=True)
class Setup:
    """A training both ways can run.

    Attributes:
        shards: `(X, y)` of every owner, without intercept column.
        validators: indices of those who measure.
        rounds: rounds of training, an even number.
        step: length of a gradient step.
        key_bits: length of the modulus.
        cycles: how many times two rounds, a measurement and a refresh of 2019 are run.
    """

    shards: Sequence[tuple[Array, Array]]
    validators: tuple[int, ...]
    rounds: int
    step: float
    key_bits: int
    cycles: int

    @classmethod
    def paper(cls, key_bits: int, cycles: int) -> Setup:
        """Owners 1 to 5 hold 50 rows each of the diabetes data, the second validates."""
        X, y = load_diabetes(return_X_y=True)
        cuts = [slice(ROWS_EACH * owner, ROWS_EACH * (owner + 1)) for owner in range(OWNERS)]
        return cls([(X[cut], y[cut]) for cut in cuts], (1,), 100, 1.5, key_bits, cycles)

    def with_validators_of(self, rows: int) -> Setup:
        """The same with validators of so many rows each, drawn from all with replacement."""
        X, y = (np.concatenate(part) for part in zip(*self.shards, strict=True))
        drawn = [np.random.default_rng(index).integers(len(y), size=rows) for index in range(len(self.shards))]
        shards = [(X[drawn[i]], y[drawn[i]]) if i in self.validators else shard for i, shard in enumerate(self.shards)]
        return replace(self, shards=shards)

    @property
    def trainers(self) -> list[int]:
        """Indices of those who train."""
        return [index for index in range(len(self.shards)) if index not in self.validators]

    def datasets(self) -> list[Dataset]:
        """Every owner's data."""
        return [Dataset.of(X, y) for X, y in self.shards]


@dataclass(frozen=True)
class Pieces:
    """CPU seconds of the pieces of ours.

    Attributes:
        round, metric, refresh, contributions: of one each; contributions of the whole run.
        refreshes: in a whole run.
    """

    round: float
    metric: float
    refresh: float | None
    contributions: float
    refreshes: int


def pieces(setup: Setup, most_rounds: int) -> Pieces:
    """Train for so many rounds at most, and book every message under what it is for."""
    rounds = min(setup.rounds, most_rounds)
    key = schemes.generate("paillier", setup.key_bits)
    table = seated(setup.shards, setup.validators, key, rounds=rounds, step=setup.step, evaluate_every=ROUNDS_BETWEEN_REFRESHES)
    transport = table.session.transport

    def purpose(kind: str) -> str:
        if kind in (AskMasks.kind, Masks.kind, OpenMasked.kind, OpenedMasked.kind):
            return "refresh"
        if transport.sent[TrainAlone.kind]:
            return "contributions"
        return "round" if kind in (Train.kind, Update.kind) else "metric"

    ledger = Ledger(purpose)
    ledger.run(transport)
    refreshes = transport.sent[OpenMasked.kind]
    steps = schedule(replace(table.terms, rounds=setup.rounds), key.public.capacity)
    return Pieces(
        ledger.seconds["round"] / rounds,
        ledger.seconds["metric"] / (1 + rounds // ROUNDS_BETWEEN_REFRESHES),
        ledger.seconds["refresh"] / refreshes if refreshes else None,
        ledger.seconds["contributions"],
        sum(step.kind is Kind.REFRESH for step in steps),
    )
