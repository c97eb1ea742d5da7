"""A store's file: brought to the present form, never half-written, and refused by name when it is none."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select

from deltaml_core.errors import StoreError
from deltaml_core.store.database import Database
from deltaml_core.store.schema import facts, metadata


def test_the_migrations_lead_to_the_schema(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_an_opened_store_is_opened_again_with_what_it_holds(tmp_path: Path) -> None:
    for value in (1, 2):
        database = Database(tmp_path / "store.db")
        with database.writing() as connection:
            connection.execute(facts.insert().values(name=str(value), value=value))
        database.close()
    database = Database(tmp_path / "store.db")
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(facts)).scalar() == 2
    database.close()


def test_only_its_user_reads_it(tmp_path: Path) -> None:
    Database(tmp_path / "home" / "store.db").close()
    assert (tmp_path / "home" / "store.db").stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as connection:  # noqa: PT012
        connection.execute(facts.insert().values(name="half", value=1))
        1 / 0  # noqa: B018
    with database.reading() as connection:
        assert connection.execute(select(facts)).all() == []


def test_every_write_survives_a_power_cut(database: Database) -> None:
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_threads_write_one_after_the_other(database: Database) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 25):
            with database.writing() as connection:
                before = connection.execute(select(func.count()).select_from(facts)).scalar()
                connection.execute(facts.insert().values(name=str(number), value=before))

    threads = [threading.Thread(target=write, args=(start,)) for start in (0, 25, 50, 75)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as connection:
        assert sorted(connection.execute(select(facts.c.value)).scalars()) == list(range(100))


def test_what_is_no_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"store\.db is no DeltaML store, or damaged .*: restore a copy, or choose another home"):
        Database(tmp_path / "store.db")


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreError):
        Database(tmp_path / "store.db")


def test_a_newer_store_is_named(tmp_path: Path) -> None:
    Database(tmp_path / "store.db").close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError, match="was written by a newer DeltaML: update this one"):
        Database(tmp_path / "store.db")
