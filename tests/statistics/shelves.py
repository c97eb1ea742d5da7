"""The same rows as every kind of source that this machine can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from deltaml_core.statistics import Query

Columns = dict[str, list[Any]]


def _pandas(columns: Columns) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def _arrow(columns: Columns) -> Any:
    return pytest.importorskip("pyarrow").table(columns)


def _parquet(columns: Columns, folder: Path, name: str = "rows.parquet") -> Path:
    """Written by DuckDB, so that it needs no other package; types are DuckDB's guess at the Python values."""
    path = folder / name
    names = [_quoted(name) for name in columns]
    rows = list(zip(*columns.values(), strict=True))
    with duckdb.connect() as connection:
        kinds = ", ".join(f"{name} {_kind(values)}" for name, values in zip(names, columns.values(), strict=True))
        connection.execute(f"CREATE TABLE rows ({kinds})")
        connection.executemany(f"INSERT INTO rows VALUES ({', '.join('?' * len(names))})", rows)
        connection.execute(f"COPY rows TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
    return path


def _kind(values: Sequence[Any]) -> str:
    return "DOUBLE" if all(value is None or isinstance(value, int | float) for value in values) else "VARCHAR"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _csv(columns: Columns, folder: Path, separator: str = ",", decimal: str = ".", name: str = "rows.csv") -> Path:
    def shown(value: Any) -> str:
        return "" if value is None else str(value).replace(".", decimal) if isinstance(value, float) else str(value)

    lines = [separator.join(columns), *(separator.join(map(shown, row)) for row in zip(*columns.values(), strict=True))]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _two_files(columns: Columns, folder: Path) -> str:
    """The second with its columns in another order."""
    half = len(next(iter(columns.values()))) // 2
    (folder / "parts").mkdir(exist_ok=True)
    _parquet({name: values[:half] for name, values in columns.items()}, folder / "parts", "1.parquet")
    _csv({name: columns[name][half:] for name in reversed(columns)}, folder / "parts", name="2.csv")
    return str(folder / "parts" / "*")


def _relation(columns: Columns, folder: Path) -> duckdb.DuckDBPyRelation:
    return duckdb.connect().sql(f"SELECT * FROM '{_parquet(columns, folder)}'")


def _dask(columns: Columns) -> Any:
    return pytest.importorskip("dask.dataframe").from_pandas(_pandas(columns), npartitions=3)


def _pair(columns: Columns) -> tuple[Any, Any]:
    *features, target = columns.values()
    return np.array(features, dtype=object).T, target


MAKERS: dict[str, Callable[[Columns, Path], Any]] = {
    "CSV": _csv,
    "CSV with decimal commas": lambda columns, folder: _csv(columns, folder, ";", ","),
    "Parquet": _parquet,
    "files of a pattern": _two_files,
    "query": lambda columns, folder: Query(f"SELECT * FROM '{_parquet(columns, folder)}';"),
    "relation": _relation,
    "pandas": lambda columns, folder: _pandas(columns),
    "Polars": lambda columns, folder: pytest.importorskip("polars").DataFrame(columns),
    "Arrow": lambda columns, folder: _arrow(columns),
    "Dask": lambda columns, folder: _dask(columns),
    "arrays": lambda columns, folder: _pair(columns),
}
"""By kind: from columns by name (None is a missing value; the target last) and an empty folder, the source."""
