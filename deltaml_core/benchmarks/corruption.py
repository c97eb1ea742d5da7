"""What corrupted data earn: our shares beside Shapley values with every coalition retrained, in the clear.

Nine owners hold consecutive 50-row shards of the diabetes data (the last one 42 rows), the second, eighth and ninth validate. Shares
do not depend on encryption, so the integers are computed unencrypted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sklearn.datasets import load_diabetes

from deltaml_core import models, schemes
from deltaml_core.attacks.poisoning import ScalingTrainer
from deltaml_core.benchmarks.measure import Measurement
from deltaml_core.benchmarks.seats import seated
from deltaml_core.contributions import shares
from deltaml_core.statistics import Array, Dataset, Statistics

OWNERS, ROWS = 9, 50
VALIDATORS = (1, 7, 8)
ROUNDS, STEP = 300, 1.5
KEY_BITS = 2048
UNIT = "share"
CORRUPTED = 3
TINY_ROWS = 5
SEED = 3
"""Of what is drawn. Not every draw is useless: one shuffle of 50 labels in eight keeps by chance a slope that helps, and earns for it."""

POISON_FACTOR = 10

Shards = list[tuple[Array, Array]]
Corruption = Callable[[Shards, int], Shards]


def nine_owners() -> Shards:
    """Consecutive shards."""
    X, y = load_diabetes(return_X_y=True)
    return [(X[start : start + ROWS], y[start : start + ROWS]) for start in range(0, OWNERS * ROWS, ROWS)]


def shuffled_labels(shards: Shards, owner: int, seed: int = SEED) -> Shards:
    """The owner's targets belong to other rows of its own."""
    X, y = shards[owner]
    return _replaced(shards, owner, X, np.random.default_rng((owner, seed)).permutation(y))


def random_features(shards: Shards, owner: int, seed: int = SEED) -> Shards:
    """Its features are drawn at random, as wide as real ones."""
    X, y = shards[owner]
    return _replaced(shards, owner, np.random.default_rng((owner, seed)).normal(0, X.std(), X.shape), y)


def constant_target(shards: Shards, owner: int) -> Shards:
    """Its targets all are their mean."""
    X, y = shards[owner]
    return _replaced(shards, owner, X, np.full_like(y, y.mean()))


def duplicated(shards: Shards, owner: int) -> Shards:
    """A tenth owner brings its rows once more."""
    return [*shards, shards[owner]]


def tiny(shards: Shards, owner: int) -> Shards:
    """It has a few rows only."""
    X, y = shards[owner]
    return _replaced(shards, owner, X[:TINY_ROWS], y[:TINY_ROWS])


USELESS: tuple[Corruption, ...] = (shuffled_labels, random_features, constant_target)
"""What earns nothing."""


@dataclass(frozen=True)
class Outcome:
    """A training.

    Attributes:
        shares: by trainer's index.
        mse: of the final model.
        left_out: indices of trainers that were left out.
    """

    shares: dict[int, float]
    mse: float
    left_out: list[int]


def run(
    shards: Shards,
    validators: Sequence[int] = VALIDATORS,
    *,
    rounds: int = ROUNDS,
    local_steps: int = 1,
    robust: bool = False,
    poisoner: int | None = None,
    factor: int = POISON_FACTOR,
    since: int = 1,
) -> Outcome:
    """A training with all its messages; a `poisoner` multiplies its updates by `factor` from round `since` on.

    Shares come of solo models, which are the same however the steps are spread over rounds.
    """
    disguises = {} if poisoner is None else {poisoner: lambda party, honest: ScalingTrainer(party, honest, factor, since)}
    key = schemes.generate("plain", KEY_BITS)
    terms = {"rounds": rounds, "local_steps": local_steps, "step": STEP, "evaluate_every": rounds, "robust": robust}
    table = seated(shards, validators, key, disguises=disguises, **terms)
    table.session.run()
    aggregator = table.session.aggregator
    return Outcome(
        {table.owners.index(owner): share for owner, share in zip(aggregator.gains, shares(list(aggregator.gains.values())), strict=True)},
        aggregator.history[-1][1].mse,
        [table.owners.index(owner) for owner in aggregator.left_out],
    )


def our_shares(shards: Shards, validators: Sequence[int] = VALIDATORS, rounds: int = ROUNDS) -> dict[int, float]:
    """Shares by index, with all steps taken in one round."""
    return run(shards, validators, rounds=1, local_steps=rounds).shares


def retrained_shares(shards: Shards, validators: Sequence[int] = VALIDATORS, rounds: int = ROUNDS) -> dict[int, float]:
    """Shapley shares by index, with every coalition trained from the start."""
    statistics = [Statistics.of(Dataset.of(X, y)) for X, y in shards]
    judges = [statistics[index] for index in validators]
    trainers = [index for index in range(len(shards)) if index not in validators]
    maps = {index: models.local_steps(statistics[index], STEP, 1) for index in trainers}
    zero = np.zeros(len(judges[0].b))
    mean = zero.copy()
    mean[-1] = sum(statistics[index].target_sum for index in trainers) / sum(statistics[index].rows for index in trainers)
    errors: dict[tuple[int, ...], float] = {(): models.mean_squared_error(judges, mean)}
    for size in range(1, len(trainers) + 1):
        for coalition in combinations(trainers, size):
            M, v = (np.mean([getattr(maps[index], part) for index in coalition], axis=0) for part in ("M", "v"))
            errors[coalition] = models.mean_squared_error(judges, models.power(models.AffineMap(M, v), rounds)(zero))
    values = []
    for trainer in trainers:
        others = [index for index in trainers if index != trainer]
        value = 0.0
        for size in range(len(trainers)):
            weight = math.factorial(size) * math.factorial(len(trainers) - size - 1) / math.factorial(len(trainers))
            value += weight * sum(errors[c] - errors[tuple(sorted((*c, trainer)))] for c in combinations(others, size))
        values.append(max(0.0, value))
    total = sum(values)
    return {trainer: value / total if total else 0.0 for trainer, value in zip(trainers, values, strict=True)}


def corruption_table(progress: Callable[[str], None]) -> list[Measurement]:
    """What the corrupted owner earns in each scenario, and what a poisoned update does to the final error."""
    progress("corrupted owners")
    shards, owner = nine_owners(), CORRUPTED
    honest, single = our_shares(shards), retrained_shares(shards)
    table = [_share("honest", honest[owner], single[owner], f"owner {owner + 1} of nine, nobody corrupted")]
    for corrupt in (*USELESS, tiny):
        spoilt = corrupt(shards, owner)
        described = " ".join(str(corrupt.__doc__).split()).rstrip(".")
        found, expected = our_shares(spoilt)[owner], retrained_shares(spoilt)[owner]
        table.append(_share(corrupt.__name__, found, expected, described[0].lower() + described[1:]))
    twice = duplicated(shards, owner)
    found, expected = (sum(each[index] for index in (owner, len(shards))) for each in (our_shares(twice), retrained_shares(twice)))
    how = f"both of a pair; {found / honest[owner]:.2f} times the single share: sybils pay off"
    table.append(_share("duplicated_pair", found, expected, how))
    progress("a poisoned update")
    rest = [shard for index, shard in enumerate(shards) if index != owner]
    without = run(rest, [index - (index > owner) for index in VALIDATORS])
    poisoned = run(shards, robust=True, poisoner=owner)
    how = f"final error with an update scaled by {POISON_FACTOR} under robust=True, against the run without its trainer"
    return [*table, Measurement("robust_final_mse", poisoned.mse, "MSE", KEY_BITS, without.mse, how)]


def _share(name: str, found: float, expected: float, how: str) -> Measurement:
    return Measurement(f"share_{name}", found, UNIT, KEY_BITS, expected, how)


def _replaced(shards: Shards, owner: int, X: Array, y: Array) -> Shards:
    return [*shards[:owner], (X, y), *shards[owner + 1 :]]
