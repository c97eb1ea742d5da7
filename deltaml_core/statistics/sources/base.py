"""What all sources share: a scan decides whether the data serves a request, and leaves its sums in the same pass.

Only where something does not fit, the rows are read once more, to count what does not.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deltaml_core.errors import ConstantColumnWarning, RequirementsError
from deltaml_core.statistics.dataset import Dataset
from deltaml_core.statistics.moments import Moments, Statistics
from deltaml_core.statistics.preprocessing import Preprocessing
from deltaml_core.statistics.requirements import Array, Column, Requirements
from deltaml_core.statistics.sources import sql

_LONGEST_EXAMPLE = 40


@dataclass(frozen=True)
class Plan:
    """What a scan is to find out, wherever it runs.

    Attributes:
        columns: the request's, the target last.
        preprocessing: the request's.
    """

    columns: tuple[Column, ...]
    preprocessing: Preprocessing

    @property
    def drop(self) -> bool:
        """Whether rows that lack a value are left out."""
        return self.preprocessing.missing == "drop"

    @property
    def ranges(self) -> list[tuple[float, float]]:
        """What the request declares of every column."""
        return [(column.low, column.high) for column in self.columns]

    def cells(self, part: sql.Part) -> list[sql.Cell]:
        """SQL of every column.

        Raises:
            RequirementsError: naming every column that the part does not have or that can be no number.
        """
        cells, faults = [], []
        for column in self.columns:
            try:
                cells.append(sql.cell(part, column.name, self.preprocessing))
            except RequirementsError as error:
                faults.append(str(error))
        if faults:
            raise RequirementsError("; ".join(dict.fromkeys(faults)))
        return cells


@dataclass(frozen=True)
class Count:
    """What does not fit, of one column.

    Attributes:
        own: the column as its owner has it.
        wants: what its values have to be.
        lacking: rows without a value.
        wrong: rows whose value cannot be understood.
        outside: values out of the declared range.
        low: smallest value of the rows that would be used; NaN where there is none.
        high: largest.
        example: a value that cannot be understood.
    """

    own: str
    wants: str
    lacking: int
    wrong: int
    outside: int
    low: float
    high: float
    example: str | None

    def __add__(self, other: Count) -> Count:
        """Of two parts together."""
        low, high = float(np.fmin(self.low, other.low)), float(np.fmax(self.high, other.high))
        example = min((one.example for one in (self, other) if one.example is not None), default=None)
        counts = (self.lacking + other.lacking, self.wrong + other.wrong, self.outside + other.outside)
        return Count(self.own, self.wants, *counts, low, high, example)

    def faults(self, column: Column, rows: int, *, drop: bool) -> list[str]:
        """What is to be said of it."""
        said = []
        if self.lacking and not drop:
            said.append(f"column {self.own!r} has {self.lacking} missing or infinite values among {rows} rows: drop or fill them first")
        if self.wrong:
            example = (self.example or "")[:_LONGEST_EXAMPLE]
            comma = "; decimals need a point where columns are separated by commas" if _is_decimal_comma(example) else ""
            said.append(f"{self.wrong} of {rows} values of {self.own!r} are not {self.wants}: {example!r} for one{comma}")
        if self.outside:
            said.append(column.outside(self.outside, rows, self.low, self.high))
        return said


@dataclass(frozen=True)
class Census:
    """What does not fit, of all columns of a request.

    Attributes:
        rows: rows read.
        counts: of each column.
    """

    rows: int
    counts: tuple[Count, ...]

    @classmethod
    def merged(cls, parts: Sequence[Census]) -> Census:
        """Of all parts together."""
        total = parts[0]
        for part in parts[1:]:
            total = cls(total.rows + part.rows, tuple(a + b for a, b in zip(total.counts, part.counts, strict=True)))
        return total


class Table(ABC):
    """Rows with named columns, somewhere."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What messages call it."""

    @abstractmethod
    def moments(self, plan: Plan) -> Moments:
        """Scan once.

        Raises:
            RequirementsError: columns are not there, or can be no numbers.
            DataError: it cannot be read.
        """

    @abstractmethod
    def census(self, plan: Plan) -> Census:
        """Count what does not fit."""

    @abstractmethod
    def values(self, plan: Plan) -> Array:
        """The rows themselves, (m, n)."""

    def commitment(self, plan: Plan, salt: bytes) -> bytes:
        """What an owner binds itself with: by default to the rows that the request uses."""
        return loaded(self, plan).commitment(salt)

    def mismatches(self, requirements: Requirements) -> list[str]:
        """Why this data does not serve a request, a sentence each; empty when it does."""
        return self._scan(requirements)[1]

    def select(self, requirements: Requirements, refusal: str = "the data set does not match the request") -> Scan:
        """Scan once, and keep the sums of the columns a request asks for, in its order.

        Args:
            requirements: the request's.
            refusal: what is said before the mismatches.

        Raises:
            RequirementsError: listing every mismatch.
            DataError: the data cannot be read.

        Warns:
            ConstantColumnWarning: a feature has one value only.
        """
        moments, faults = self._scan(requirements)
        if faults or moments is None:
            raise RequirementsError(f"{refusal}: " + "; ".join(faults))
        for column, spread in zip(requirements.columns, np.diag(moments.scatter), strict=True):
            if moments.rows > 1 and spread == 0 and column is not requirements.target:
                warnings.warn(f"feature {column.name!r} has the same value in all {moments.rows} rows", ConstantColumnWarning, stacklevel=2)
        return Scan(self, requirements, moments)

    def _scan(self, requirements: Requirements) -> tuple[Moments | None, list[str]]:
        plan = Plan(requirements.columns, requirements.preprocessing)
        try:
            moments = self.moments(plan)
        except RequirementsError as error:
            return None, [str(error)]
        faults = [] if moments.is_sound else self._faults(plan)
        if moments.rows < requirements.minimum_rows:
            dropped = f", {moments.read - moments.rows} more lack a value" if moments.read > moments.rows else ""
            faults.append(f"there are {moments.rows} rows, fewer than the {requirements.minimum_rows} asked for{dropped}")
        if not faults and not moments.is_sound:
            faults.append("its values are too large to be summed: state smaller units")
        return moments, faults

    def _faults(self, plan: Plan) -> list[str]:
        census = self.census(plan)
        said = [
            fault
            for column, count in zip(plan.columns, census.counts, strict=True)
            for fault in count.faults(column, census.rows, drop=plan.drop)
        ]
        return list(dict.fromkeys(said))


@dataclass(frozen=True)
class Scan:
    """A table that serves a request, scanned: a `Selection` whose rows stay where they are.

    Attributes:
        table: where the rows are.
        requirements: what it was scanned for.
        moments: what the scan found.
    """

    table: Table
    requirements: Requirements
    moments: Moments

    def __repr__(self) -> str:
        """Name and size, no values."""
        return f"Scan({self.table.name}, {self.rows} rows)"

    @property
    def rows(self) -> int:
        """Number of rows, m."""
        return self.moments.rows

    def mismatches(self, requirements: Requirements) -> list[str]:
        """Why the table does not serve a request."""
        return [] if requirements == self.requirements else self.table.mismatches(requirements)

    def select(self, requirements: Requirements) -> Scan:
        """Itself for the request it was scanned for; for another, the table is scanned again."""
        return self if requirements == self.requirements else self.table.select(requirements)

    def statistics(self) -> Statistics:
        """The sums over the rows."""
        return self.moments.statistics()

    def folded(self) -> Array:
        """F with F'F = Z'Z for Z = [X 1 y]."""
        return self.moments.folded()

    def load(self) -> Dataset:
        """The rows themselves."""
        return loaded(self.table, self._plan)

    def commitment(self, salt: bytes) -> bytes:
        """SHA-256 of a secret salt and the data, as the table defines it."""
        return self.table.commitment(self._plan, salt)

    @property
    def _plan(self) -> Plan:
        return Plan(self.requirements.columns, self.requirements.preprocessing)


def loaded(table: Table, plan: Plan) -> Dataset:
    """A table's rows in memory."""
    rows = table.values(plan)
    *features, target = (column.name for column in plan.columns)
    return Dataset(rows[:, :-1], rows[:, -1], tuple(features), target)


def moments_of(row: Sequence[Any], shift: Array) -> Moments:
    """What `sql.sums` answered."""
    n = len(shift)
    numbers = np.array([np.nan if value is None else float(value) for value in row[2:]])
    present, fits, first = numbers[: 3 * n].reshape(3, n)
    second = np.zeros((n, n))
    second[np.triu_indices(n)] = numbers[3 * n :]
    second += np.triu(second, 1).T
    return Moments.of_sums(int(row[0]), int(row[1]), present, np.nan_to_num(fits, nan=1.0), shift, first, second)


def census_of(row: Sequence[Any], cells: Sequence[sql.Cell]) -> Census:
    """What `sql.census` answered."""
    counts = []
    for j, one in enumerate(cells):
        lacking, wrong, outside, low, high, example = row[1 + 6 * j : 7 + 6 * j]
        lowest, highest = (float("nan") if end is None else float(end) for end in (low, high))
        counts.append(Count(one.own, one.wants, lacking, wrong, outside, lowest, highest, example))
    return Census(int(row[0]), tuple(counts))


def _is_decimal_comma(text: str) -> bool:
    return text.count(",") == 1 and text.replace(",", "").strip().lstrip("+-").isdigit()
