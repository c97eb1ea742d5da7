"""A measurement: what is measured, and what comes of it, whatever the protocol between."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from deltaml_core.schemes.base import Ciphertexts

UNITS = 10**18
"""The contract counts errors in units of 10**-18."""


@dataclass(frozen=True)
class Evaluation:
    """Weights to be measured on all validators' rows.

    Attributes:
        number: counts the measurements of a run.
        round: the round it belongs to.
        weights: encrypted, (d,).
        scale: their fractional bits.
        coalition: the trainers whose averaged solo models these are (none: the mean predictor); None for the federated model.
        numerator, denominator: what the weights are to be multiplied by.
    """

    number: int
    round: int
    weights: Ciphertexts
    scale: int
    coalition: tuple[str, ...] | None = None
    numerator: int = 1
    denominator: int = 1


@dataclass(frozen=True)
class Metric:
    """A mean squared error, exactly: `squared_error / 2**(2 * scale) / rows`.

    Attributes:
        squared_error: the validators' squared residuals, summed, at twice the scale.
        scale: fractional bits of a residual.
        rows: the validators' rows.
    """

    squared_error: int
    scale: int
    rows: int

    @property
    def exact(self) -> Fraction:
        """The mean squared error."""
        return Fraction(self.squared_error, self.rows << (2 * self.scale))

    @property
    def mse(self) -> float:
        """The mean squared error, to the nearest float."""
        return float(self.exact)

    @property
    def units(self) -> int:
        """The mean squared error in units of 10**-18, rounded down: what the contract is told."""
        return self.squared_error * UNITS // (self.rows << (2 * self.scale))
