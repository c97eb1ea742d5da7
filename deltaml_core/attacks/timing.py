"""A trainer's data by the stopwatch: how long its answers take, with and without the work that hides it (`schemes/levelling.py`).

    who attacks     whoever sees when messages come and go: the aggregator, the network, another user of the machine
    what it sees    the time from a `train` to its `update`, in every round
    what it learns  how large the entries of the owner's map M are, which follow from its Gram matrix: how widely its features spread

`python -m deltaml_core.attacks.timing` prints the figures of docs/threat-model.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from deltaml_core import fixedpoint, models, schemes
from deltaml_core.schemes.base import LinearMap
from deltaml_core.schemes.levelling import LevelMatrix, Work, public_matrix
from deltaml_core.schemes.multiexp import ExponentMatrix
from deltaml_core.schemes.paillier import PaillierPublicKey
from deltaml_core.statistics import Dataset, Statistics

FEATURES, ROWS, TRAINERS, STEP, BITS = 10, 50, 4, 0.5, 28
SPREADS = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""How widely the features of the watched owners spread: their standard deviation, where the terms allow three times 1."""


@dataclass(frozen=True)
class Watched:
    """One owner, watched in many rounds.

    Attributes:
        spread: what the attacker wants to know.
        multiplications: that one of its answers takes.
        seconds: CPU time of such an answer, re-randomisation included; median.
    """

    spread: float
    multiplications: int
    seconds: float


def watch(public: PaillierPublicKey, spreads: Sequence[float], rounds: int, *, level: bool, seed: int = 1) -> list[Watched]:
    """One owner of every spread, watched.

    Args:
        public: the buyer's key.
        spreads: of the owners' features.
        rounds: how many answers are timed.
        level: whether owners hide their maps, as they do.
        seed: draws the rows.
    """
    vector = public.encrypt(range(FEATURES + 1))
    maps = [_map(public, spread, np.random.default_rng([seed, index]), level) for index, spread in enumerate(spreads)]
    seconds: list[list[float]] = [[] for _ in maps]
    for _ in range(rounds):  # in turn, so that whatever else the machine does falls on all alike
        for (linear, offset), laps in zip(maps, seconds, strict=True):
            begin = time.process_time()
            public.affine(linear, offset, vector)
            laps.append(time.process_time() - begin)
    return [
        Watched(spread, _multiplications(linear), median(laps)) for spread, (linear, _), laps in zip(spreads, maps, seconds, strict=True)
    ]


def correlation(watched: Sequence[Watched], *, counted: bool = False) -> float:
    """Pearson's, of the logarithm of the spread with the answer's seconds (or multiplications); 0 where these are all the same."""
    seen = np.array([one.multiplications if counted else one.seconds for one in watched])
    if np.ptp(seen) == 0:
        return 0.0
    return float(np.corrcoef(np.log([one.spread for one in watched]), seen)[0, 1])


def _map(public: PaillierPublicKey, spread: float, rng: np.random.Generator, level: bool) -> tuple[LinearMap, list[int]]:
    X = np.clip(spread * rng.normal(size=(ROWS, FEATURES)), -3, 3)
    statistics = Statistics.of(Dataset.of(X, 3 * np.tanh(X.sum(axis=1))))
    update = models.local_steps(statistics, min(STEP, models.largest_stable_step(statistics)), 1)
    matrix = [fixedpoint.encode_array(row / TRAINERS, BITS) for row in update.M]
    d = FEATURES + 1
    reference = public_matrix([[2.0**BITS / (TRAINERS * d**0.5)] * d] * d) if level else None
    return public.prepare(matrix, reference), fixedpoint.encode_array(update.v, 2 * BITS)


def _multiplications(linear: LinearMap) -> int:
    if isinstance(linear, LevelMatrix):
        return linear.work.squarings + linear.work.products
    assert isinstance(linear, ExponentMatrix)
    return Work.of(linear).squarings + Work.of(linear).products


def main() -> None:
    """Print both ways beside each other."""
    key = schemes.generate("paillier", 2048).public
    assert isinstance(key, PaillierPublicKey)
    key.rerandomise((1,))
    bare, level = (watch(key, SPREADS, 101, level=hidden) for hidden in (False, True))
    print("| spread of the features | multiplications | CPU ms | levelled: multiplications | CPU ms |\n|---|---|---|---|---|")
    for first, second in zip(bare, level, strict=True):
        left = f"| 1/{1 / first.spread:.0f} | {first.multiplications} | {1000 * first.seconds:.2f}"
        print(f"{left} | {second.multiplications} | {1000 * second.seconds:.2f} |")
    print(f"correlation with log(spread): {correlation(bare):.3f} bare, {correlation(level):.3f} levelled")


if __name__ == "__main__":
    main()
