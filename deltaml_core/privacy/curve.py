"""What privacy costs: the error of a model trained on noisy statistics, against epsilon.

Computed in plain arithmetic, which every protected training equals (`models.federated_descent`; noise comes before encryption), and
measured on the validators' rows themselves: a study for whoever has all the rows, not something that owners would publish.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from deltaml_core import models
from deltaml_core.errors import TermsError
from deltaml_core.privacy.mechanism import Guarantee
from deltaml_core.privacy.release import Release
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.terms import TrainingTerms


@dataclass(frozen=True)
class CurvePoint:
    """The mean squared error over several trainings, each with noise of its own.

    Attributes:
        epsilon: of every owner's release.
        median, low, high: of the errors; one run in ten lies below `low`, one above `high`.
    """

    epsilon: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class PrivacyCurve:
    """Error against epsilon, between two lines.

    Attributes:
        points: by epsilon, as asked.
        delta: of every release.
        runs: trainings a point.
        rows: of each trainer.
        without_noise: error of the same training without noise.
        mean_predictor: error of the trainers' mean, which needs no features.
    """

    points: tuple[CurvePoint, ...]
    delta: float
    runs: int
    rows: tuple[int, ...]
    without_noise: float
    mean_predictor: float


def privacy_curve(
    owners: Sequence[Dataset],
    terms: TrainingTerms,
    *,
    validators: Collection[int],
    epsilons: Sequence[float] = (0.3, 1, 3, 10, 30, 100),
    delta: float = 1e-5,
    runs: int = 40,
    copies: int = 1,
) -> PrivacyCurve:
    """Train again and again with noise, and measure what it costs.

    Args:
        owners: everybody's rows.
        terms: of the training; the bounds are its declared ranges.
        validators: indices of the owners that measure.
        epsilons: of each trainer's release.
        delta: goes with them.
        runs: trainings for each epsilon; at least 1.
        copies: count every row so often: what owners with so many times the rows, distributed alike, would reach.

    Raises:
        RequirementsError: rows that do not match the terms.
        TermsError: nobody is left to train or to validate, or no run was asked for.
        PrivacyError: an epsilon or delta that cannot be meant.
    """
    if runs < 1 or copies < 1:
        raise TermsError(f"runs and copies are whole numbers of at least 1, not {runs} and {copies}")
    scans = [_times(Statistics.of(rows.select(terms.requirements)), copies) for rows in owners]
    judges = [scan for index, scan in enumerate(scans) if index in validators]
    trainers = [scan for index, scan in enumerate(scans) if index not in validators]
    if not judges or not trainers:
        raise TermsError(f"of {len(scans)} owners {len(judges)} validate: at least one must, and one must train")

    def error(statistics: Sequence[Statistics]) -> float:
        return models.mean_squared_error(judges, _trained(statistics, terms))

    def noisy(guarantee: Guarantee) -> list[Statistics]:
        releases = (Release.of(scan, terms.requirements, guarantee) for scan in trainers)
        return [release.for_training(terms.requirements, terms.step) for release in releases]

    points = []
    for guarantee in (Guarantee(epsilon, delta) for epsilon in epsilons):
        low, median, high = np.quantile([error(noisy(guarantee)) for _ in range(runs)], (0.1, 0.5, 0.9)).tolist()
        points.append(CurvePoint(guarantee.epsilon, median, low, high))
    mean = np.zeros(terms.weights)
    mean[-1] = sum(scan.target_sum for scan in trainers) / sum(scan.rows for scan in trainers)
    rows = tuple(scan.rows for scan in trainers)
    return PrivacyCurve(tuple(points), delta, runs, rows, error(trainers), models.mean_squared_error(judges, mean))


def _trained(statistics: Sequence[Statistics], terms: TrainingTerms) -> Array:
    return models.federated_descent(statistics, np.zeros(terms.weights), terms.step, terms.local_steps, terms.rounds)[-1]


def _times(scan: Statistics, copies: int) -> Statistics:
    return Statistics(scan.A * copies, scan.b * copies, scan.c * copies, scan.rows * copies)
