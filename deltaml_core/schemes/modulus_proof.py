"""Proof that a stranger's modulus is fit for Paillier encryption: `gcd(n, phi(n)) = 1` (protocol.md §0).

The buyer chooses n. With a repeated factor, or with a factor of n dividing another's predecessor, encryption is not a bijection
and openings could lie. If the gcd is 1, every unit has an n-th root mod n; if a prime p divides both, at most one unit in p has.
So the buyer shows the roots of challenges that a hash of n determines: with no factor of n below 2**16, eight roots leave a cheat
a chance of 2**-128 (Gennaro, Micciancio & Rabin, CCS 1998; Goldberg, Reyzin, Sagga & Baldimtsi, ASIACRYPT 2019).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import gmpy2
from gmpy2 import mpz

from deltaml_core.errors import PublicKeyError
from deltaml_core.schemes.powers import PowersModulo

SMALLEST_FACTOR = 1 << 16
ROOTS = 8
_PRIMORIAL = gmpy2.primorial(SMALLEST_FACTOR)


def prove(p: int, q: int) -> tuple[int, ...]:
    """The n-th roots of the challenges of `n = p q`, for who knows the factors."""
    n = mpz(p) * q
    halves = [(PowersModulo(prime), gmpy2.invert(n, prime - 1)) for prime in (p, q)]
    inverse = gmpy2.invert(q, p)
    roots = []
    for challenge in challenges(n):
        root_p, root_q = (powers.secret_power(challenge, exponent) for powers, exponent in halves)
        roots.append(int(root_q + q * ((root_p - root_q) * inverse % p)))
    return tuple(roots)


def check(modulus: int, bits: int, proof: Sequence[int]) -> None:
    """Refuse a modulus that is not proven fit.

    Args:
        modulus: n, as its owner states it.
        bits: the length the terms state.
        proof: what `prove` gave.

    Raises:
        PublicKeyError: saying what is wrong with it.
    """
    n = mpz(modulus)
    if n.bit_length() != bits:
        raise PublicKeyError(f"the modulus has {n.bit_length()} bits, but the terms state {bits}")
    if n % 2 == 0:
        raise PublicKeyError("the modulus is even")
    if gmpy2.gcd(n, _PRIMORIAL) != 1:
        raise PublicKeyError(f"the modulus has a factor below {SMALLEST_FACTOR}")
    if gmpy2.is_prime(n):
        raise PublicKeyError("the modulus is a prime, so everybody could decrypt")
    if gmpy2.is_power(n):
        raise PublicKeyError("the modulus is a perfect power")
    if len(proof) != ROOTS:
        raise PublicKeyError(f"the proof of the modulus holds {len(proof)} roots instead of {ROOTS}")
    powers = PowersModulo(modulus)
    for position, (root, challenge) in enumerate(zip(proof, challenges(n), strict=True)):
        if not 0 < root < n or powers.public_power(root, n) != challenge:
            raise PublicKeyError(f"root {position} of the proof does not hold: n and phi(n) may share a factor")


def challenges(modulus: int) -> list[mpz]:
    """Units mod n that nobody chose: SHA-512 of n and a counter, 128 bits longer than n before the reduction."""
    n = mpz(modulus)
    length = (n.bit_length() + 7) // 8
    seed = b"DeltaML modulus proof v1" + int(n).to_bytes(length, "big")
    found: list[mpz] = []
    for index in range(ROOTS):
        blocks = range((length + 16 + 63) // 64)
        digest = b"".join(hashlib.sha512(seed + bytes([index, block])).digest() for block in blocks)
        found.append(mpz(int.from_bytes(digest, "big")) % n)
    return found
