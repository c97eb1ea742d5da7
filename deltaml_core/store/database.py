"""The file behind a node's store: SQLite with a write-ahead log, brought to the present form by alembic.

A write is on the disk when `writing` ends: what was acknowledged to others survives a killed process and a power cut. `noting` does not
wait for the disk: a killed process loses nothing of it, a power cut may lose the latest of it, never anything written before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from deltaml_core.errors import StoreError

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 30
_ALEMBIC = threading.Lock()
"""Alembic keeps what it is doing in module globals: one thread at a time."""


class Database:
    """A SQLite file that several threads may read and write; one writes at a time.

    Raises:
        StoreError: the file cannot be opened, is no store, or was written by a newer DeltaML.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; only this user can read it."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
        except OSError as error:
            raise StoreError(f"{path} cannot be opened: {error.strerror}") from error
        self._engine = create_engine(
            f"sqlite:///{path}", poolclass=QueuePool, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}
        )
        event.listen(self._engine, "connect", _set_up)
        event.listen(self._engine, "begin", _begin)
        self._turn = threading.Lock()  # SQLite has its own for writers, whose waiters sleep longer and longer between two looks
        try:
            self._migrate()
        except StoreError:
            self._engine.dispose()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of the store.

        Raises:
            StoreError: the file cannot be read.
        """
        with self._named_faults(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Everything written inside, or, after an exception or a crash, nothing.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._transaction("FULL") as connection:
            yield connection

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """Like `writing`, for what may be found unwritten after a power cut because it is then only done once more.

        Raises:
            StoreError: the file cannot be written.
        """
        with self._transaction("NORMAL") as connection:
            yield connection

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, synchronous: str) -> Iterator[Connection]:
        with self._turn, self._named_faults(), self._engine.connect() as connection:
            connection.execution_options(writes=synchronous)
            with connection.begin():
                yield connection

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        logging.getLogger("alembic").setLevel(logging.WARNING)
        with _ALEMBIC, self.writing() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise StoreError(f"{self.path} was written by a newer DeltaML: update this one ({error})") from error

    @contextmanager
    def _named_faults(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise StoreError(f"{self.path} cannot be used ({error.orig}): is the disk full, or another program at it?") from error
        except DatabaseError as error:
            raise StoreError(
                f"{self.path} is no DeltaML store, or damaged ({error.orig}): restore a copy, or choose another home"
            ) from error


def _set_up(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # the driver leaves BEGIN to `_begin`
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A transaction that will write takes its turn at once, so that none has to be undone half-way; it says if it waits for the disk."""
    synchronous = connection.get_execution_options().get("writes")
    if synchronous is None:
        connection.exec_driver_sql("BEGIN")
    else:
        if connection.info.get("synchronous") != synchronous:  # a connection keeps the setting, a pool hands it to anybody
            connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
            connection.info["synchronous"] = synchronous
        connection.exec_driver_sql("BEGIN IMMEDIATE")
