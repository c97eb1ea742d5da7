"""Rows in memory: what is accepted, and what they are checked for."""

from __future__ import annotations

import csv
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import ConstantColumnWarning, DataError, RequirementsError
from deltaml_core.statistics.moments import Statistics
from deltaml_core.statistics.requirements import Array, Requirements

if TYPE_CHECKING:
    from deltaml_core.statistics.sources.base import Table


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
        if requirements.preprocessing:
            return self._as_table().mismatches(requirements)
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
        if requirements.preprocessing:
            return self._as_table().select(requirements).load()
        if faults := self.mismatches(requirements):
            raise RequirementsError("the data set does not match the request: " + "; ".join(faults))
        order = [self.features.index(column.name) for column in requirements.features]
        return Dataset(self.X[:, order], self.y, tuple(self.features[j] for j in order), self.target)

    def design(self) -> Array:
        """X with the intercept's column of ones behind it, (m, d)."""
        return np.column_stack([self.X, np.ones(self.rows)])

    def statistics(self) -> Statistics:
        """The sums over the rows."""
        X = self.design()
        return Statistics(X.T @ X, X.T @ self.y, float(self.y @ self.y), self.rows)

    def folded(self) -> Array:
        """F with F'F = Z'Z for Z = [X 1 y], of at most d + 1 rows: a QR decomposition of the rows themselves."""
        return np.asarray(np.linalg.qr(np.column_stack([self.design(), self.y]), mode="r"), dtype=np.float64)

    def load(self) -> Dataset:
        """Itself."""
        return self

    def commitment(self, salt: bytes) -> bytes:
        """SHA-256 of a secret salt and the rows: binds the owner to the data it accepted with, and shows nothing of it."""
        digest = hashlib.sha256(salt)
        for part in (repr((self.features, self.target)).encode(), self.X.astype("<f8").tobytes(), self.y.astype("<f8").tobytes()):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def _as_table(self) -> Table:
        from deltaml_core.statistics.sources.frames import numpy_table  # which is built on this module

        return numpy_table(self.X, self.y, self.features, self.target)


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
