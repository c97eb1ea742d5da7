"""Canonical JSON: one form, and a reader that nesting cannot bring down."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core import canonical
from deltaml_core.errors import MessageError, TermsError, TranscriptError
from deltaml_core.messages import decode
from deltaml_core.terms import RequestDocument
from deltaml_core.transcript import Header

DEEP = [
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b'{"a":[' * 100_000,
    b"[" * 200_000 + b"]" * 200_000,
    b'["' + b"]" * 99 + b'",' + b"[" * 200_000,
]


@pytest.fixture(autouse=True)
def high_limit() -> Iterator[None]:
    """As some packages set it: Python's own reader then runs out of stack, which no exception tells."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    yield
    sys.setrecursionlimit(before)


def test_the_canonical_form_by_hand() -> None:
    assert canonical.dump({"b": [1, "é"], "a": None}) == b'{"a":null,"b":[1,"\\u00e9"]}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.dump(float("nan"))


@pytest.mark.parametrize("data", DEEP, ids=range(len(DEEP)))
def test_deep_nesting_is_refused_wherever_others_write(data: bytes) -> None:
    for read, refusal in ((canonical.load, ValueError), (decode, MessageError), (Header.from_json, TranscriptError)):
        with pytest.raises(refusal):
            read(data)
    with pytest.raises(TermsError):
        RequestDocument.from_json(data.decode())


def test_the_depth_is_the_brackets_outside_of_text() -> None:
    limit = canonical.MAXIMUM_DEPTH
    assert canonical.load(b"[" * limit + b"]" * limit) is not None
    with pytest.raises(ValueError, match="nested deeper"):
        canonical.load(b"[" * (limit + 1) + b"]" * (limit + 1))
    flat = [["[[{{\\"] * 3, '"[', "{" * 100]
    assert canonical.load(canonical.dump(flat)) == flat
    assert canonical.load(b"[" + b"[]," * 1000 + b"[]]") == [[]] * 1001


flat_values = st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}\\"é,\n', max_size=30)


@given(st.recursive(flat_values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner), max_leaves=12))
def test_what_was_written_is_read(content: object) -> None:
    depth, most = 0, 0
    for character in bytes(c for c in canonical.dump(strip_text(content)) if c in b"[]{}"):
        depth += 1 if character in b"[{" else -1
        most = max(most, depth)
    if most <= canonical.MAXIMUM_DEPTH:
        assert canonical.load(canonical.dump(content)) == content
        assert canonical.load(canonical.dump(content).decode()) == content


def strip_text(content: object) -> object:
    if isinstance(content, list):
        return [strip_text(item) for item in content]
    if isinstance(content, dict):
        return {str(number): strip_text(item) for number, item in enumerate(content.values())}
    return 0
