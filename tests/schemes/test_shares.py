"""Shares: any t of them are uniform, t + 1 determine the numbers, and one that is wrong is noticed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.errors import ComputingPartyError
from deltaml_core.schemes.mpc import wire
from deltaml_core.schemes.mpc.shares import FIELDS, from_bytes, join, split, threshold_of, to_bytes

P = FIELDS[2]
numbers = st.lists(st.integers(-(P // 2) + 1, P // 2 - 1), min_size=1, max_size=4)


@given(numbers, st.integers(3, 7))
def test_join_undoes_split(values: list[int], parties: int) -> None:
    assert join(split(values, P, parties), P) == values


@given(numbers, numbers)
def test_sums_of_shares_are_shares_of_sums(left: list[int], right: list[int]) -> None:
    count = min(len(left), len(right))
    left, right = [value // 2 for value in left[:count]], [value // 2 for value in right[:count]]
    added = [[(a + b) % P for a, b in zip(x, y, strict=True)] for x, y in zip(split(left, P, 3), split(right, P, 3), strict=True)]
    assert join(added, P) == [a + b for a, b in zip(left, right, strict=True)]


def test_by_hand() -> None:
    """5 + 3 x over the field of 11: 8, 0, 3."""
    assert join([[8], [0], [3]], 11) == [5]
    assert join([[8], [0], [3]], 11) == join([[5], [5], [5]], 11)
    assert threshold_of(3) == threshold_of(4) == 1
    assert threshold_of(5) == 2


@given(numbers, st.integers(3, 6), st.data())
def test_a_wrong_share_is_noticed(values: list[int], parties: int, data: st.DataObject) -> None:
    shares = split(values, P, parties)
    party, place = data.draw(st.integers(0, parties - 1)), data.draw(st.integers(0, len(values) - 1))
    shares[party][place] = (shares[party][place] + data.draw(st.integers(1, P - 1))) % P
    with pytest.raises(ComputingPartyError, match="do not fit together"):
        join(shares, P)


def test_each_share_alone_is_uniform() -> None:
    """Over a field of 5, 4000 sharings of the same number."""
    for party in range(3):
        counts = Counter(split([2], 5, 3)[party][0] for _ in range(4000))
        assert set(counts) == set(range(5))
        assert all(abs(count - 800) < 150 for count in counts.values())  # six standard deviations


@given(numbers)
def test_bytes_hold_field_elements(values: list[int]) -> None:
    elements = [value % P for value in values]
    assert from_bytes(to_bytes(elements, P), P) == elements


def test_bytes_that_are_no_elements_are_refused() -> None:
    with pytest.raises(ComputingPartyError, match="65 bytes are no elements"):
        from_bytes(bytes(65), P)
    with pytest.raises(ComputingPartyError, match="does not belong to the field"):
        from_bytes(b"\xff" * 66, P)


def test_frames_that_are_none_are_refused() -> None:
    packed = wire.pack({"do": "count"}, b"ab")
    line, size = wire.lengths(packed[: wire.HEAD.size])
    assert wire.read(packed[wire.HEAD.size :][:line]) == {"do": "count"}
    assert packed[wire.HEAD.size + line :] == b"ab"
    assert size == 2
    with pytest.raises(ComputingPartyError, match="no frame"):
        wire.lengths(b"GET / HTTP/1")
    for line_of in (b"{", b"[1]", b"\xff"):
        with pytest.raises(ComputingPartyError, match="no frame"):
            wire.read(line_of)
