"""What a kind of model has to say to the engine, and what all kinds do alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from deltaml_core.contributions import ErrorOf
from deltaml_core.metrics.verifiable.validator import BLUR_BITS
from deltaml_core.schemes.ckks import MAXIMUM_MASKS
from deltaml_core.schemes.vectors import Keyring, Vector, VectorScheme
from deltaml_core.semihonest.units import Units
from deltaml_core.statistics import Array
from deltaml_core.terms import TrainingTerms

WEIGHT_BLUR = 2.0**-24
"""Added to the final weights by every trainer, in hidden units: what the buyer decrypts must not hold the noise of the last rounds."""


class Work(ABC):
    """The owners of a training and what they compute on encrypted weights.

    Attributes:
        depth: products in a row that a key must bear.
        round_depth: of a round.
        error_depth: of a measurement.
    """

    depth: int
    round_depth: int
    error_depth: int

    def __init__(self, ring: Keyring, terms: TrainingTerms, units: Units, trainers: Sequence[str], rows: int, owners: int) -> None:
        """`rows`: of all validators; `owners`: all of them."""
        self.ring, self.terms, self.units = ring, terms, units
        self.trainers, self.rows = list(trainers), rows
        self._masks = min(owners, MAXIMUM_MASKS)

    @property
    def vectors(self) -> VectorScheme:
        """What owners and aggregator compute with."""
        return self.ring.public

    @abstractmethod
    def advance(self, weights: Vector) -> Vector:
        """One round: every trainer's update, averaged."""

    @abstractmethod
    def error(self, weights: Vector) -> float:
        """The mean squared error over all validators' rows, published."""

    @abstractmethod
    def coalition_errors(self, rule: str) -> ErrorOf:
        """The error of every coalition of solo models."""

    def refreshed(self, weights: Vector, needed: int) -> Vector:
        """Weights that bear so many further products."""
        if weights.depth + needed <= self.vectors.depth:
            return weights
        return self.ring.refresh(weights, [self.vectors.mask(weights) for _ in range(self._masks)])

    def hidden_zero(self) -> Vector:
        """The initial weights."""
        return self.vectors.encrypt(np.zeros(self.terms.weights))

    def final_weights(self, weights: Vector) -> Array:
        """What the buyer gets: every trainer blurs it once, then the buyer decrypts it."""
        for _ in self.trainers:
            weights = self.vectors.blur(weights, WEIGHT_BLUR)
        return self.units.show(self.ring.decrypt(weights))

    def total(self, parts: Sequence[Vector]) -> Vector:
        """Of at least one vector."""
        result = parts[0]
        for part in parts[1:]:
            result = self.vectors.add(result, part)
        return result

    def published(self, parts: Sequence[Vector], largest: float) -> float:
        """The validators' sum: each blurs its part below `2**-30 * largest` or thereabouts, then the buyer decrypts the sum."""
        width = largest * 2.0**-BLUR_BITS
        total = self.total([self.vectors.blur(part, width) for part in parts])
        return float(self.ring.publish(total, width)[0])

    def mean_model(self, sums: Mapping[str, float], rows: Mapping[str, int]) -> Vector:
        """The trainers' pooled target mean as a model, from each one's sum; nobody sees it."""
        together = sum(rows.values())
        parts = [np.append(np.zeros(self.terms.weights - 1), value / together) for value in sums.values()]
        return self.total([self.vectors.encrypt(self.units.hide(part)) for part in parts])
