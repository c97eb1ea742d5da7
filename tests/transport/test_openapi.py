"""The server does what its OpenAPI page says, whatever it is asked: schemathesis makes the calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from places import HttpPlace
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from deltaml_core.transport.http import relay as relaying

ROUTES = [
    ("/nonces", "POST"),
    ("/tokens", "POST"),
    ("/messages", "POST"),
    ("/messages", "GET"),
    ("/owners/me", "PUT"),
    ("/health", "GET"),
    ("/metrics", "GET"),
]
TOO_STRICT = [
    checks.positive_data_acceptance,  # that a message is canonical and signed, no JSON schema can say
    checks.ignored_auth,  # it does not see the header; strangers have a test of their own
]
FREE = [checks.negative_data_rejection]  # parameters that are none of the page's are overlooked


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpPlace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relaying, "LONGEST_WAIT", 0.01)
        place = HttpPlace(tmp_path_factory.mktemp("openapi"))
        yield place
        place.close()


@pytest.fixture(scope="module")
def api(place: HttpPlace) -> Any:
    return schemathesis.openapi.from_url(f"{place.server.url}/openapi.json")


@pytest.fixture(scope="module")
def signed_in(place: HttpPlace) -> dict[str, str]:
    return {"authorization": f"Bearer {place.token(place.people.one)}"}


def cases(api: Any, path: str, method: str) -> st.SearchStrategy[Any]:
    """Calls as the page allows them, and calls as it does not."""
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if path in ("/tokens", "/messages") else (GenerationMode.POSITIVE,)
    return st.one_of(*(api[path][method].as_strategy(generation_mode=mode) for mode in modes))


def test_these_are_all_routes(api: Any) -> None:
    found = [(route.ok().path, route.ok().method.upper()) for route in api.get_all_operations()]
    assert sorted(found) == sorted(ROUTES)


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_a_route_answers_as_it_is_documented(path: str, method: str, api: Any, signed_in: dict[str, str]) -> None:
    @given(case=cases(api, path, method))
    @settings(max_examples=60)
    def check(case: Any) -> None:
        case.call_and_validate(headers=signed_in, excluded_checks=TOO_STRICT + (FREE if method == "GET" else []))

    check()


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_strangers_are_told_nothing_but_a_documented_fault(path: str, method: str, api: Any) -> None:
    @given(case=cases(api, path, method))
    @settings(max_examples=20)
    def check(case: Any) -> None:
        answer = case.call_and_validate()
        if path in ("/messages", "/owners/me"):
            assert (answer.status_code, answer.json()) == (401, {"error": "sign in first"})

    check()
