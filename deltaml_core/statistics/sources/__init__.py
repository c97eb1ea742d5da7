"""Kinds of sources: each knows how its rows are read; what is asked of them is the same for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from deltaml_core.errors import DataError
from deltaml_core.statistics.sources.base import Table
from deltaml_core.statistics.sources.cluster import DaskTable, SparkTable
from deltaml_core.statistics.sources.csv import Csv
from deltaml_core.statistics.sources.files import FileTable, open_files
from deltaml_core.statistics.sources.frames import (
    Query,
    QueryTable,
    RelationTable,
    arrow_table,
    numpy_table,
    pandas_table,
    polars_table,
)

__all__ = ["Csv", "FileTable", "Query", "Table", "numpy_table", "open_files", "open_source"]

_FRAMES = {
    ("pandas", "DataFrame"): pandas_table,
    ("polars", "DataFrame"): polars_table,
    ("polars", "LazyFrame"): polars_table,
    ("pyarrow", "Table"): arrow_table,
    ("pyarrow", "RecordBatch"): arrow_table,
    ("dask", "DataFrame"): DaskTable,
    ("pyspark", "DataFrame"): SparkTable,
}
"""By package and class; none of the packages is imported to find out."""


def open_source(source: Any) -> Table:
    """Data of any kind.

    Args:
        source: path or pattern of CSV or Parquet files, `Csv(...)`, `Query("SELECT ...")`, a relation of DuckDB, a data frame or table of
            pandas, Polars, Arrow, Dask or Spark, a pair `(X, y)` of arrays, or what this function has returned.

    Raises:
        DataError: it is something else, or cannot be read.
    """
    match source:
        case Table():
            return source
        case str() | Path():
            return open_files(source)
        case Csv():
            return open_files(source.path, source)
        case Query():
            return QueryTable(source)
        case duckdb.DuckDBPyRelation():
            return RelationTable(source)
        case (X, y):
            return numpy_table(X, y)
    for kind in type(source).__mro__:
        if make := _FRAMES.get((kind.__module__.partition(".")[0], kind.__name__)):
            return make(source)
    raise DataError(
        f"a {type(source).__name__} is no source of data: give a path, a pattern, a Query, a relation of DuckDB, a data frame of pandas, "
        "Polars, Arrow, Dask or Spark, or a pair (X, y)"
    )
