"""Sums over rows that keep their digits: centred where they are taken, merged in a fixed order, turned into A, b and c at the end.

A sum of squares of values near 1e6 leaves few digits for how they differ. So every part of the data is summed about a shift near its
mean, and parts are merged by their means (Chan, Golub, LeVeque 1983, eq. 2.1):

    S = S_1 + S_2 + (m_1 m_2 / m) (mean_2 - mean_1)(mean_2 - mean_1)'

What is guaranteed: with m up to 2**40 rows in parts of about 2**21, an entry of A, b or c is off by less than 1e-9 of
`sqrt(A_ii A_jj)`, and the same rows in the same files give the same bits on any number of cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from deltaml_core.statistics.requirements import Array


class _Summable(Protocol):
    def statistics(self) -> Statistics: ...


@dataclass(frozen=True)
class Statistics:
    """What one scan of a data set leaves: all a linear model needs.

    Attributes:
        A: X'X, (d, d).
        b: X'y, (d,).
        c: y'y.
        rows: m.
    """

    A: Array
    b: Array
    c: float
    rows: int

    def __repr__(self) -> str:
        """Sizes only: the sums tell much of the rows."""
        return f"Statistics({self.rows} rows, {len(self.b)} weights)"

    @classmethod
    def of(cls, data: _Summable) -> Statistics:
        """Scan a data set once."""
        return data.statistics()

    def as_rows(self) -> Array:
        """(d + 1, d + 1): as few rows of features, intercept and target as have these statistics; what is no square is taken for 0."""
        values, vectors = np.linalg.eigh(np.block([[self.A, self.b[:, None]], [self.b[None, :], np.array([[self.c]])]]))
        return np.asarray(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T, dtype=np.float64)

    @property
    def target_sum(self) -> float:
        """Sum of the target over the rows."""
        return float(self.b[-1])


@dataclass(frozen=True)
class Moments:
    """What one scan finds out about n columns: the features, then the target.

    Attributes:
        read: rows read.
        rows: rows kept, m; the others lacked a value.
        present: how many of the rows kept have a value, (n,).
        fits: 1 where no value lies out of the column's declared range or is NaN, else 0, (n,).
        mean: (n,).
        scatter: sum of (x - mean)(x - mean)', (n, n).
    """

    read: int
    rows: int
    present: Array
    fits: Array
    mean: Array
    scatter: Array

    def __repr__(self) -> str:
        """Sizes only."""
        return f"Moments({self.rows} rows, {len(self.mean)} columns)"

    @classmethod
    def of_sums(cls, read: int, rows: int, present: Array, fits: Array, shift: Array, first: Array, second: Array) -> Moments:
        """From sums about a shift: `first` of (x - shift), (n,), and `second` of (x - shift)(x - shift)', (n, n)."""
        if not rows:
            return cls(read, 0, present, fits, np.zeros_like(shift), np.zeros_like(second))
        with np.errstate(invalid="ignore", over="ignore"):  # infinite values are refused by whoever asked
            return cls(read, rows, present, fits, shift + first / rows, second - np.outer(first, first) / rows)

    @classmethod
    def merged(cls, parts: Sequence[Moments]) -> Moments:
        """Of all parts together; in their order, so that the same parts give the same bits."""
        total = parts[0]
        for part in parts[1:]:
            total = total._with(part)
        return total

    def _with(self, other: Moments) -> Moments:
        if not self.rows or not other.rows:
            most = self if self.rows else other
            return Moments(self.read + other.read, most.rows, most.present, most.fits, most.mean, most.scatter)
        rows = self.rows + other.rows
        with np.errstate(invalid="ignore", over="ignore"):
            step = other.mean - self.mean
            return Moments(
                self.read + other.read,
                rows,
                self.present + other.present,
                np.minimum(self.fits, other.fits),
                self.mean + step * (other.rows / rows),
                self.scatter + other.scatter + np.outer(step, step) * (self.rows / rows * other.rows),
            )

    def to_numbers(self) -> list[float]:
        """All of it in a row, for a cluster's network."""
        parts = (self.present, self.fits, self.mean, self.scatter.ravel())
        return [float(len(self.mean)), float(self.read), float(self.rows), *(number for part in parts for number in part.tolist())]

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> Moments:
        """What `to_numbers` wrote."""
        n = int(numbers[0])
        values = np.asarray(numbers[3:], dtype=np.float64)
        present, fits, mean = values[: 3 * n].reshape(3, n)
        return cls(int(numbers[1]), int(numbers[2]), present, fits, mean, values[3 * n :].reshape(n, n))

    @property
    def is_sound(self) -> bool:
        """Whether every row kept has a value in range in every column, and the sums are finite."""
        whole = (self.present == self.rows).all() and self.fits.all()
        return bool(whole and np.isfinite(self.mean).all() and np.isfinite(self.scatter).all())

    def statistics(self) -> Statistics:
        """A, b and c, the intercept's column of ones behind the features."""
        d = len(self.mean)
        x, y = self.mean[:-1], float(self.mean[-1])
        A = np.empty((d, d))
        A[:-1, :-1] = self.scatter[:-1, :-1] + self.rows * np.outer(x, x)
        A[:-1, -1] = A[-1, :-1] = self.rows * x
        A[-1, -1] = self.rows
        b = np.append(self.scatter[:-1, -1] + self.rows * y * x, self.rows * y)
        return Statistics(A, b, float(self.scatter[-1, -1]) + self.rows * y * y, self.rows)

    def folded(self) -> Array:
        """F with F'F = Z'Z for Z = [X 1 y], upper triangular, (d + 1, d + 1).

        Z'Z is the scatter, and a row of means times sqrt(m). The scatter is taken apart with every column in its own unit, so that a
        column of small numbers keeps its digits beside one of large numbers.
        """
        d = len(self.mean)
        scale = np.sqrt(np.maximum(np.diag(self.scatter), 0.0))
        scale[scale == 0] = 1.0
        values, vectors = np.linalg.eigh(self.scatter / np.outer(scale, scale))
        spread = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T * scale
        rows = np.zeros((d + 1, d + 1))
        rows[:d, : d - 1], rows[:d, d] = spread[:, :-1], spread[:, -1]
        rows[d] = np.sqrt(self.rows) * np.concatenate([self.mean[:-1], [1.0], self.mean[-1:]])
        return np.asarray(np.linalg.qr(rows, mode="r"), dtype=np.float64)
