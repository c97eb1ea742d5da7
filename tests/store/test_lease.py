"""One identity runs once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select, update

from deltaml_core.errors import LeaseError
from deltaml_core.store import lease as lease_module
from deltaml_core.store.database import Database
from deltaml_core.store.lease import Lease, running
from deltaml_core.store.schema import lease

HOLDER = """
import sys
from pathlib import Path
from deltaml_core.store.database import Database
from deltaml_core.store.lease import Lease
with Lease(Database(Path(sys.argv[1])), print):
    print("held", flush=True)
    sys.stdin.read()
"""


def never(error: BaseException) -> None:
    raise AssertionError(error)


def test_two_holders_are_refused_and_a_lease_given_back_is_free(database: Database) -> None:
    assert running(database) is None
    with Lease(database, never):
        assert running(database) == os.getpid()
        with pytest.raises(LeaseError, match=f"runs already, as process {os.getpid()}"), Lease(database, never):
            pass
        assert running(database) == os.getpid()
    assert running(database) is None
    with Lease(database, never):
        pass


def test_a_living_process_keeps_it_and_a_killed_ones_is_taken_over_at_once(database: Database) -> None:
    child = subprocess.Popen([sys.executable, "-c", HOLDER, database.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert running(database) == child.pid
        with pytest.raises(LeaseError, match=f"process {child.pid}"), Lease(database, never):
            pass
        child.kill()
    assert running(database) is None
    with Lease(database, never):
        assert running(database) == os.getpid()


def test_another_process_of_the_same_number_does_not_hold_it(database: Database) -> None:
    with Lease(database, never):
        with database.writing() as connection:
            connection.execute(update(lease).values(started=lease.c.started - 3600))
        assert running(database) is None
        with Lease(database, never):
            pass


def test_another_machines_lease_holds_until_it_expires(database: Database) -> None:
    with Lease(database, never):
        with database.writing() as connection:
            connection.execute(update(lease).values(host="elsewhere", process=1))
        with pytest.raises(LeaseError, match="process 1 on elsewhere"), Lease(database, never):
            pass
        with database.writing() as connection:
            connection.execute(update(lease).values(expires=time.time() - 1))
        with Lease(database, never):
            pass


def test_it_is_renewed_while_it_is_held(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)

    def expires() -> float:
        with database.reading() as connection:
            return float(connection.execute(select(lease.c.expires)).scalar_one())

    with Lease(database, never):
        first = expires()
        while expires() == first:
            time.sleep(0.005)
        assert expires() > first


def test_a_holder_that_stood_still_is_told_that_another_took_over(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", 0.01)
    told, errors = threading.Event(), []

    def lost(error: BaseException) -> None:
        errors.append(error)
        told.set()

    with Lease(database, lost):
        with database.writing() as connection:
            connection.execute(update(lease).values(holder="another"))
        assert told.wait(60)
    assert isinstance(errors[0], LeaseError)
    with database.reading() as connection:
        assert connection.execute(select(lease.c.holder)).scalar_one() == "another"
