"""The plain scheme keeps the laws, and Paillier's bounds."""

from __future__ import annotations

import pytest
from behaviour import SchemeBehaviour

from deltaml_core import schemes
from deltaml_core.errors import CiphertextError, TermsError
from deltaml_core.schemes.plain import PlainKey


class TestPlain(SchemeBehaviour):
    private = PlainKey(256)


def test_numbers_stay_as_they_are() -> None:
    key = PlainKey(64)
    assert key.public is key
    assert key.encrypt([1, -2]) == (1, -2)
    assert key.rerandomise((1, -2)) == (1, -2)


@pytest.mark.parametrize("sign", [1, -1])
def test_check_names_sender_and_position(sign: int) -> None:
    key = PlainKey(256)
    assert key.check([0, sign * (key.modulus // 2)], 2, "eve")
    with pytest.raises(CiphertextError, match="from eve: value 1 exceeds the modulus of 256 bits"):
        key.check([0, sign * (key.modulus // 2 + 1)], 2, "eve")


def test_schemes_by_name() -> None:
    assert schemes.generate("plain", 128).public.scheme == "plain"
    assert schemes.public_key("plain", PlainKey(128).modulus).bits == 128
    for make in (schemes.generate, schemes.public_key):
        with pytest.raises(TermsError, match=r"'rot13'.*paillier, plain"):
            make("rot13", 128)
