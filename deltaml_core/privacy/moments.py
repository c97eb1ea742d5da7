"""Statistics in the scale of the declared ranges, and what one row can change of them.

Every column is brought to [-1, 1] by its declared range, `z = (x - middle) / half`, the target to `t` likewise. Then one row, replaced by
any other within the ranges, changes by at most, in the Euclidean norm (n features):

    target      sum t                            2
    products    sums z_j t, and sum t^2          2 sqrt(n)
    features    sums z_j, and z_i z_j, i <= j    n + 1

Each is the value at the corners of the cube: along every coordinate the squared change is `s**4 + k s**2 - 2 c s + const` with
`k >= -1`, so it is largest at s = 1 or -1; corners that differ in k of n signs change the last by `2 sqrt(k (n + 1 - k))`.
The number of rows is public (the market shows it), so replacing a row, not adding one, is the relation.

A vector holds the three blocks, each divided by its bound and multiplied by the root of its share of the privacy loss: one row changes
the whole by at most 1. It is released in integers, `UNIT` for that 1, so that the bound holds exactly: what rounding, here and in the
scan's floating-point sums, could add to it is taken off beforehand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from deltaml_core.errors import PrivacyError
from deltaml_core.privacy.mechanism import UNIT, Integers
from deltaml_core.statistics import Array, Column, Requirements, Statistics

SHARES = (0.25, 0.25, 0.5)
"""Of the privacy loss: the target's sum, the products with the target, the features' own moments."""

_ROUNDOFF = 2.0**-53
_NARROWEST = 1e-100
"""Half a range below this counts as none: squares of such numbers are lost below the smallest floating-point number."""
_LARGEST = 2**62


@dataclass(frozen=True)
class Moments:
    """Averages over the rows of the products of (1, z_1, ..., z_n, t): a symmetric matrix whose first entry is 1.

    Attributes:
        matrix: (n + 2, n + 2).
        rows: m.
    """

    matrix: Array
    rows: int


class Layout:
    """Where the moments of a request's columns stand in a vector of integers."""

    def __init__(self, requirements: Requirements, rows: int) -> None:
        """`rows`: m, at least 1."""
        self._columns = (*requirements.features, requirements.target)
        self.rows = rows
        n = len(requirements.features)
        target = n + 1
        self._places = [(0, target)]
        self._places += [(j, target) for j in range(1, n + 2)]
        self._places += [(i, j) for i in range(n + 1) for j in range(max(i, 1), n + 1)]
        sizes, bounds = (1, n + 1, len(self._places) - n - 2), (2.0, 2 * math.sqrt(n), n + 1.0)
        each = [math.sqrt(share) / bound for share, bound in zip(SHARES, bounds, strict=True)]
        self._weights = np.repeat(each, sizes)

    @cached_property
    def _unit(self) -> float:
        """Integers for a change of 1."""
        slack = 2 * float(np.linalg.norm(self._weights * [self._scan_error(i, j) for i, j in self._places]))
        return (UNIT - math.sqrt(len(self._places))) / (1 + slack)

    def _scan_error(self, i: int, j: int) -> float:
        """Sums of m floating-point products, in whatever order, are off by at most `m u` times the sum of their absolute values."""
        reach = math.prod(_reach(self._columns[k - 1]) for k in (i, j) if k)
        return 4 * self.rows * _ROUNDOFF * self.rows * reach

    def encode(self, statistics: Statistics) -> Integers:
        """The vector of sums.

        Raises:
            PrivacyError: there are too many rows for it.
        """
        if self.rows * self._unit > _LARGEST:
            raise PrivacyError(f"{self.rows} rows are more than a private release can count: offer fewer")
        sums = _normalised(statistics, self._columns)
        exact = (sums[i][j] * Fraction(weight) for (i, j), weight in zip(self._places, (self._weights * self._unit).tolist(), strict=True))
        return np.array([round(entry) for entry in exact], dtype=np.int64)

    def decode(self, vector: Integers) -> Moments:
        """What a vector, with noise or without, says of the moments."""
        size = len(self._columns) + 1
        matrix = np.zeros((size, size))
        matrix[0, 0] = 1
        for (i, j), average in zip(self._places, (vector / (self._weights * self._unit * self.rows)).tolist(), strict=True):
            matrix[i, j] = matrix[j, i] = average
        return Moments(matrix, self.rows)

    def deviation(self, scale: float) -> Array:
        """Standard deviation of each moment's noise, (n + 2, n + 2), for a noise scale as in `mechanism`."""
        size = len(self._columns) + 1
        found = np.zeros((size, size))
        for (i, j), weight in zip(self._places, self._weights.tolist(), strict=True):
            found[i, j] = found[j, i] = scale * UNIT / (weight * self._unit * self.rows)
        return found


def statistics_of(moments: Moments, requirements: Requirements) -> Statistics:
    """Back in the columns' own units: intercept last, as everywhere."""
    columns = (*requirements.features, requirements.target)
    n = len(requirements.features)
    back = np.zeros((n + 2, n + 2))  # (x_1, ..., x_n, 1, y) = back @ (1, z_1, ..., z_n, t)
    for place, column in enumerate(columns):
        row = place if place < n else n + 1
        back[row, 0], back[row, place + 1] = _middle(column), _half(column)
    back[n, 0] = 1
    sums = back @ moments.matrix @ back.T * moments.rows
    return Statistics(sums[: n + 1, : n + 1], sums[: n + 1, n + 1], float(sums[n + 1, n + 1]), moments.rows)


def _normalised(statistics: Statistics, columns: tuple[Column, ...]) -> list[list[Fraction]]:
    """Sums of the products of (1, z, t), exactly what follows from the statistics' floating-point numbers."""
    n = len(columns) - 1
    order = [n, *range(n), n + 1]
    raw = np.block([[statistics.A, statistics.b[:, None]], [statistics.b[None, :], np.array([[statistics.c]])]])
    sums = [[Fraction(float(raw[i, j])) for j in order] for i in order]
    sums[0][0] = Fraction(statistics.rows)
    middles = [Fraction(0), *((Fraction(c.low) + Fraction(c.high)) / 2 for c in columns)]
    halves = [Fraction(1), *((Fraction(c.high) - Fraction(c.low)) / 2 if _half(c) else Fraction(0) for c in columns)]
    found = [[Fraction(0)] * (n + 2) for _ in range(n + 2)]
    for i in range(n + 2):
        for j in range(i, n + 2):
            if halves[i] and halves[j]:  # a column declared to be one value tells nothing
                centred = sums[i][j] - middles[i] * sums[0][j] - middles[j] * sums[i][0] + middles[i] * middles[j] * statistics.rows
                found[i][j] = found[j][i] = centred / (halves[i] * halves[j])
    return found


def _middle(column: Column) -> float:
    return column.low / 2 + column.high / 2


def _half(column: Column) -> float:
    half = column.high / 2 - column.low / 2
    return half if half >= _NARROWEST else 0.0


def _reach(column: Column) -> float:
    """How far from zero a column lies, in halves of its range."""
    return column.magnitude / _half(column) if _half(column) else 0.0
