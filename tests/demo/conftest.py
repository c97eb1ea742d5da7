from __future__ import annotations

from collections.abc import Iterator

import pytest

from deltaml_core.chain import GanacheProcess


@pytest.fixture(scope="session")
def ganache() -> Iterator[GanacheProcess]:
    with GanacheProcess() as started:
        yield started
