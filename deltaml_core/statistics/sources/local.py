"""Tables on this machine, read by DuckDB.

Every query runs on one thread, so that its sums are added in the order of the rows and come out the same, bit for bit, when a node is
started again; a large file is divided into parts that are summed side by side, and the parts do not depend on the number of cores.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import duckdb
import numpy as np

from deltaml_core.errors import DataError
from deltaml_core.statistics.moments import Moments
from deltaml_core.statistics.requirements import Array
from deltaml_core.statistics.sources import sql
from deltaml_core.statistics.sources.base import Census, Plan, Table, census_of, moments_of

HEAD = 1000
"""Rows whose middle value is the shift that sums are taken about; an actual value, so that a constant column has a scatter of 0."""

WIDEST_QUERY = 64
"""Columns whose products DuckDB is asked for in one query; of more, rows come in blocks and are multiplied here: planning grows squared."""

BLOCK_VALUES = 1 << 18
"""Values in such a block."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "temp_directory": "",  # no row is written anywhere
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}

T = TypeVar("T")


class LocalTable(Table):
    """What DuckDB reads in this process.

    Attributes:
        parts: what is read; all have columns of the same names.
    """

    def __init__(self, name: str, parts: Sequence[sql.Part], connection: duckdb.DuckDBPyConnection) -> None:
        """`connection`: of `connect`, where the parts are known."""
        self._name = name
        self.parts = tuple(parts)
        self._connection = connection

    def __repr__(self) -> str:
        """Name and columns, no values."""
        return f"{type(self).__name__}({self.name}, columns {', '.join(self.parts[0].names)})"

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._name

    def moments(self, plan: Plan) -> Moments:
        """Scan once, after a look at the first rows."""
        cells = {part: plan.cells(part) for part in self.parts}
        first = self.parts[0]
        (middles,) = self._ask(sql.head(first, cells[first], HEAD, drop=plan.drop))
        shift = np.array([0.0 if middle is None else float(middle) for middle in middles])

        def scan(part: sql.Part) -> Moments:
            if len(plan.columns) > WIDEST_QUERY:
                query = sql.rows(part, cells[part], drop=plan.drop)
                return self._guarded(lambda cursor: moments_of_blocks(cursor.execute(query), plan, shift))
            (row,) = self._ask(sql.sums(part, cells[part], plan.ranges, shift.tolist(), drop=plan.drop))
            return moments_of(row, shift)

        return Moments.merged(self._each(scan))

    def census(self, plan: Plan) -> Census:
        """Count what does not fit."""

        def count(part: sql.Part) -> Census:
            cells = plan.cells(part)
            (row,) = self._ask(sql.census(part, cells, plan.ranges, drop=plan.drop))
            return census_of(row, cells)

        return Census.merged(self._each(count))

    def values(self, plan: Plan) -> Array:
        """The rows themselves, in the order they are stored."""

        def read(part: sql.Part) -> Array:
            cells = plan.cells(part)
            columns = self._guarded(lambda cursor: cursor.execute(sql.values(part, cells, drop=plan.drop)).fetchnumpy())
            return np.column_stack([np.ma.filled(columns[f"v{j}"], np.nan) for j in range(len(cells))])

        return np.concatenate(self._each(read))

    def spans(self) -> tuple[int, list[tuple[str, float, float]]]:
        """Number of rows, and (name, smallest, largest) of every column that holds numbers only, or nothing, and some number."""

        def look(part: sql.Part) -> tuple[Any, ...]:
            return self._ask(sql.spans(part))[0]

        rows, found = 0, dict.fromkeys(self.parts[0].names, (0, 0, math.inf, -math.inf))
        for part, (count, *numbers) in zip(self.parts, self._each(look), strict=True):
            rows += int(count)
            for j, name in enumerate(part.names):
                usable, wrong, low, high = numbers[4 * j : 4 * j + 4]
                before = found[name]
                extremes = (min(before[2], low), max(before[3], high)) if usable else before[2:]
                found[name] = (before[0] + usable, before[1] + wrong, *extremes)
        return rows, [(name, low, high) for name, (usable, wrong, low, high) in found.items() if usable and not wrong]

    def _each(self, work: Callable[[sql.Part], T]) -> list[T]:
        if len(self.parts) == 1:
            return [work(self.parts[0])]
        with ThreadPoolExecutor(min(len(self.parts), len(os.sched_getaffinity(0)))) as pool:
            return list(pool.map(work, self.parts))

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        return self._guarded(lambda cursor: cursor.execute(query).fetchall())

    def _guarded(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        try:  # parts are read side by side, each by a cursor; what is registered is seen by its own connection only
            return work(self._connection if len(self.parts) == 1 else silent(self._connection.cursor()))
        except duckdb.Error as error:
            raise DataError(f"{self.name} cannot be read: {self._explained(error)}") from None

    def _explained(self, error: duckdb.Error) -> str:
        """What DuckDB says, without the rows it may show."""
        return first_line(error)


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory that reads what it is told to, and nothing from a network."""
    return silent(duckdb.connect(config=_SETTINGS))


def silent(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, which prints no progress; DuckDB's would end up between a node's own lines."""
    return connection.execute("SET enable_progress_bar = false")


def aliased(source: str, count: int) -> str:
    """A relation whose columns are named by their position."""
    return f"{source} AS source({', '.join(f'c{j}' for j in range(count))})"


def described(connection: duckdb.DuckDBPyConnection, source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and types of the columns of a relation."""
    rows = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return tuple(row[0] for row in rows), tuple(row[1] for row in rows)


def first_line(error: duckdb.Error) -> str:
    """The first line of what DuckDB says: the others may show rows."""
    return str(error).partition("\n")[0]


def moments_of_blocks(answer: duckdb.DuckDBPyConnection, plan: Plan, shift: Array) -> Moments:
    """Of what `sql.rows` answers, a block of rows at a time."""
    lows, highs = np.array(plan.ranges).T
    parts = []
    while block := answer.fetchmany(max(1, BLOCK_VALUES // len(shift))):
        rows = np.array(block, dtype=np.float64)  # None becomes NaN
        values = rows[rows[:, 0] == 1, 1:]
        there = ~np.isnan(values)
        with np.errstate(invalid="ignore", over="ignore"):
            fits = (~there | ((values >= lows) & (values <= highs))).all(axis=0).astype(np.float64)
            about = np.where(there, values - shift, 0.0)
            sums = about.sum(axis=0), about.T @ about
        parts.append(Moments.of_sums(len(rows), len(values), there.sum(axis=0).astype(np.float64), fits, shift, *sums))
    nothing = np.zeros_like(shift)
    return Moments.merged(parts or [Moments.of_sums(0, 0, nothing, nothing + 1, shift, nothing, np.outer(nothing, nothing))])
