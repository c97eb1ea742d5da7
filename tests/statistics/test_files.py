"""CSV as people have it, Parquet in parts, patterns, and what an owner is bound to by a file."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import duckdb
import numpy as np
import pytest

from deltaml_core.errors import DataError, RequirementsError
from deltaml_core.statistics import Column, Csv, Query, Requirements, gram, open_source
from deltaml_core.statistics.sources import files

WANTED = Requirements((Column("größe", 0, 100),), Column("y", 0, 100))
ROWS = ([[1.5], [2.25], [3.0]], [10.0, 20.5, 30.0])


def _same(source: object, name: str = "größe") -> None:
    A, b, c, m = gram(source, features=[name], target="y")
    expected = gram(ROWS, features=["x"], target="y")
    assert (A.tolist(), b.tolist(), c, m) == (expected[0].tolist(), expected[1].tolist(), expected[2], expected[3])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separator_and_encoding_are_found_out(tmp_path: Path, encoding: str, separator: str) -> None:
    file = tmp_path / "rows.csv"
    lines = ["größe;y;note", "1.5;10;x", '2.25;20.5;"said ""no"""', "3;30;z"]
    file.write_text("\n".join(lines).replace(";", separator) + "\n", encoding=encoding)
    _same(file)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_decimal_commas_are_found_out_where_commas_separate_nothing(tmp_path: Path, separator: str, end: str) -> None:
    file = tmp_path / "rows.csv"
    lines = ["größe;y", "1,5;10", "2,25; 20,5 ", '"3";30']
    file.write_text(end.join(lines).replace(";", separator) + end, encoding="latin-1", newline="")
    _same(file)


def test_packed_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(gzip.compress("größe,y\n1.5,10\n2.25,20.5\n3,30\n".encode()))
    _same(file)


def test_what_is_stated_is_not_guessed(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("größe;y\n1,5;10\n2,25;20,5\n3;30\n", encoding="utf-8")
    _same(Csv(file, separator=";", decimal=",", encoding="utf-8"))
    with pytest.raises(DataError, match="2 of 3 values of 'größe' are not numbers: '1,5' for one; decimals need a point"):
        gram(Csv(file, decimal="."), features=["größe"], target="y")
    with pytest.raises(DataError, match="there is no column 'größe'"):
        gram(Csv(file, encoding="latin-1"), features=["größe"], target="y")


@pytest.mark.parametrize(
    ("separator", "decimal", "encoding", "why"),
    [
        ("::", None, None, "one sign"),
        ('"', None, None, "one sign"),
        (None, "'", None, "decimals follow"),
        (None, None, "klingon", "choose one of utf-8, utf-16, latin-1"),
        (",", ",", None, "cannot separate columns and decimals"),
    ],
)
def test_what_cannot_be_stated(separator: str | None, decimal: str | None, encoding: str | None, why: str) -> None:
    with pytest.raises(DataError, match=why):
        Csv("rows.csv", separator, decimal, encoding)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has no rows below its header line"),
        (b"x,y\n", "has no rows below its header line"),
        (b"x,y\n1,2\n3\n", "line 3 has 1 values where the header names 2 columns"),
        (b"x,y\n1,2\n3,4,5\n", "line 3 has 3 values where the header names 2 columns"),
        (b"x,x,y\n1,2,3\n", "2 columns stand for 'x': 'x', 'x'"),
        (b'"x\nz",y\n1,2\n', "line break in a column's name"),
        (b"x;y\n1.234,5;2\n1,5;2\n", "1 of 2 values of 'x' are not numbers: '1.234,5' for one"),
        (b"x,y\n1,2\n\xff\xfe,4\n", "1 of 2 values of 'x' are not numbers"),
        (b"1,2\n3,4\n", "there is no column 'x'"),
        (b"x,y\n1 000,2\n1e999,4\n,6\n7 kg,1\n", "column 'x' has 2 missing or infinite values among 4 rows"),
        (b"x,y\n1 000,2\n1e999,4\n,6\n7 kg,1\n", "2 of 4 values of 'x' are not numbers: '1 000' for one"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(why)) as refused:
        gram(file, features=["x"], target="y")
    assert str(file) in str(refused.value)


def test_signs_of_another_encoding_far_down_are_named(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"x,y\n" + b"1234567,2345678\n" * 100_000 + b"caf\xe9,2\n")
    with pytest.raises(DataError, match="is not written in utf-8: convert the file, or state what it is"):
        gram(file, features=["x"], target="y")


def test_errors_show_no_row(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("x,y\n1,2\nsecret,4711,5\n")
    with pytest.raises(DataError) as refused:
        gram(file, features=["x"], target="y")
    assert "secret" not in str(refused.value)
    assert "4711" not in str(refused.value)


@pytest.mark.parametrize("path", ["none.csv", "none*.parquet", "https://example.org/rows.parquet", "s3://bucket/rows.csv", "."])
def test_files_that_are_not_there_are_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        gram(path, features=["x"], target="y")


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"PAR1" + os.urandom(100))
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read"):
        gram(file, features=["x"], target="y")


@pytest.mark.parametrize("name", ["a[1].csv", "it's.csv", "a*b?.csv", "x=1 {y}.csv"])
def test_a_file_of_any_name_is_that_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("größe,y\n1.5,10\n2.25,20.5\n3,30\n", encoding="utf-8")
    (tmp_path / "a1.csv").write_text("größe,y\n9,9\n", encoding="utf-8")
    _same(tmp_path / name)


def test_files_that_belong_together_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("x,y\n1,2\n")
    (tmp_path / "2.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match=r"2\.csv has the columns x, z, but .*1\.csv has x, y"):
        open_source(tmp_path / "*.csv")


def test_a_query_that_cannot_run_is_refused() -> None:
    for text in ("SELECT", "SELECT * FROM nowhere", "DROP TABLE x", ""):
        with pytest.raises(DataError, match="the query cannot be run"):
            gram(Query(text), features=["x"], target="y")


# --- Parquet in parts --------------------------------------------------------------------------------------------


def _parquet(folder: Path, rows: int, name: str = "rows.parquet") -> Path:
    path = folder / name
    query = "SELECT i % 97 + 1e6 AS x, sin(i) AS z, 3 * sin(i) + i % 7 AS y"
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query} FROM range({rows}) r(i)) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
    return path


def test_parts_do_not_depend_on_the_cores_and_neither_do_the_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that is started again on another number of cores must come to the same numbers."""
    monkeypatch.setattr(files, "ROWS_A_PART", 5000)
    path = _parquet(tmp_path, 30_000)
    found = []
    for cores in (1, 2, 7):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        table = open_source(path)
        assert len(table.parts) == 8
        found.append([part.tobytes() if isinstance(part, np.ndarray) else part for part in gram(table, features=["x", "z"], target="y")])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("rows_a_part", [1000, 5000, 10**9])
def test_parts_cover_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_a_part: int) -> None:
    monkeypatch.setattr(files, "ROWS_A_PART", rows_a_part)
    i = np.arange(30_000)
    X = np.column_stack([i % 97 + 1e6, np.sin(i), np.ones(len(i))])
    A, _, _, m = gram(_parquet(tmp_path, len(i)), features=["x", "z"], target="y")
    assert m == len(i)
    assert np.allclose(A, X.T @ X, rtol=1e-9, atol=1e-9 * 1e6 * len(i))


def test_loaded_rows_are_those_of_the_file_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_A_PART", 5000)
    requirements = Requirements((Column("z", -1, 1),), Column("y", -10, 10))
    loaded = open_source(_parquet(tmp_path, 30_000)).select(requirements).load()
    assert np.allclose(loaded.X[:, 0], np.sin(np.arange(30_000)), rtol=1e-12)
    assert loaded.rows == 30_000


# --- commitment --------------------------------------------------------------------------------------------------


def test_the_commitment_binds_salt_columns_and_every_byte(tmp_path: Path) -> None:
    def committed(text: str, wanted: Requirements = WANTED, salt: bytes = b"salt", name: str = "rows.csv") -> bytes:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return bytes(open_source(tmp_path / name).select(wanted).commitment(salt))

    text = "größe,y,z\n1,2,3\n4,5,6\n"
    first = committed(text)
    assert len(first) == 32
    assert committed(text) == committed(text, name="other.csv") == first
    other = Requirements((Column("z", 0, 100),), Column("y", 0, 100))
    assert len({first, committed(text, salt=b"tals"), committed(text, other), committed(text + "7,8,9\n"), committed(text[:-1])}) == 5


def test_a_scan_serves_its_request_and_scans_anew_for_another(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("größe,y\n1,2\n4,5\n", encoding="utf-8")
    scan = open_source(tmp_path / "rows.csv").select(WANTED)
    assert scan.select(WANTED) is scan
    assert scan.mismatches(WANTED) == []
    narrow = Requirements((Column("größe", 0, 2),), Column("y", 0, 100))
    assert scan.mismatches(narrow) == ["1 of 2 values of 'größe' lie outside [0, 2] (they span [1, 4])"]
    with pytest.raises(RequirementsError, match="1 of 2 values"):
        scan.select(narrow)
