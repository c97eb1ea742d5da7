"""CSV as people have it: the separator, the encoding and the decimal mark are found out where they are unmistakable.

    separator   the one of `,` `;` tab `|` that parts the header line into the most names
    encoding    UTF-8 (with a byte order mark or without) or UTF-16 (with one); what is neither is read as Latin-1
    decimals    a point; a comma where columns are not separated by commas and the first rows hold numbers like 1,5

Latin-1 reads any byte as some sign, so a wrong guess can only spoil names and levels, which then are not found; numbers are the
same in all of these. In a file of decimal commas a point is no part of a number, so 1.234,5 is refused, not read as something else.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from deltaml_core.errors import DataError
from deltaml_core.statistics.sources import sql
from deltaml_core.statistics.sources.local import aliased, first_line

SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = ("utf-8", "utf-16", "latin-1")
_SAMPLE_BYTES = 1 << 20
_COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+\s*")
_RAGGED = re.compile(r"CSV Error on Line: (\d+).*?Expected Number of Columns: (\d+) Found: (\d+)", re.DOTALL)
_LINE = re.compile(r"CSV Error on Line: (\d+)")


@dataclass(frozen=True)
class Csv:
    """A CSV file whose owner says how it is written; what is None is found out.

    Attributes:
        path: of the file, or a pattern.
        separator: one sign between columns.
        decimal: "." or ",".
        encoding: one of `ENCODINGS`.
    """

    path: Path | str
    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            DataError: says what may be.
        """
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n\0'):
            raise DataError(f"columns are separated by one sign, not {self.separator!r}")
        if self.decimal not in (None, ".", ","):
            raise DataError(f"decimals follow '.' or ',', not {self.decimal!r}")
        if self.encoding not in (None, *ENCODINGS):
            raise DataError(f"the encoding {self.encoding!r} is not known; choose one of {', '.join(ENCODINGS)}, or convert the file")
        if self.separator == "," and self.decimal == ",":
            raise DataError("a comma cannot separate columns and decimals")


@dataclass(frozen=True)
class CsvFile:
    """A file that was looked at.

    Attributes:
        path: where it is.
        part: how DuckDB reads it.
        encoding: what it is taken to be written in.
    """

    path: Path
    part: sql.Part
    encoding: str

    @classmethod
    def looked_at(cls, path: Path, stated: Csv) -> CsvFile:
        """Read the first rows.

        Raises:
            DataError: there are none, or it cannot be read.
        """
        sample, whole = _sample(path)
        encoding = stated.encoding or _encoding(sample)
        text = _decoded(path, sample, encoding, whole=whole)
        separator = stated.separator or _separator(text)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        try:
            header = [name.strip() for name in next(rows, [])]
            first = [row for row, _ in zip(rows, range(1000), strict=False)]
        except csv.Error as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if not first:
            raise DataError(f"{path} has no rows below its header line")
        if "\n" in "".join(header):
            raise DataError(f"{path} has a line break in a column's name: rename it")
        decimal = stated.decimal or _decimal(separator, first)
        columns = ", ".join(f"'c{j}': 'VARCHAR'" for j in range(len(header)))
        options = (
            f"auto_detect=false, header=false, skip=1, delim={sql.literal(separator)}, quote='\"', escape='\"', "
            f"encoding={sql.literal(encoding)}, columns={{{columns}}}"
        )
        relation = aliased(f"read_csv({sql.literal(glob.escape(str(path)))}, {options})", len(header))
        return cls(path, sql.Part(relation, tuple(header), ("VARCHAR",) * len(header), decimal), encoding)

    def fault(self, error: duckdb.Error) -> str | None:
        """What is wrong with the file, where DuckDB says where; without the row it shows."""
        text = str(error)
        if ragged := _RAGGED.search(text):
            line, expected, found = ragged.groups()
            return f"line {line} has {found} values where the header names {expected} columns"
        if not (line_of := _LINE.search(text)):
            return None
        if "unicode" in text:
            return f"line {line_of[1]} is not written in {self.encoding}: convert the file, or state what it is: Csv(path, encoding=...)"
        return f"line {line_of[1]} cannot be parted into columns: {first_line(error)}"


def _sample(path: Path) -> tuple[bytes, bool]:
    """The first bytes, and whether they are all."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            sample = file.read(_SAMPLE_BYTES)
            return sample, not file.read(1)
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _encoding(sample: bytes) -> str:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _decoded(path: Path, sample: bytes, encoding: str, *, whole: bool) -> str:
    """The sample as text, without its last line where that may be cut."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)().decode(sample)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read: it is not written in {encoding}") from error
    return text if whole else text[: text.rfind("\n") + 1]


def _separator(text: str) -> str:
    line = text.partition("\n")[0]
    return max(SEPARATORS, key=lambda separator: len(next(csv.reader([line], delimiter=separator), [])))


def _decimal(separator: str, rows: list[list[str]]) -> str:
    has_commas = separator != "," and any(_COMMA_NUMBER.fullmatch(value) for row in rows for value in row)
    return "," if has_commas else "."
