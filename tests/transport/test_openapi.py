"""The server does what its OpenAPI page says, whatever it is asked (schemathesis)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from places import HttpPlace

from deltaml_core.transport.http import relay as relaying


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpPlace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relaying, "LONGEST_WAIT", 0.01)
        place = HttpPlace(Path(tmp_path_factory.mktemp("openapi")))
        yield place
        place.close()


@pytest.fixture(scope="module")
def api(place: HttpPlace) -> Any:
    return schemathesis.openapi.from_url(f"{place.server.url}/openapi.json")


@pytest.fixture(scope="module")
def token(place: HttpPlace) -> str:
    return place.token(place.people.one)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=60)
def test_every_route_answers_as_it_is_documented(case: Any, token: str) -> None:
    case.call_and_validate(headers={"authorization": f"Bearer {token}"})


@schema.parametrize()
@settings(max_examples=20)
def test_strangers_are_told_nothing_but_a_documented_fault(case: Any) -> None:
    answer = case.call_and_validate()
    if case.path in ("/messages", "/owners/me"):
        assert answer.status_code in (401, 405)
        assert answer.status_code != 401 or answer.json() == {"error": "sign in first"}
