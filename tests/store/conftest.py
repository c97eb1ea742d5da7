from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deltaml_core.chain import GanacheProcess
from deltaml_core.store.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ganache() -> Iterator[GanacheProcess]:
    with GanacheProcess() as started:
        yield started
