from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from market import Market

from deltaml_core.chain import GanacheProcess


@pytest.fixture(scope="session")
def ganache() -> Iterator[GanacheProcess]:
    with GanacheProcess() as started:
        yield started


@pytest.fixture
def market(ganache: GanacheProcess, tmp_path: Path) -> Iterator[Market]:
    opened = Market(ganache, tmp_path)
    yield opened
    opened.close()
