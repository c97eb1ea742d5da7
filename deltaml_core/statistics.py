"""An owner's rows: what they are checked for, and the one scan that turns them into statistics (protocol.md §1).

    A = X'X    b = X'y    c = y'y    m = number of rows        X carries the intercept's column of ones, last

Everything a trainer computes afterwards costs the same for 50 rows and for a billion.
"""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import ConstantColumnWarning, DataError, RequirementsError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """A column as a request declares it; ranges come from the request, never from the data.

    Attributes:
        name: the column's name in the request's data dictionary.
        low: smallest value allowed, in the column's own unit.
        high: largest value allowed; not below `low`.
    """

    name: str
    low: float
    high: float

    @property
    def magnitude(self) -> float:
        """The largest absolute value allowed."""
        return max(abs(self.low), abs(self.high))

    def fault(self, values: Array) -> str | None:
        """Why these values do not fit the range, or None."""
        outside = (values < self.low) | (values > self.high)
        if not outside.any():
            return None
        return (
            f"{int(outside.sum())} of {len(values)} values of {self.name!r} lie outside [{self.low:g}, {self.high:g}] "
            f"(they span [{values.min():g}, {values.max():g}])"
        )


@dataclass(frozen=True)
class Requirements:
    """What a request asks of a data set.

    Attributes:
        features: the model's inputs, in the order of its weights.
        target: what the model predicts.
        minimum_rows: the fewest rows worth training on, at least 1.
    """

    features: tuple[Column, ...]
    target: Column
    minimum_rows: int = 1


@dataclass(frozen=True)
class Dataset:
    """Rows of one owner; they never leave its process.

    Attributes:
        X: (m, d - 1), one column a feature, without the intercept.
        y: (m,), the target.
        features: names of X's columns.
        target: name of y.
    """

    X: Array
    y: Array
    features: tuple[str, ...]
    target: str = "target"

    def __repr__(self) -> str:
        """Names and size, no values."""
        return f"Dataset({self.rows} rows, features {', '.join(self.features)}, target {self.target})"

    @classmethod
    def of(cls, X: npt.ArrayLike, y: npt.ArrayLike, features: Sequence[str] | None = None, target: str = "target") -> Dataset:
        """Check shapes and values, and name the columns `x1, x2, ...` when no names are given.

        Raises:
            DataError: no rows or columns, shapes that do not agree, text, NaN or infinite values.

        Warns:
            ConstantColumnWarning: a feature has one value only.
        """
        X, y = _real(X, "X"), _real(y, "y")
        if X.ndim != 2 or y.ndim != 1:
            raise DataError(f"X must have two dimensions and y one, not {X.ndim} and {y.ndim}; for one feature use X.reshape(-1, 1)")
        if len(X) != len(y):
            raise DataError(f"X has {len(X)} rows and y has {len(y)}: every row needs its target")
        if 0 in X.shape:
            raise DataError(f"X has {X.shape[0]} rows and {X.shape[1]} columns: at least one of each is needed")
        names = tuple(features) if features is not None else tuple(f"x{j + 1}" for j in range(X.shape[1]))
        if len(set(names)) != X.shape[1]:
            raise DataError(f"X has {X.shape[1]} columns but {len(set(names))} distinct names were given: {', '.join(names)}")
        for name, values in (*zip(names, X.T, strict=True), (target, y)):
            if not np.isfinite(values).all():
                count = int((~np.isfinite(values)).sum())
                raise DataError(f"column {name!r} has {count} missing or infinite values among {len(y)} rows: drop or fill them first")
        for name, values in zip(names, X.T, strict=True):
            if len(y) > 1 and np.ptp(values) == 0:
                warnings.warn(f"feature {name!r} has the same value in all {len(y)} rows", ConstantColumnWarning, stacklevel=2)
        return cls(X, y, names, target)

    @classmethod
    def from_csv(cls, path: Path | str, target: str) -> Dataset:
        """Read a comma-separated file with a header line; every column but `target` is a feature.

        Raises:
            DataError: naming the file, and the line and column where it fails.
        """
        path = Path(path)
        try:
            with path.open(newline="", encoding="utf-8") as file:
                lines = list(csv.reader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if len(lines) < 2:
            raise DataError(f"{path} has no rows below its header line")
        header = [name.strip() for name in lines[0]]
        if target not in header:
            raise DataError(f"{path} has no column {target!r}; it has {', '.join(header)}")
        table = np.array([_numbers(path, number, header, line) for number, line in enumerate(lines[1:], start=2)])
        position = header.index(target)
        try:
            return cls.of(np.delete(table, position, axis=1), table[:, position], [n for n in header if n != target], target)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    @property
    def rows(self) -> int:
        """Number of rows, m."""
        return len(self.y)

    def mismatches(self, requirements: Requirements) -> list[str]:
        """Why this data set does not serve a request, a sentence each; empty when it does."""
        wanted = [column.name for column in requirements.features]
        faults = [f"there is no column {name!r}" for name in wanted if name not in self.features]
        if self.target != requirements.target.name:
            faults.append(f"the target is {self.target!r}, not {requirements.target.name!r}")
        if self.rows < requirements.minimum_rows:
            faults.append(f"there are {self.rows} rows, fewer than the {requirements.minimum_rows} asked for")
        for column in requirements.features:
            if column.name in self.features and (fault := column.fault(self.X[:, self.features.index(column.name)])):
                faults.append(fault)
        if fault := requirements.target.fault(self.y):
            faults.append(fault)
        return faults

    def select(self, requirements: Requirements) -> Dataset:
        """The columns a request asks for, in its order.

        Raises:
            RequirementsError: listing every mismatch.
        """
        if faults := self.mismatches(requirements):
            raise RequirementsError("the data set does not match the request: " + "; ".join(faults))
        order = [self.features.index(column.name) for column in requirements.features]
        return Dataset(self.X[:, order], self.y, tuple(self.features[j] for j in order), self.target)

    def design(self) -> Array:
        """X with the intercept's column of ones behind it, (m, d)."""
        return np.column_stack([self.X, np.ones(self.rows)])

    def commitment(self, salt: bytes) -> bytes:
        """SHA-256 of a secret salt and the rows: binds the owner to the data it accepted with, and shows nothing of it."""
        digest = hashlib.sha256(salt)
        for part in (repr((self.features, self.target)).encode(), self.X.astype("<f8").tobytes(), self.y.astype("<f8").tobytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


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
    def of(cls, dataset: Dataset) -> Statistics:
        """Scan a data set once."""
        X = dataset.design()
        return cls(X.T @ X, X.T @ dataset.y, float(dataset.y @ dataset.y), dataset.rows)

    @property
    def target_sum(self) -> float:
        """Sum of the target over the rows."""
        return float(self.b[-1])


def _real(values: npt.ArrayLike, name: str) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must hold numbers only, in rows of equal length: {error}") from error


def _numbers(path: Path, number: int, header: list[str], line: list[str]) -> list[float]:
    if len(line) != len(header):
        raise DataError(f"{path}, line {number}: {len(line)} values where the header names {len(header)} columns")
    row = []
    for name, text in zip(header, line, strict=True):
        try:
            row.append(float(text))
        except ValueError as error:
            raise DataError(f"{path}, line {number}, column {name!r}: {text!r} is not a number") from error
    return row
