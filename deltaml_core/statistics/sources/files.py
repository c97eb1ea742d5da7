"""Files: CSV and Parquet, one or many that belong together, read out of core."""

from __future__ import annotations

import glob
import hashlib
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import duckdb

from deltaml_core.errors import DataError
from deltaml_core.statistics.sources import sql
from deltaml_core.statistics.sources.base import Plan
from deltaml_core.statistics.sources.csv import Csv, CsvFile
from deltaml_core.statistics.sources.local import LocalTable, aliased, connect, described, first_line

ROWS_A_PART = 1 << 21
"""Row groups of a Parquet file are summed in parts of about so many rows: enough to keep the cores busy, few enough to plan quickly."""

_MAGIC = b"PAR1"
_BLOCK = 1 << 20


class FileTable(LocalTable):
    """Files whose rows stay in them.

    Attributes:
        paths: the files, in order.
    """

    def __init__(self, paths: Sequence[Path], csv: Csv | None = None) -> None:
        """Look at the files' headers.

        Args:
            paths: one at least.
            csv: how the text files among them are written, where that is not to be found out.

        Raises:
            DataError: one cannot be read, or they have different columns.
        """
        self.paths = tuple(paths)
        connection = connect()
        self._csv: dict[Path, CsvFile] = {}
        parts: list[sql.Part] = []
        for path in self.paths:
            found = parquet_parts(connection, path) if is_parquet(path) else [self._text(path, csv or Csv(path))]
            if parts and set(found[0].names) != set(parts[0].names):
                here, there = ", ".join(found[0].names), ", ".join(parts[0].names)
                raise DataError(f"{path} has the columns {here}, but {self.paths[0]} has {there}: files that belong together have the same")
            parts += found
        name = str(self.paths[0]) if len(self.paths) == 1 else f"{self.paths[0]} and {len(self.paths) - 1} more files"
        super().__init__(name, parts, connection)

    def commitment(self, plan: Plan, salt: bytes) -> bytes:
        """SHA-256 of the salt, the names of the columns used, and every file's length and bytes, in order.

        It is the files that an owner is bound to, not the order in which it reads them: two files of the same rows differ.
        """
        names = repr([column.name for column in plan.columns]).encode()
        digest = hashlib.sha256(salt + len(names).to_bytes(8, "big") + names)
        for path in self.paths:
            try:
                digest.update(path.stat().st_size.to_bytes(8, "big"))
                with path.open("rb") as file:
                    while block := file.read(_BLOCK):
                        digest.update(block)
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}") from error
        return digest.digest()

    def _text(self, path: Path, csv: Csv) -> sql.Part:
        self._csv[path] = CsvFile.looked_at(path, csv)
        return self._csv[path].part

    def _explained(self, error: duckdb.Error) -> str:
        for path, file in self._csv.items():
            if (fault := file.fault(error)) and (len(self._csv) == 1 or str(path) in str(error)):
                return fault
        return super()._explained(error)


def open_files(path: Path | str, csv: Csv | None = None) -> FileTable:
    """The file of this path, or all that a pattern with `*`, `?`, `[...]` or `**` matches, in the order of their names.

    Raises:
        DataError: there is none, or one cannot be read.
    """
    text = str(path)
    if "://" in text:
        raise DataError(f"{text} cannot be read: only files of this machine are, nothing is fetched from a network")
    if Path(text).exists():
        return FileTable([Path(text)], csv)
    paths = [Path(found) for found in sorted(glob.glob(text, recursive=True)) if Path(found).is_file()]
    if not paths:
        raise DataError(f"{text} cannot be read: there is no such file, and no file matches it as a pattern")
    return FileTable(paths, csv)


def is_parquet(path: Path) -> bool:
    """Whether a file says so in its first bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def parquet_parts(connection: duckdb.DuckDBPyConnection, path: Path) -> list[sql.Part]:
    """A Parquet file in parts of whole row groups; the same parts on every machine."""
    file = sql.literal(glob.escape(str(path)))
    read = f"read_parquet({file}, file_row_number=true, hive_partitioning=false)"
    try:
        names, types = described(connection, f"read_parquet({file}, hive_partitioning=false)")
        groups = connection.execute(
            f"SELECT any_value(row_group_num_rows) FROM parquet_metadata({file}) GROUP BY row_group_id ORDER BY row_group_id"
        ).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from None
    parts = []
    for low, high in _spans([int(rows) for (rows,) in groups]):
        rows = f"(SELECT * EXCLUDE (file_row_number) FROM {read} WHERE file_row_number >= {low} AND file_row_number < {high})"
        parts.append(sql.Part(aliased(rows, len(names)), names, types))
    return parts


def _spans(groups: Sequence[int]) -> list[tuple[int, int]]:
    """First row, and the one behind the last, of parts of whole row groups; a power of two of them, so that cores are evenly busy."""
    ends = [0, *itertools.accumulate(groups)]
    count = 1 << max(0, round(math.log2(max(1, ends[-1]) / ROWS_A_PART)))
    cuts = sorted({min(ends, key=lambda end: abs(end - ends[-1] * part / count)) for part in range(count + 1)})
    return list(itertools.pairwise(cuts)) or [(0, 0)]
