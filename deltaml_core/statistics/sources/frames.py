"""Tables in this process's memory, and DuckDB queries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from deltaml_core.errors import DataError
from deltaml_core.statistics.sources import sql
from deltaml_core.statistics.sources.local import LocalTable, aliased, connect, described, first_line

_VIEW = "deltaml_source"


@dataclass(frozen=True)
class Query:
    """A query whose rows are the data, for example over several files: `Query("SELECT * FROM 'visits/*.parquet' WHERE age >= 18")`.

    It is the owner's own text and runs with the owner's rights; nothing of a request is ever part of it.

    Attributes:
        text: in DuckDB's SQL.
    """

    text: str


class FrameTable(LocalTable):
    """A pandas, Polars or Arrow table, or columns of NumPy arrays, which DuckDB reads where they are."""

    def __init__(self, frame: object, names: Sequence[str], kind: str) -> None:
        """Look at the columns.

        Args:
            frame: what DuckDB can register.
            names: its columns, as its owner has them: DuckDB renames those that are there twice.
            kind: what it is, for people.

        Raises:
            DataError: it has no columns, or DuckDB cannot read it.
        """
        if not names:
            raise DataError(f"the {kind} has no columns")
        connection = connect()
        try:
            connection.register(_VIEW, frame)
            _, types = described(connection, _VIEW)
        except duckdb.Error as error:
            raise DataError(f"the {kind} cannot be read: {first_line(error)}") from None
        super().__init__(f"the {kind}", [sql.Part(aliased(_VIEW, len(names)), tuple(names), types)], connection)


class QueryTable(LocalTable):
    """A query of DuckDB."""

    def __init__(self, query: Query) -> None:
        """Plan it.

        Raises:
            DataError: DuckDB cannot run it.
        """
        connection = connect()
        text = query.text.strip().rstrip(";")
        try:
            names, types = described(connection, f"({text}\n)")
        except duckdb.Error as error:
            raise DataError(f"the query cannot be run: {first_line(error)}") from None
        super().__init__("the query", [sql.Part(aliased(f"({text}\n)", len(names)), names, types)], connection)


class RelationTable(LocalTable):
    """A relation of a connection of the caller's, which is read on that connection, with its threads.

    Its sums are right to the last digits but one, and not the same bits in every run: a node takes files instead.
    """

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        names, types = tuple(relation.columns), tuple(str(one) for one in relation.types)
        super().__init__("the relation", [sql.Part(aliased(_VIEW, len(names)), names, types)], _OnRelation(relation))  # type: ignore[arg-type]


class _OnRelation:
    """Runs queries about a relation as a connection does."""

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self._relation = relation
        self._answer: Any = relation
        self._left: Iterator[tuple[Any, ...]] | None = None

    def execute(self, query: str) -> _OnRelation:
        self._left = None
        self._answer = self._relation.query(_VIEW, query)
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._answer.fetchall()
        return rows

    def fetchnumpy(self) -> Any:
        return self._answer.fetchnumpy()

    def fetchmany(self, count: int) -> list[tuple[Any, ...]]:
        """A relation has no such thing: its answer is fetched whole, and handed out in pieces."""
        if self._left is None:
            self._left = iter(self.fetchall())
        return list(itertools.islice(self._left, count))


def pandas_table(frame: Any) -> FrameTable:
    """Of a pandas data frame; its index is no column."""
    return FrameTable(frame.reset_index(drop=True), [str(name) for name in frame.columns], "pandas data frame")


def arrow_table(table: Any) -> FrameTable:
    """Of an Arrow table or record batch."""
    return FrameTable(table, table.schema.names, "Arrow table")


def polars_table(frame: Any) -> FrameTable:
    """Of a Polars data frame; a lazy one is collected. Without pyarrow its columns go by way of NumPy."""
    frame = frame.collect() if hasattr(frame, "collect") else frame
    names = [str(name) for name in frame.columns]
    try:
        return FrameTable(frame.to_arrow(), names, "Polars data frame")
    except ModuleNotFoundError:
        columns = {f"c{j}": frame.to_series(j).to_numpy() for j in range(len(names))}
        return FrameTable(columns, names, "Polars data frame")


def numpy_table(X: npt.ArrayLike, y: npt.ArrayLike, features: Sequence[str] | None = None, target: str = "target") -> FrameTable:
    """Of a pair of arrays.

    Args:
        X: (m, n), numbers or texts; None and NaN are missing values.
        y: (m,).
        features: names of X's columns; by default `x1, x2, ...`.
        target: name of y.

    Raises:
        DataError: shapes or names that do not agree.
    """
    rows, goal = _array(X), _array(y)
    if rows.ndim != 2 or goal.ndim != 1:
        raise DataError(f"X must have two dimensions and y one, not {rows.ndim} and {goal.ndim}; for one feature use X.reshape(-1, 1)")
    if len(rows) != len(goal):
        raise DataError(f"X has {len(rows)} rows and y has {len(goal)}: every row needs its target")
    names = list(features) if features is not None else [f"x{j + 1}" for j in range(rows.shape[1])]
    if len(names) != rows.shape[1]:
        raise DataError(f"X has {rows.shape[1]} columns, but {len(names)} names were given: {', '.join(names)}")
    columns = {f"c{j}": _typed(values) for j, values in enumerate([*rows.T, goal])}
    return FrameTable(columns, [*names, target], "pair of arrays")


def _array(values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Numbers as they are; anything mixed as objects, so that no number becomes text beside one."""
    try:
        array = np.asarray(values)
        return array if array.dtype.kind in "fiub" else np.asarray(values, dtype=object)
    except ValueError as error:
        raise DataError(f"rows must be of equal length: {error}") from error


def _typed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column of objects as numbers where all of them are, as text otherwise."""
    if values.dtype != object:
        return np.ascontiguousarray(values, dtype=np.float64 if values.dtype.kind == "f" else None)
    if all(value is None or (isinstance(value, int | float | np.number) and not isinstance(value, bool)) for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return np.array([None if value is None or value != value else str(value) for value in values], dtype=object)
