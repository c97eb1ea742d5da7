from __future__ import annotations

from collections.abc import Iterator

import pytest
from nodes import DevNode, start_node
from scenario import Market

from deltaml_core.chain import GanacheProcess


@pytest.fixture(scope="session", params=["ganache", "anvil"])
def node(request: pytest.FixtureRequest) -> Iterator[DevNode]:
    """Each chain in turn: a test that takes it, or a market, runs once on either."""
    with start_node(request.param) as started:
        yield started


@pytest.fixture(scope="session")
def ganache() -> Iterator[GanacheProcess]:
    with GanacheProcess() as started:
        yield started


@pytest.fixture(scope="module")
def market(node: DevNode) -> Market:
    return Market.open(node)
