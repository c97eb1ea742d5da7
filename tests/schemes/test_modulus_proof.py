"""The proof that a stranger's modulus is fit, and what passes for one without it."""

from __future__ import annotations

import math
import re

import pytest
from helpers import key_pair

from deltaml_core.errors import PublicKeyError
from deltaml_core.schemes import modulus_proof
from deltaml_core.schemes.modulus_proof import ROOTS, challenges, check, prove
from deltaml_core.schemes.paillier import PaillierPublicKey
from deltaml_core.schemes.plain import PlainKey

P, Q = 2**89 - 1, 2**107 - 1
N = P * Q


def test_an_honest_proof_passes() -> None:
    check(N, N.bit_length(), prove(P, Q))
    assert [pow(root, N, N) for root in prove(P, Q)] == [int(c) for c in challenges(N)]


def test_a_generated_keys_proof_passes_through_the_scheme() -> None:
    private = key_pair("paillier", 256)
    proof = private.prove_modulus()
    private.public.check_modulus(256, proof)
    PaillierPublicKey(private.public.modulus).check_modulus(256, list(proof))
    with pytest.raises(PublicKeyError, match="the modulus has 256 bits, but the terms state 2048"):
        private.public.check_modulus(2048, proof)


def test_the_plain_scheme_checks_the_length_only() -> None:
    key = PlainKey(256)
    key.check_modulus(256, key.prove_modulus())
    with pytest.raises(PublicKeyError, match="256 bits, but the terms state 512"):
        key.check_modulus(512, ())


def test_challenges_are_determined_by_the_modulus_alone() -> None:
    first, again, other = challenges(N), challenges(N), challenges(N + 2)
    assert first == again
    assert len(set(first)) == ROOTS == 8
    assert not set(first) & set(other)
    assert all(0 < c < N and math.gcd(int(c), N) == 1 for c in first)


@pytest.mark.parametrize("position", [0, 3, ROOTS - 1])
@pytest.mark.parametrize(
    "wrong", [lambda root: root + 1, lambda root: N - root, lambda root: root + N, lambda _: 0, lambda _: -1, lambda _: N]
)
def test_a_root_that_does_not_hold_is_refused(position: int, wrong: object) -> None:
    proof = list(prove(P, Q))
    proof[position] = wrong(proof[position])  # type: ignore[operator]
    with pytest.raises(PublicKeyError, match=f"root {position} of the proof does not hold"):
        check(N, N.bit_length(), proof)


@pytest.mark.parametrize("count", [0, 1, ROOTS - 1, ROOTS + 1])
def test_all_roots_are_asked_for(count: int) -> None:
    proof = (prove(P, Q) * 2)[:count]
    with pytest.raises(PublicKeyError, match=f"holds {count} roots instead of {ROOTS}"):
        check(N, N.bit_length(), proof)


SMALL_PRIME = 65521  # the largest below 2**16


@pytest.mark.parametrize(
    ("modulus", "why"),
    [
        (2 * N, "the modulus is even"),
        (3 * N, "has a factor below 65536"),
        (SMALL_PRIME * P, "has a factor below 65536"),
        (2**127 - 1, "is a prime, so everybody could decrypt"),
        (P * P, "is a perfect power"),
        (P**3, "is a perfect power"),
    ],
)
def test_moduli_that_cannot_be_fit(modulus: int, why: str) -> None:
    with pytest.raises(PublicKeyError, match=re.escape(why)):
        check(modulus, modulus.bit_length(), (1,) * ROOTS)


@pytest.mark.parametrize("bits", [0, N.bit_length() - 1, N.bit_length() + 1, 2048])
def test_a_modulus_of_another_length(bits: int) -> None:
    with pytest.raises(PublicKeyError, match=f"has {N.bit_length()} bits, but the terms state {bits}"):
        check(N, bits, prove(P, Q))


def test_a_modulus_with_a_repeated_factor_has_no_proof() -> None:
    """n = p^2 q shares p with phi(n): a random unit has an n-th root with chance 1 / p only."""
    p, q = 65537, 2**107 - 1
    n = p * p * q
    phi = p * (p - 1) * (q - 1)
    assert math.gcd(n, phi) == p
    assert all(pow(int(c), phi // p, n) != 1 for c in challenges(n)), "an n-th power would be 1 here"
    with pytest.raises(PublicKeyError, match="root 0 of the proof does not hold"):
        check(n, n.bit_length(), tuple(int(c) for c in challenges(n)))


def test_a_factor_that_divides_anothers_predecessor_has_no_proof() -> None:
    p = 65537
    q = next(k * p + 1 for k in range(2**90, 2**91, 2) if modulus_proof.gmpy2.is_prime(k * p + 1))
    n = p * q
    with pytest.raises(ZeroDivisionError):
        prove(p, q)
    with pytest.raises(PublicKeyError, match="root 0 of the proof does not hold: n and phi"):
        check(n, n.bit_length(), tuple(int(c) for c in challenges(n)))
