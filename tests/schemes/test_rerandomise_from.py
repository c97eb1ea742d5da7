"""Re-randomisation that an auditor can repeat: the same plaintexts, fresh for everybody without the seed."""

from __future__ import annotations

import pytest
from helpers import key_pair

from deltaml_core import schemes

KEY = key_pair("paillier", 512)
VALUES = [0, 1, -1, 12345678901234567890]


def test_plaintexts_stay_and_ciphertexts_all_change() -> None:
    before = KEY.encrypt(VALUES)
    after = KEY.public.rerandomise_from(b"seed", before)
    assert KEY.decrypt(after) == VALUES
    assert not set(before) & set(after)


def test_everybody_with_the_seed_finds_the_same() -> None:
    before = KEY.encrypt(VALUES)
    theirs = schemes.public_key("paillier", KEY.public.modulus)
    assert theirs.rerandomise_from(b"seed", before) == KEY.public.rerandomise_from(b"seed", before)
    assert theirs.rerandomise_from(b"seed", before) != theirs.rerandomise_from(b"other", before)


def test_equal_ciphertexts_do_not_stay_equal() -> None:
    (one,) = KEY.encrypt([7])
    assert len(set(KEY.public.rerandomise_from(b"seed", (one,) * 5))) == 5


def test_what_is_multiplied_on_is_an_nth_power() -> None:
    """An encryption of zero, so a product cannot be changed this way, whatever the seed."""
    zeros = KEY.public.rerandomise_from(b"seed", (1,) * 4)
    assert KEY.decrypt(zeros) == [0] * 4
    assert len({*zeros, 1}) == 5


@pytest.mark.parametrize("count", [0, 1, 9])
def test_any_number_of_them(count: int) -> None:
    assert KEY.decrypt(KEY.public.rerandomise_from(b"", KEY.encrypt([5] * count))) == [5] * count


def test_without_encryption_there_is_nothing_to_randomise() -> None:
    key = key_pair("plain", 512)
    assert key.public.rerandomise_from(b"seed", (3, -4)) == (3, -4)
