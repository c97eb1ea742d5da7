"""Powers modulo one number, over Python's own OpenSSL and without it, against Python's `pow`."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltaml_core.schemes import powers
from deltaml_core.schemes.powers import PowersModulo

MODULUS = 2**521 - 1


@pytest.fixture(params=["OpenSSL", "GMP"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to compute a power; the second is for a Python that hides its OpenSSL."""
    if request.param == "GMP":
        monkeypatch.setattr(powers, "_OPENSSL", None)
    return str(request.param)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    half=st.integers(1, 2**1024),
    base=st.integers(0, 2**1100),
    exponent=st.integers(0, 2**600) | st.integers(0, 3) | st.integers(0, 600).map(lambda bits: 1 << bits),
)
def test_a_power_is_pythons(arithmetic: str, half: int, base: int, exponent: int) -> None:
    modulus = 2 * half + 1
    ours, right = PowersModulo(modulus), pow(base, exponent, modulus)
    assert ours.secret_power(base, exponent) == ours.public_power(base, exponent) == right


def test_copies_have_memory_of_their_own(arithmetic: str) -> None:
    ours = PowersModulo(MODULUS)
    others = copy.copy(ours), copy.deepcopy(ours)
    del ours
    assert [other.secret_power(3, 5**100) for other in others] == [pow(3, 5**100, MODULUS)] * 2


def test_threads_share_one(arithmetic: str) -> None:
    ours = PowersModulo(MODULUS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda exponent: ours.secret_power(7, exponent), range(1, 400)))
    assert found == [pow(7, exponent, MODULUS) for exponent in range(1, 400)]


def test_a_python_without_openssl_at_hand_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("/nowhere/_ssl.so", powers.__file__):
        monkeypatch.setattr(powers._ssl, "__file__", place)
        assert powers._libcrypto() is None
    monkeypatch.delattr(powers._ssl, "__file__")
    assert powers._libcrypto() is None
