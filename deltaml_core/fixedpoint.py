"""Reals as integers at a binary scale, and several integers in one (protocol.md §3).

A real `a` at scale `S` is the integer `round(a * 2**S)`. Floats are dyadic fractions, so encoding at a scale of at least
their own loses nothing, and decoding is correctly rounded whatever the integer's size.

Laws (for finite floats a, b and scales s, t >= 0):
    decode(encode(a, s), s) == a                       when a * 2**s is an integer
    abs(encode(a, s) - a * 2**s) <= 1/2
    decode(encode(a, s) * encode(b, t), s + t) ~ a * b
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


def encode(value: float | Fraction, scale: int) -> int:
    """The integer nearest to `value * 2**scale` (ties to even), computed exactly.

    Raises:
        ValueError: value is not finite.
    """
    if isinstance(value, Fraction):
        return round(value * (1 << scale) if scale >= 0 else value / (1 << -scale))
    numerator, denominator = float(value).as_integer_ratio() if math.isfinite(value) else _refuse(value)
    shift = scale - (denominator.bit_length() - 1)  # a float's denominator is a power of two
    return numerator << shift if shift >= 0 else round_shift(numerator, -shift)


def encode_array(values: npt.ArrayLike, scale: int) -> list[int]:
    """`encode` of every entry of a vector."""
    return [encode(float(value), scale) for value in np.asarray(values, dtype=np.float64).ravel()]


def decode(value: int, scale: int) -> float:
    """The float nearest to `value / 2**scale`; integers of any size."""
    return float(Fraction(value, 1 << scale)) if scale >= 0 else float(value << -scale)


def decode_array(values: Iterable[int], scale: int) -> npt.NDArray[np.float64]:
    """`decode` of every entry, as a vector."""
    return np.array([decode(value, scale) for value in values], dtype=np.float64)


def round_shift(value: int, bits: int) -> int:
    """`value / 2**bits` to the nearest integer, ties to even."""
    if bits <= 0:
        return value << -bits
    quotient, remainder = value >> bits, value & ((1 << bits) - 1)
    half = 1 << (bits - 1)
    return quotient + (remainder > half or (remainder == half and quotient & 1))


def bits_for(bound: float) -> int:
    """The least b >= 0 with `bound <= 2**b`.

    Raises:
        OverflowError: no number of bits holds an infinite bound.
    """
    if not math.isfinite(bound):
        raise OverflowError(f"no number of bits holds {bound}")
    if bound <= 0:
        return 0
    mantissa, exponent = math.frexp(bound)  # a logarithm would round a bound just above a power of two down to it
    return max(0, exponent - (mantissa == 0.5))


@dataclass(frozen=True)
class Slots:
    """How signed integers share one plaintext: each gets `width` bits and an offset, so that none borrows from its neighbour.

    A value v with `|v| < 2**value_bits` becomes the digit `v + 2**value_bits`; what is added to it later (a mask below
    `2**(width - 1)`) must keep the digit below `2**width`.

    Attributes:
        value_bits: values lie strictly between -2**value_bits and 2**value_bits.
        width: bits a slot takes, at least value_bits + 1.
        per_plaintext: slots that fit a plaintext of the capacity this layout was made for, at least 1.
    """

    value_bits: int
    width: int
    per_plaintext: int

    @property
    def offset(self) -> int:
        """What makes every value's digit positive."""
        return 1 << self.value_bits

    def join(self, digits: Sequence[int]) -> int:
        """One plaintext out of digits in `[0, 2**width)`; the first digit is the lowest."""
        joined = 0
        for digit in reversed(digits):
            joined = (joined << self.width) + digit
        return joined

    def split(self, plaintext: int, count: int) -> list[int]:
        """The `count` digits of a plaintext, lowest first; the inverse of `join`."""
        mask = (1 << self.width) - 1
        return [(plaintext >> (self.width * i)) & mask for i in range(count)]

    def plaintexts(self, count: int) -> int:
        """How many plaintexts `count` values take: the length of `groups(count)`."""
        return -(-count // self.per_plaintext)

    def groups(self, count: int) -> list[int]:
        """How many of `count` values each plaintext holds, in order."""
        full, rest = divmod(count, self.per_plaintext)
        return [self.per_plaintext] * full + ([rest] if rest else [])

    def grouped(self, values: Sequence[T]) -> list[Sequence[T]]:
        """Values as they share plaintexts."""
        return [values[start : start + self.per_plaintext] for start in range(0, len(values), self.per_plaintext)]

    def join_all(self, digits: Sequence[int]) -> list[int]:
        """The plaintexts of any number of digits."""
        return [self.join(group) for group in self.grouped(digits)]

    def join_rows(self, matrix: Sequence[Sequence[int]]) -> list[list[int]]:
        """The matrix whose products are the joined entries of this matrix's products: packing costs no more than multiplying.

        Signed entries still borrow from each other, until `join_all` of offsets is added.
        """
        return [[self.join(column) for column in zip(*rows, strict=True)] for rows in self.grouped(matrix)]

    def split_all(self, plaintexts: Sequence[int], count: int) -> list[int]:
        """`count` digits out of the plaintexts they share.

        Raises:
            ValueError: a plaintext is negative or longer than its slots, so it does not hold digits.
        """
        digits: list[int] = []
        for plaintext, size in zip(plaintexts, self.groups(count), strict=True):
            if plaintext < 0 or plaintext >> (self.width * size):
                raise ValueError("a plaintext does not fit its slots")
            digits += self.split(plaintext, size)
        return digits


def _refuse(value: float) -> tuple[int, int]:
    raise ValueError(f"{value} cannot be encoded: only finite numbers have a fixed-point form")
