"""The right to run an identity: one process at a time, so that nobody signs two answers to one message.

The holder renews its lease; who finds it expired, or held by a process of this machine that has ended, takes it over.
"""

from __future__ import annotations

import platform
import secrets
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psutil
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from deltaml_core.errors import LeaseError, StoreError
from deltaml_core.store.database import Database
from deltaml_core.store.schema import lease

SECONDS = 30.0
"""A lease that was not renewed for so long has expired."""

RENEW_SECONDS = 5.0
"""How often it is renewed."""
_CLOCK_SECONDS = 2.0  # two readings of when a process began may differ by this


class Lease:
    """Held from entering to leaving a `with` block.

    Raises:
        LeaseError: on entering, another process holds it.
    """

    def __init__(self, database: Database, lost: Callable[[BaseException], None]) -> None:
        """The lease of this store's identity.

        Args:
            database: the store.
            lost: told, in a thread of the lease's, that it is not held any more: this process stood still for too long.
        """
        self._database = database
        self._lost = lost
        self._holder = secrets.token_hex(16)
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        """Take the lease."""
        process = psutil.Process()
        row = {
            "id": 1,
            "holder": self._holder,
            "host": platform.node(),
            "process": process.pid,
            "started": process.create_time(),
            "expires": time.time() + SECONDS,
        }
        with self._database.writing() as connection:
            held = connection.execute(select(lease)).first()
            if held is not None and held.expires > time.time() and not _has_ended(held.host, held.process, held.started):
                raise LeaseError(
                    f"this identity runs already, as process {held.process} on {held.host}: stop that one first, or wait "
                    f"{held.expires - time.time():.0f} s if that machine has gone"
                )
            connection.execute(insert(lease).values(row).on_conflict_do_update(index_elements=["id"], set_=row))
        self._renewer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give it back."""
        self._ended.set()
        self._renewer.join()
        with self._database.writing() as connection:
            connection.execute(delete(lease).where(lease.c.holder == self._holder))

    def _renew(self) -> None:
        try:
            while not self._ended.wait(RENEW_SECONDS):
                self._renew_once()
        except StoreError as error:
            self._lost(error)

    def _renew_once(self) -> None:
        renewed = update(lease).where(lease.c.holder == self._holder).values(expires=time.time() + SECONDS)
        with self._database.writing() as connection:
            if connection.execute(renewed).rowcount == 0:
                raise LeaseError("another process runs this identity now: this one was not heard of for too long, and ends")


def running(database: Database) -> int | None:
    """The process that runs this store's identity, as far as can be told from here; None when there is none."""
    with database.reading() as connection:
        held = connection.execute(select(lease)).first()
    if held is None or held.expires < time.time() or _has_ended(held.host, held.process, held.started):
        return None
    return int(held.process)


def _has_ended(host: str, process: int, started: float) -> bool:
    """Whether a process of this machine is gone, or another one has its number now."""
    if host != platform.node():
        return False
    try:
        return abs(psutil.Process(process).create_time() - started) > _CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return True
