"""One process at a time runs an identity."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from deltaml_core.errors import LeaseError
from deltaml_core.store import lease as leases
from deltaml_core.store.database import Database
from deltaml_core.store.lease import Lease, running
from deltaml_core.store.schema import lease


def _unexpected(error: BaseException) -> None:
    raise AssertionError(f"the lease was lost: {error}")


def _hold(path: Path, held: Event) -> None:
    with Lease(Database(path), _unexpected):
        held.set()
        time.sleep(600)


def _elsewhere(database: Database) -> None:
    """Let the lease look like another machine's."""
    with database.writing() as connection:
        connection.execute(update(lease).values(host="elsewhere", holder="another"))


def test_a_second_holder_is_refused_and_told_who_holds_it(database: Database) -> None:
    with Lease(database, _unexpected):
        assert running(database) is not None
        with pytest.raises(LeaseError, match=r"this identity runs already, as process \d+ on"), Lease(database, _unexpected):
            pass
    assert running(database) is None
    with Lease(database, _unexpected):
        pass


def test_the_lease_of_a_killed_process_is_taken_over_at_once(database: Database) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    child = context.Process(target=_hold, args=(database.path, held))
    child.start()
    assert held.wait(60)
    assert running(database) == child.pid
    with pytest.raises(LeaseError), Lease(database, _unexpected):
        pass
    child.kill()
    child.join()
    child.close()
    assert running(database) is None
    with Lease(database, _unexpected):
        pass


def test_another_machines_lease_holds_until_it_expires(database: Database) -> None:
    with Lease(database, lambda error: None):
        _elsewhere(database)
    with pytest.raises(LeaseError, match="on elsewhere: stop that one first, or wait"), Lease(database, _unexpected):
        pass
    with database.writing() as connection:
        connection.execute(update(lease).values(expires=time.time() - 1))
    with Lease(database, _unexpected):
        pass


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def test_a_holder_renews_and_learns_that_it_lost_the_lease(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    lost: list[BaseException] = []

    def expires() -> float:
        with database.reading() as connection:
            return float(connection.execute(lease.select()).one().expires)

    with Lease(database, lost.append):
        first = expires()
        _wait_for(lambda: expires() > first)
        with database.writing() as connection:
            connection.execute(delete(lease))
        _wait_for(lambda: bool(lost))
    assert isinstance(lost[0], LeaseError)
