"""Models whose gradient steps are affine (protocol.md §2): owners are their statistics, errors are `|R w - u|**2 + rho` (§5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deltaml_core import fixedpoint, models
from deltaml_core.contributions import ErrorOf, GramErrors
from deltaml_core.errors import DivergentStepError
from deltaml_core.measurement import Measurement, Metric, pairs
from deltaml_core.models import AffineMap
from deltaml_core.schemes.vectors import Keyring, Map, Vector
from deltaml_core.semihonest.units import Units
from deltaml_core.semihonest.work import Work
from deltaml_core.statistics import Array, Statistics
from deltaml_core.terms import TrainingTerms

_RANK_TOLERANCE = 1e-13
_METRIC_SCALE = 48


@dataclass(frozen=True)
class Folded:
    """A validator's statistics as `|R w - u|**2 + rho`.

    Attributes:
        R: (d, d); rows of zeros where the rows tell nothing.
        u: (d,).
        rho: what no weights explain.
    """

    R: Array
    u: Array
    rho: float

    @classmethod
    def of(cls, statistics: Statistics) -> Folded:
        """By the eigenvectors of A, which also serve fewer rows than features."""
        values, vectors = np.linalg.eigh(statistics.A)
        kept = values > _RANK_TOLERANCE * values[-1]
        roots = np.sqrt(np.where(kept, values, 0.0))
        u = np.where(kept, vectors.T @ statistics.b, 0.0) / np.where(kept, roots, 1.0)
        return cls(roots[:, None] * vectors.T, u, max(0.0, statistics.c - float(u @ u)))


class LinearWork(Work):
    """Affine updates, quadratic errors."""

    depth, round_depth, error_depth = 2, 1, 2

    def __init__(self, ring: Keyring, terms: TrainingTerms, trainers: Mapping[str, Statistics], validators: Sequence[Statistics]) -> None:
        """Every owner prepares its map.

        Raises:
            DivergentStepError: the step is too long for a trainer.
            ScaleBudgetError: the terms lead to numbers beyond the scheme's range.
        """
        units = Units.of(terms, ring.public, terms.weight_bound, terms.target_range, max(s.rows for s in validators))
        super().__init__(ring, terms, units, list(trainers), sum(s.rows for s in validators), len(trainers) + len(validators))
        self._statistics = trainers
        self._updates = updates_of(trainers, terms)
        self._maps = [self._hidden_map(update, len(trainers)) for update in self._updates.values()]
        self._folded = [Folded.of(s) for s in validators]
        self._error_maps = [
            self.vectors.prepare(folded.R * units.columns / units.target, -folded.u / units.target) for folded in self._folded
        ]

    def advance(self, weights: Vector) -> Vector:
        """Each trainer applies its share `(M w + v) / k`; the aggregator adds."""
        return self.total([self.vectors.affine(linear, weights) for linear in self._maps])

    def error(self, weights: Vector) -> float:
        """One number is opened."""
        return self._products([weights], [(0, 0)])[0] / self.rows

    def coalition_errors(self, rule: str) -> ErrorOf:
        """The Gram matrix of the trainers' solo models, which each computes from the zero model and encrypts; and the mean's error."""
        solos = [models.power(update, self.terms.rounds)(np.zeros(self.terms.weights)) for update in self._updates.values()]
        encrypted = [self.vectors.encrypt(self.units.hide(solo)) for solo in solos]
        asked = pairs(len(encrypted))
        if rule == "shapley":
            sums = {name: statistics.target_sum for name, statistics in self._statistics.items()}
            encrypted.append(self.mean_model(sums, {name: statistics.rows for name, statistics in self._statistics.items()}))
            asked = [*asked, (len(solos), len(solos))]
        opened = [fixedpoint.encode(value, 2 * _METRIC_SCALE) for value in self._products(encrypted, asked)]
        gram = Measurement(tuple(opened[: len(pairs(len(solos)))]), _METRIC_SCALE, self.rows, len(solos))
        mean = Metric(opened[-1], _METRIC_SCALE, self.rows) if rule == "shapley" else None
        return GramErrors(self.trainers, gram, mean)

    def _products(self, encrypted: Sequence[Vector], asked: Sequence[tuple[int, int]]) -> list[float]:
        """For each pair of models the sum of the products of their residuals over all validators' rows, published."""
        unit = self.units.target**2
        residuals = [[self.vectors.affine(linear, model) for model in encrypted] for linear in self._error_maps]
        opened = []
        for i, k in asked:
            parts = [
                self.vectors.shift(self.vectors.inner(mine[i], mine[k]), np.array([folded.rho / unit]))
                for mine, folded in zip(residuals, self._folded, strict=True)
            ]
            opened.append(unit * self.published(parts, self.terms.target_range**2 * self.rows / unit))
        return opened

    def _hidden_map(self, update: AffineMap, trainers: int) -> Map:
        columns = self.units.columns
        return self.vectors.prepare(update.M * columns / columns[:, None] / trainers, self.units.hide(update.v) / trainers)


def updates_of(trainers: Mapping[str, Statistics], terms: TrainingTerms) -> dict[str, AffineMap]:
    """Each trainer's round as one map.

    Raises:
        DivergentStepError: naming everybody whose data the step is too long for, with the largest step stable for all.
    """
    updates, diverging = {}, {}
    for name, statistics in trainers.items():
        try:
            updates[name] = terms.objective.update(statistics, terms.step, terms.local_steps)
        except DivergentStepError as error:
            diverging[name] = error.largest_stable_step
    if diverging:
        raise divergent(terms.step, diverging)
    return updates


def divergent(step: float, stable: Mapping[str, float]) -> DivergentStepError:
    """The error for a step that is too long for these owners, each with the longest that it bears."""
    smallest = min(stable.values())
    names = ", ".join(stable)
    return DivergentStepError(
        f"a step of {step:g} diverges on the data of {names}; the largest step stable for all trainers is {smallest:.6g}", smallest
    )
