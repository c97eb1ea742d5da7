"""What a measurement opened: a mean squared error, or the Gram matrix of several models' errors, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

UNITS = 10**18
"""The contract counts errors in units of 10**-18."""

_CONTRACT_BITS = 128
"""The contract keeps so many fractional bits of an opened squared error."""


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
        """The mean squared error in units of 10**-18, by the contract's rule."""
        return mean_in_units(self.squared_error, 2 * self.scale, self.rows)


@dataclass(frozen=True)
class Measurement:
    """What a measurement opened.

    Attributes:
        plaintexts: for every pair of models the sum of the products of their residuals, at twice the scale.
        scale: fractional bits of a residual.
        rows: the validators' rows.
        models: how many models were measured.
        ciphertexts: what was opened, where that is proven.
    """

    plaintexts: tuple[int, ...]
    scale: int
    rows: int
    models: int = 1
    ciphertexts: tuple[int, ...] = ()

    @property
    def metric(self) -> Metric:
        """The error of a single model."""
        (squared_error,) = self.plaintexts
        return Metric(squared_error, self.scale, self.rows)


def mean_in_units(squared_error: int, scale: int, rows: int) -> int:
    """`squared_error / 2**scale / rows` in units of 10**-18, by the contract's rule of truncation.

    With `kept = min(scale, 128)`: drop the low `scale - kept` bits, then `floor(squared_error * 10**18 / (rows * 2**kept))`.
    """
    kept = min(scale, _CONTRACT_BITS)
    return (squared_error >> (scale - kept)) * UNITS // (rows << kept)


def pairs(models: int) -> list[tuple[int, int]]:
    """The pairs i <= k of models, in the order of everything that is said about pairs."""
    return [(i, k) for i in range(models) for k in range(i, models)]
