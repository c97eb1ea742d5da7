"""Shamir shares over a prime field, as MPyC numbers its parties: party i holds the polynomial's value at i + 1.

Party i's share of a is `a + c_1 x + ... + c_t x**t` at x = i + 1, with uniform c: any t shares are uniform, t + 1 determine a.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from deltaml_core.errors import ComputingPartyError

FIELDS = {2: 2**521 - 1, 4: 2**1279 - 1}
"""Mersenne primes by the depth whose numbers they hold: nobody chose them."""


def threshold_of(parties: int) -> int:
    """How many parties may see each other's shares and learn nothing."""
    return (parties - 1) // 2


def split(values: Sequence[int], prime: int, parties: int) -> list[list[int]]:
    """The shares of every party, for signed integers below p / 2."""
    shares: list[list[int]] = [[] for _ in range(parties)]
    for value in values:
        coefficients = [secrets.randbelow(prime) for _ in range(threshold_of(parties))]
        for party, held in enumerate(shares):
            point, share = party + 1, 0
            for coefficient in reversed(coefficients):
                share = (share + coefficient) * point
            held.append((share + value) % prime)
    return shares


def join(shares: Sequence[Sequence[int]], prime: int) -> list[int]:
    """The signed integers from every party's shares.

    Raises:
        ComputingPartyError: the shares do not lie on one polynomial: a party computed wrongly.
    """
    needed = threshold_of(len(shares)) + 1
    at_zero = _lagrange(range(1, needed + 1), 0, prime)
    checks = [(party, _lagrange(range(1, needed + 1), party + 1, prime)) for party in range(needed, len(shares))]
    joined = []
    for column in zip(*shares, strict=True):
        known = column[:needed]
        if any(_weighted(known, weights, prime) != column[party] for party, weights in checks):
            raise ComputingPartyError("the parties' shares do not fit together: one of them computed wrongly; start them again")
        value = _weighted(known, at_zero, prime)
        joined.append(value - prime if value > prime // 2 else value)
    return joined


def to_bytes(values: Sequence[int], prime: int) -> bytes:
    """Field elements of equal length, lowest byte first."""
    length = element_bytes(prime)
    return b"".join(value.to_bytes(length, "little") for value in values)


def from_bytes(content: bytes, prime: int) -> list[int]:
    """The inverse.

    Raises:
        ComputingPartyError: these are not elements of the field.
    """
    length = element_bytes(prime)
    if len(content) % length:
        raise ComputingPartyError(f"{len(content)} bytes are no elements of a field of {prime.bit_length()} bits")
    values = [int.from_bytes(content[start : start + length], "little") for start in range(0, len(content), length)]
    if any(value >= prime for value in values):
        raise ComputingPartyError(f"a number does not belong to the field of {prime.bit_length()} bits")
    return values


def element_bytes(prime: int) -> int:
    """Bytes of one element."""
    return (prime.bit_length() + 7) // 8


def _lagrange(points: range, at: int, prime: int) -> list[int]:
    weights = []
    for point in points:
        top, bottom = 1, 1
        for other in points:
            if other != point:
                top, bottom = top * (at - other) % prime, bottom * (point - other) % prime
        weights.append(top * pow(bottom, -1, prime) % prime)
    return weights


def _weighted(values: Sequence[int], weights: Sequence[int], prime: int) -> int:
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) % prime
