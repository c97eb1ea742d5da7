"""The file behind a store: its form, its faults by name, and that a write is whole or nothing."""

from __future__ import annotations

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, select

from deltaml_core.errors import StoreError
from deltaml_core.store.database import Database
from deltaml_core.store.schema import facts, metadata


def names(database: Database) -> list[str]:
    with database.reading() as connection:
        return list(connection.execute(select(facts.c.name).order_by(facts.c.name)).scalars())


def test_migrations_lead_to_the_schema(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_a_store_opened_again_has_what_it_had(tmp_path: Path) -> None:
    for known in ([], ["1"], ["1", "2"]):
        with closing(Database(tmp_path / "store.db")) as database:
            assert names(database) == known
            with database.writing() as connection:
                connection.execute(insert(facts).values(name=str(len(known) + 1), value=None))


def test_only_its_user_reads_it(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "new" / "store.db")) as database, database.writing() as connection:
        connection.execute(insert(facts).values(name="a", value=1))
        for path in (tmp_path / "new").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"these are no tables, however one looks at them\n" * 50, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="no DeltaML store, or damaged"):
        Database(path)
    assert path.read_bytes() == content


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "store.db")) as foreign:
        foreign.execute("CREATE TABLE messages (text)")
        foreign.commit()
    with pytest.raises(StoreError, match=r"already exists.*another home|another program"):
        Database(tmp_path / "store.db")


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    with pytest.raises(StoreError, match="newer DeltaML: update this one"):
        Database(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be opened"):
        Database(tmp_path / "file" / "store.db")


def test_a_page_that_was_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with closing(Database(path)) as database, database.writing() as connection:
        connection.execute(insert(facts), [{"name": f"{number:0200d}", "value": number} for number in range(200)])
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), closing(Database(path)) as database:
        names(database)


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def write_half() -> None:
        with database.writing() as connection:
            connection.execute(insert(facts).values(name="half", value=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert names(database) == []


def test_writers_take_turns(database: Database) -> None:
    def count() -> None:
        for _ in range(20):
            with database.writing() as connection:
                found = connection.execute(select(func.count()).select_from(facts)).scalar_one()
                connection.execute(insert(facts).values(name=f"{found:03d}", value=found))

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(database) == [f"{number:03d}" for number in range(40)]


def test_a_reader_sees_one_state_while_another_writes(database: Database) -> None:
    with database.reading() as reading:
        assert reading.execute(select(func.count()).select_from(facts)).scalar_one() == 0
        with database.writing() as writing:
            writing.execute(insert(facts).values(name="new", value=1))
        assert reading.execute(select(func.count()).select_from(facts)).scalar_one() == 0
    assert names(database) == ["new"]


def test_stores_may_be_opened_in_many_threads_at_once(tmp_path: Path) -> None:
    def open_and_close(number: int) -> None:
        Database(tmp_path / f"{number % 4}.db").close()

    with ThreadPoolExecutor(8) as threads:
        assert len(list(threads.map(open_and_close, range(40)))) == 40
