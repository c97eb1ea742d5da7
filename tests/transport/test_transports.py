"""Every transport keeps the promises of `transport/base.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from places import HttpPlace, LocalPlace, NatsPlace, Place
from transport_behaviour import TransportBehaviour


class TestLocal(TransportBehaviour):
    """A mail room."""

    @pytest.fixture
    def place(self) -> Iterator[Place]:
        place = LocalPlace()
        yield place
        place.close()


class TestHttp(TransportBehaviour):
    """An aggregator's server."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        place = HttpPlace(tmp_path)
        yield place
        place.close()


class TestNats(TransportBehaviour):
    """An aggregator's broker."""

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        place = NatsPlace(tmp_path)
        yield place
        place.close()
