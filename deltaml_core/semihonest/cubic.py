"""Logistic regression with the cubic sigmoid, where a scheme can multiply ciphertexts: owners compute on their rows.

    sigma(z) ~ 1/2 + a z + b z**3 = 1/2 + z (a - s**2 z**2)        s = sqrt(-b)
    with z' = s X w:   s (sigma - 1/2) = z' * (a - z'**2)            four products deep with the gradient `X'(sigma - y) / m`

The errors that are published are mean squared differences between y (0 or 1) and the polynomial (Brier scores). A coalition's model is
the average of its members' solo models, measured one by one: a polynomial of an average is no average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.contributions import Coalition, ErrorOf
from deltaml_core.errors import DataError, TermsError
from deltaml_core.measurement import Metric
from deltaml_core.schemes.vectors import Keyring, Vector
from deltaml_core.semihonest.linear import divergent
from deltaml_core.semihonest.units import Units
from deltaml_core.semihonest.work import Work
from deltaml_core.sigmoid import CUBIC
from deltaml_core.statistics import Array, Dataset
from deltaml_core.terms import TrainingTerms

MAXIMUM_TRAINERS = 6
"""Coalitions of more are too many to measure one by one; `contributions="leave_one_out"` takes any number."""

_ROOT = math.sqrt(-CUBIC.cube)
_LARGEST_ERROR = 1.25
"""Within the interval the polynomial lies in [-0.12, 1.12]; a larger mean of squares says that it was left."""
_ROUNDING = 1e-6
_METRIC_SCALE = 48


class CubicWork(Work):
    """Cubic updates and errors."""

    depth, round_depth, error_depth = 4, 4, 4

    def __init__(self, ring: Keyring, terms: TrainingTerms, trainers: Mapping[str, Dataset], validators: Sequence[Dataset]) -> None:
        """Every owner prepares its maps.

        Raises:
            DataError: targets other than 0 and 1.
            DivergentStepError: the step is too long for a trainer.
            ScaleBudgetError: the terms lead to numbers beyond the scheme's range.
        """
        check_labels({**trainers, **{f"validator {number}": dataset for number, dataset in enumerate(validators)}})
        bound = terms.rounds * terms.local_steps * terms.step * terms.row_norm * (_LARGEST_ERROR + 1)
        units = Units.of(terms, ring.public, bound, 1.0, max(dataset.rows for dataset in validators))
        super().__init__(ring, terms, units, list(trainers), sum(v.rows for v in validators), len(trainers) + len(validators))
        self._owners, self._judges = trainers, validators
        check_step(trainers, terms.step)
        if terms.local_steps != 1:
            raise TermsError("with the cubic sigmoid local_steps must be 1: several steps are no single polynomial of low degree")
        self._scores = [self._score_map(dataset, 1) for dataset in trainers.values()]
        self._gradients = [self._gradient_map(dataset, len(trainers)) for dataset in trainers.values()]
        self._measures = [self._score_map(dataset, 1) for dataset in validators]

    def advance(self, weights: Vector) -> Vector:
        """`w - step * mean of the trainers' gradients`."""
        steps = []
        for score, gradient in zip(self._scores, self._gradients, strict=True):
            steps.append(self.vectors.affine(gradient, self._negated(score, weights)))
        return self.vectors.add(weights, self.total(steps))

    def error(self, weights: Vector) -> float:
        """One number is opened.

        Raises:
            TermsError: the scores have left the interval.
        """
        found = self._error(weights, self._measures)
        if not -_ROUNDING <= found <= _LARGEST_ERROR:  # far beyond the interval numbers wrap around, also to negative ones
            raise TermsError(
                f"the error came to {found:.3g}: scores left [-{CUBIC.interval:g}, {CUBIC.interval:g}], where the cubic stands for the "
                "sigmoid; standardise the features, or take a shorter step or fewer rounds"
            )
        return found

    def coalition_errors(self, rule: str) -> ErrorOf:
        """Each coalition is measured when its error is asked for, and once."""
        if rule == "shapley" and len(self.trainers) > MAXIMUM_TRAINERS:
            raise TermsError(
                f"with the cubic sigmoid every coalition is measured by itself, and {len(self.trainers)} trainers have too many; "
                'choose contributions="leave_one_out"'
            )
        solos = {name: self._solo(dataset) for name, dataset in self._owners.items()}
        encrypted = {name: self.vectors.encrypt(self.units.hide(solo)) for name, solo in solos.items()}
        measures = {1: self._measures}
        found: dict[Coalition, Metric] = {}

        def error(coalition: Coalition) -> Metric:
            if coalition not in found:
                size = len(coalition)
                if size and size not in measures:
                    measures[size] = [self._score_map(dataset, size) for dataset in self._judges]
                value = self._error(self.total([encrypted[m] for m in coalition]), measures[size]) if size else self._mean_error()
                found[coalition] = Metric(fixedpoint.encode(value * self.rows, 2 * _METRIC_SCALE), _METRIC_SCALE, self.rows)
            return found[coalition]

        return error

    def _error(self, weights: Vector, measures: Sequence[Any]) -> float:
        parts = []
        for dataset, score in zip(self._judges, measures, strict=True):
            missed = self.vectors.shift(self._negated(score, weights), _ROOT * (dataset.y - 0.5))
            parts.append(self.vectors.inner(missed, missed))
        return self.published(parts, _ROOT**2 * self.rows) / _ROOT**2 / self.rows

    def _mean_error(self) -> float:
        """Of the trainers' mean: `m (mu - mean)**2 + sum (y - mean)**2` at each validator."""
        sums = {name: float(dataset.y.sum()) for name, dataset in self._owners.items()}
        mean = self.mean_model(sums, {name: dataset.rows for name, dataset in self._owners.items()})
        parts = []
        for dataset in self._judges:
            root, own = math.sqrt(dataset.rows), float(dataset.y.mean())
            row = np.append(np.zeros(self.terms.weights - 1), root) * self.units.columns
            missed = self.vectors.affine(self.vectors.prepare(row[None, :], np.array([-root * own])), mean)
            rest = float(((dataset.y - own) ** 2).sum())
            parts.append(self.vectors.shift(self.vectors.inner(missed, missed), np.array([rest])))
        return self.published(parts, self.rows) / self.rows

    def _negated(self, score: Any, weights: Vector) -> Vector:
        """`s (1/2 - sigma(X w)) = z' * (z'**2 - a)`, a row each."""
        scores = self.vectors.affine(score, weights)
        square = self.vectors.multiply(scores, scores)
        return self.vectors.multiply(scores, self.vectors.shift(square, np.full(scores.entries, -CUBIC.slope)))

    def _score_map(self, dataset: Dataset, members: int) -> Any:
        """`z' = s X w / members`."""
        return self.vectors.prepare(_ROOT / members * dataset.design() * self.units.columns, np.zeros(dataset.rows))

    def _gradient_map(self, dataset: Dataset, trainers: int) -> Any:
        X, share = dataset.design(), self.terms.step / dataset.rows / trainers
        return self.vectors.prepare(share / _ROOT * X.T / self.units.columns[:, None], self.units.hide(-share * X.T @ (0.5 - dataset.y)))

    def _solo(self, dataset: Dataset) -> Array:
        return cubic_descent([dataset], self.terms.step, self.terms.rounds)[-1]


def cubic_descent(trainers: Sequence[Dataset], step: float, rounds: int) -> list[Array]:
    """The plaintext oracle: the weights after every round, the initial zeros first."""
    weights = np.zeros(len(trainers[0].features) + 1)
    history = [weights]
    for _ in range(rounds):
        gradients = [dataset.design().T @ (CUBIC(dataset.design() @ weights) - dataset.y) / dataset.rows for dataset in trainers]
        weights = weights - step * np.mean(gradients, axis=0)
        history.append(weights)
    return history


def check_step(trainers: Mapping[str, Dataset], step: float) -> None:
    """Refuse a step beyond `2 / (a lambda_max(A / m))`: within the interval the polynomial is nowhere steeper than at 0.

    Raises:
        DivergentStepError: naming the trainers.
    """
    stable = {}
    for name, dataset in trainers.items():
        X = dataset.design()
        longest = 2 / (CUBIC.slope * float(np.linalg.eigvalsh(X.T @ X / dataset.rows)[-1]))
        if step > longest * (1 + 1e-9):
            stable[name] = longest
    if stable:
        raise divergent(step, stable)


def check_labels(datasets: Mapping[str, Dataset]) -> None:
    """Logistic regression wants 0 and 1.

    Raises:
        DataError: naming the owner.
    """
    for name, dataset in datasets.items():
        if not np.isin(dataset.y, (0.0, 1.0)).all():
            raise DataError(f"{name}: the targets of a logistic regression are 0 and 1, and there are others: encode the two classes so")
