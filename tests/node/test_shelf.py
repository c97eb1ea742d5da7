"""Which files an owner has, which of them serve a request, and what is said of those that are not what they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest

from deltaml_core.errors import DataError
from deltaml_core.node.shelf import Shelf
from deltaml_core.statistics import Column, Dataset, Preprocessing, Requirements
from deltaml_core.statistics.sources.local import LocalTable
from deltaml_core.store.book import Book
from deltaml_core.store.database import Database

REQUIRED = Requirements((Column("x", 0, 10),), Column("y", 0, 10))


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    database = Database(tmp_path / "store.db")
    yield Book(database)
    database.close()


def _file(folder: Path, name: str, *rows: str) -> Path:
    path = folder / name
    path.write_text("\n".join(["x,y", *rows]) + "\n")
    return path


def test_of_every_data_set_it_is_said_why_it_does_not_serve(book: Book, tmp_path: Path) -> None:
    shelf = Shelf([_file(tmp_path, "good.csv", "1,2", "3,4"), _file(tmp_path, "far.csv", "1,2", "99,4")], book)
    reasons = {shelf.name(digest): reason for digest, reason in shelf.reasons(REQUIRED).items()}
    assert reasons["good.csv"] is None
    assert "1 of 2 values of 'x' lie outside [0, 10]" in str(reasons["far.csv"])


def test_files_of_earlier_days_are_taken_up_again(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _file(tmp_path, "rows.csv", "1,2", "3,4")
    Shelf([Path("rows.csv")], book)
    monkeypatch.chdir("/")
    again = Shelf([], book)
    assert list(again.reasons(REQUIRED).values()) == [None]


@pytest.mark.parametrize(("change", "said"), [("1,2\n", "was changed since"), (None, "cannot be read")])
def test_a_file_that_is_gone_or_changed_is_said_and_disturbs_no_other(book: Book, tmp_path: Path, change: str | None, said: str) -> None:
    lost, kept = _file(tmp_path, "lost.csv", "1,2", "3,4"), _file(tmp_path, "kept.csv", "5,6", "7,8")
    Shelf([lost, kept], book)
    if change is None:
        lost.unlink()
    else:
        lost.write_text("x,y\n" + change)
    again = Shelf([], book)
    reasons = {again.name(digest): reason for digest, reason in again.reasons(REQUIRED).items()}
    assert said in str(reasons["lost.csv"])
    assert reasons["kept.csv"] is None


def test_a_changed_file_that_is_added_anew_stands_for_itself_only(book: Book, tmp_path: Path) -> None:
    path = _file(tmp_path, "rows.csv", "1,2", "3,4")
    shelf = Shelf([path], book)
    (old,) = shelf.reasons(REQUIRED)
    _file(tmp_path, "rows.csv", "5,6", "7,8")
    new = shelf.add(path).digest
    for one in (shelf, Shelf([], book)):
        assert one.reasons(REQUIRED) == {new: None}
        with pytest.raises(DataError, match="was changed since: bring it back"):
            one.dataset(old, REQUIRED)


def test_a_parquet_file_is_a_data_set(book: Book, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT i / 100 AS x, 'a' AS name, i / 200 AS y FROM range(1000) r(i)) TO '{path}' (FORMAT parquet)")
    shelf = Shelf([path], book)
    (card,) = book.cards()
    assert (card.rows, [name for name, _, _ in card.columns]) == (1000, ["x", "y"])
    assert shelf.reasons(REQUIRED) == {card.digest: None}
    assert shelf.dataset(card.digest, REQUIRED).rows == 1000


def test_a_file_is_scanned_once_for_a_request(book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf([_file(tmp_path, "rows.csv", "1,2", "3,4")], book)
    (digest,) = shelf.reasons(REQUIRED)

    def scanned_again(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(LocalTable, "moments", scanned_again)
    assert shelf.reasons(REQUIRED) == {digest: None}
    assert shelf.dataset(digest, REQUIRED).select(REQUIRED).rows == 2


def test_sums_of_a_file_are_those_of_its_rows_in_memory(book: Book, tmp_path: Path) -> None:
    path = _file(tmp_path, "rows.csv", "1,2", "3,4", "5.5,0")
    shelf = Shelf([path], book)
    (digest,) = shelf.reasons(REQUIRED)
    found, expected = shelf.dataset(digest, REQUIRED).statistics(), Dataset.from_csv(path, "y").statistics()
    assert pytest.approx(expected.A, rel=1e-12) == found.A
    assert found.b == pytest.approx(expected.b, rel=1e-12)


def test_messy_columns_serve_a_request_that_says_what_is_done_with_them(book: Book, tmp_path: Path) -> None:
    path = tmp_path / "messy.csv"
    path.write_text("X cm;kind;y\n150,5;a;1\n;b;2\n120;b;3\n", encoding="latin-1")
    shelf = Shelf([path], book)
    prepared = Preprocessing.of(missing="drop", renames={"X cm": "x"}, units={"x": 0.01}, categories={"kind": ["a", "b"]})
    wanted = Requirements((Column("x", 1, 2), Column("kind=a", 0, 1)), Column("y", 0, 10), preprocessing=prepared)
    (card,) = book.cards()
    assert [name for name, _, _ in card.columns] == ["X cm", "y"]
    assert "there is no column 'x'" in str(shelf.reasons(REQUIRED)[card.digest])
    assert shelf.reasons(wanted) == {card.digest: None}
    assert pytest.approx(np.array([[1.505, 1.0], [1.2, 0.0]])) == shelf.dataset(card.digest, wanted).load().X


def test_a_table_without_numbers_is_refused(book: Book, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no column of numbers"):
        Shelf([_file(tmp_path, "words.csv", "a,b", "c,d")], book)
