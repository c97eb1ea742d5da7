"""What an owner publishes instead of its statistics, once, and what trainers and validators make of it (protocol.md §9).

Sufficient-statistics perturbation, after Wang, *Revisiting differentially private linear regression* (UAI 2018, AdaSSP): noise is
added once to (A, b, c); everything that follows - every update, error, contribution and model of a training, whoever sees it - is
computed from the noisy numbers and keeps their guarantee (post-processing).

Noisy moments need not be those of any rows: they are moved to the nearest that could be, so that all bounds of the terms hold for
them as for rows (`terms.py`), errors stay squares (`rho >= 0`), and a trainer adds AdaSSP's ridge.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from deltaml_core import canonical
from deltaml_core.errors import PrivacyError
from deltaml_core.objectives import Objective
from deltaml_core.privacy.mechanism import Guarantee, add_noise, scale_for
from deltaml_core.privacy.moments import Layout, Moments, statistics_of
from deltaml_core.statistics import Array, Requirements, Statistics

_VERSION = 1
_CONFIDENCE = 0.05
"""AdaSSP's: the ridge outweighs the noise except with this probability."""
_STABLE_SHARE = 0.9
"""Of the longest stable step, what noise may leave: beyond it a round overshoots by more than it gains."""
_HALVINGS = 40


@dataclass(frozen=True)
class Release:
    """Noisy statistics of a data set; safe to publish as often as one likes.

    Attributes:
        guarantee: what it keeps.
        scale: of its noise, as in `mechanism`.
        rows: m, public.
        vector: the noisy integers, as `Layout` orders them.
    """

    guarantee: Guarantee
    scale: float
    rows: int
    vector: tuple[int, ...]

    def __repr__(self) -> str:
        """The guarantee and the size."""
        return f"Release({self.guarantee}, {self.rows} rows)"

    @classmethod
    def of(cls, statistics: Statistics, requirements: Requirements, guarantee: Guarantee) -> Release:
        """Draw the noise. Draw it once: several releases of the same rows average it out, and each costs its own epsilon.

        Args:
            statistics: of rows that lie within the declared ranges (`Dataset.select` sees to it).
            requirements: the request's columns; the bounds come from their ranges, never from the rows.
            guarantee: what it shall keep.

        Raises:
            PrivacyError: delta is no smaller than one over the number of rows, or there are too many rows.
            MissingExtraError: OpenDP is not installed.
        """
        guarantee.check(statistics.rows)
        scale = scale_for(guarantee)
        noisy = add_noise(Layout(requirements, statistics.rows).encode(statistics), scale)
        return cls(guarantee, scale, statistics.rows, tuple(noisy.tolist()))

    def for_measuring(self, requirements: Requirements) -> Statistics:
        """What a validator measures on: the statistics of rows that could be, nearest to the noisy ones."""
        return statistics_of(_feasible(self._moments(requirements)), requirements)

    def for_training(self, requirements: Requirements, step: float, objective: Objective | None = None) -> Statistics:
        """What a trainer trains on: the same with AdaSSP's ridge, and steady under the terms' step (by default of linear regression)."""
        moments, layout = _feasible(self._moments(requirements)), Layout(requirements, self.rows)
        return _steady(_ridged(moments, layout.deviation(self.scale)), requirements, step, objective or Objective())

    def _moments(self, requirements: Requirements) -> Moments:
        try:
            return Layout(requirements, self.rows).decode(np.array(self.vector, dtype=np.int64))
        except ValueError as error:
            raise PrivacyError(f"this release is not one of {len(requirements.features)} features and a target") from error

    def to_json(self) -> str:
        """For the owner's store: a node that was killed goes on with the same noise."""
        content = {"version": _VERSION, "epsilon": self.guarantee.epsilon, "delta": self.guarantee.delta}
        return json.dumps({**content, "scale": self.scale, "rows": self.rows, "vector": self.vector})

    @classmethod
    def from_json(cls, text: str) -> Release:
        """Read what `to_json` wrote.

        Raises:
            PrivacyError: it is something else.
        """
        try:
            content = canonical.load(text)
            if content["version"] != _VERSION:
                raise PrivacyError(f"the release has version {content['version']!r}, not {_VERSION}: run the DeltaML that wrote it")
            guarantee = Guarantee(content["epsilon"], content["delta"])
            return cls(guarantee, float(content["scale"]), int(content["rows"]), tuple(map(int, content["vector"])))
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, PrivacyError):
                raise
            raise PrivacyError(f"this is no release: {error!r}") from error


def _feasible(moments: Moments) -> Moments:
    """The moments of some rows within the ranges: means in [-1, 1], a covariance that is one, variances no larger than the ranges allow."""
    means = np.clip(moments.matrix[0, 1:], -1, 1)
    values, vectors = np.linalg.eigh(moments.matrix[1:, 1:] - np.outer(means, means))
    covariance = (vectors * np.maximum(values, 0)) @ vectors.T
    variances = np.diag(covariance)
    most = 1 - means**2
    shrunk = np.sqrt(np.divide(most, variances, out=np.ones_like(most), where=variances > most))
    return _from_covariance(means, covariance * np.outer(shrunk, shrunk), moments.rows)


def _from_covariance(means: Array, covariance: Array, rows: int) -> Moments:
    return Moments(np.block([[np.ones((1, 1)), means[None, :]], [means[:, None], covariance + np.outer(means, means)]]), rows)


def _ridged(moments: Moments, deviation: Array) -> Moments:
    """AdaSSP's ridge on the features' covariance: as much as is missing until its smallest eigenvalue outweighs the noise.

    The intercept has no part in it: the number of rows is exact.
    """
    n = len(moments.matrix) - 2
    means = moments.matrix[0, 1:]
    covariance = moments.matrix[1:, 1:] - np.outer(means, means)
    noise = float(deviation[1 : n + 1, 1 : n + 1].max()) * math.sqrt(n * math.log(2 * n**2 / _CONFIDENCE))
    smallest = max(0.0, float(np.linalg.eigvalsh(covariance[:n, :n])[0]) - noise)
    covariance[:n, :n] += max(0.0, noise - smallest) * np.eye(n)
    return _from_covariance(means, covariance, moments.rows)


def _steady(moments: Moments, requirements: Requirements, step: float, objective: Objective) -> Statistics:
    """These moments, unless noise makes the terms' step too long for them: then with features nearer to constants, at the same slopes.

    Where even constants in the middle of the declared ranges are too much for the step, `Objective.update` says so.
    """
    n = len(moments.matrix) - 2
    means = moments.matrix[0, 1:]
    covariance = moments.matrix[1:, 1:] - np.outer(means, means)

    def with_features_times(share: float) -> Statistics:
        shares = np.array([share] * n + [1.0])
        scaled = covariance * np.minimum.outer(shares, shares)
        return statistics_of(_from_covariance(means * shares, scaled, moments.rows), requirements)

    def is_steady(statistics: Statistics) -> bool:
        return step <= _STABLE_SHARE * objective.largest_stable_step(statistics)

    if is_steady(with_features_times(1.0)):
        return with_features_times(1.0)
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        low, high = (share, high) if is_steady(with_features_times(share)) else (low, share)
    return with_features_times(low)
