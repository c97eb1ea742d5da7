"""Encrypted vectors of reals on schemes of exact integers: fixed point at a scale that every product raises (protocol.md §3).

A fresh vector has `BASE_SCALE` fractional bits, an owner's matrix `MAP_BITS`; nothing is rounded before a refresh. That is §6 without
its proofs: owners add `mu = 2**drop * sigma + r`, what is opened is cut by `drop` bits, and the sigmas are taken off again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.errors import ScaleBudgetError, TermsError, UnsupportedOperationError
from deltaml_core.schemes.base import Ciphertexts, PrivateKey, PublicKey
from deltaml_core.schemes.vectors import as_vector
from deltaml_core.statistics import Array

BASE_SCALE = 56
MAP_BITS = 48
VALUE_BITS = 40
"""Entries that will be refreshed lie below 2**40."""
RESULT_BITS = 80
"""Results lie below 2**80."""
MASK_BITS = 80
"""Masks are so many bits longer than what they hide."""
_SUM_BITS = 16
"""Room for the masks of 2**16 owners."""

Numbers = Any
"""Encrypted integers, as their arithmetic holds them."""


class Arithmetic(Protocol):
    """Exact integers nobody can read. `capacity` as in `schemes/base.py`, `multiplies` and `sent` as in `schemes/vectors.py`."""

    name: str
    multiplies: bool

    @property
    def sent(self) -> int:
        """See there."""

    @property
    def capacity(self) -> int:
        """Integers strictly between -2**capacity and 2**capacity are held."""

    def encrypt(self, values: Sequence[int]) -> Numbers:
        """Encrypt signed integers."""

    def prepare(self, matrix: Sequence[Sequence[int]], offset: Sequence[int]) -> Any:
        """Make a map usable."""

    def affine(self, linear: Any, shift: int, values: Numbers) -> Numbers:
        """`[[M a + 2**shift v]]`."""

    def add(self, left: Numbers, right: Numbers) -> Numbers:
        """Entry by entry."""

    def scale(self, values: Numbers, factor: int) -> Numbers:
        """All entries times a known factor."""

    def shift(self, values: Numbers, known: Sequence[int]) -> Numbers:
        """Add known integers."""

    def multiply(self, left: Numbers, right: Numbers) -> Numbers:
        """Entry by entry."""

    def total(self, values: Numbers) -> Numbers:
        """The sum of the entries, one entry."""


class Holder(Protocol):
    """Who can read them."""

    def decrypt(self, values: Numbers) -> list[int]:
        """The integers."""

    def cut(self, masked: Numbers, drop: int, masks: Numbers) -> Numbers:
        """`[[floor(t / 2**drop) - s]]`, of what is masked so that it may be seen."""

    def close(self) -> None:
        """Give back what was started."""


@dataclass(frozen=True)
class FixedVector:
    """Encrypted reals `values / 2**scale`."""

    values: Numbers
    entries: int
    scale: int
    depth: int


@dataclass(frozen=True)
class FixedMap:
    """An affine map as the arithmetic prepared it."""

    linear: Any
    rows: int


@dataclass(frozen=True)
class FixedMask:
    """`[[mu]]` to add before, and `[[sigma]]` to subtract after what was masked is cut by `drop` bits."""

    full: Numbers
    high: Numbers
    drop: int


class IntegerVectors:
    """`VectorScheme` over exact integers. The docstrings of the protocol hold."""

    tolerance = 2.0**-36
    capacity = 2.0**VALUE_BITS
    result_capacity = 2.0**RESULT_BITS

    def __init__(self, arithmetic: Arithmetic, depth: int = 2) -> None:
        """`depth`: how many products in a row a vector must bear.

        Raises:
            ScaleBudgetError: the integers are too short for that.
        """
        self.arithmetic, self.depth = arithmetic, depth
        self.name, self.multiplies = arithmetic.name, arithmetic.multiplies
        largest = BASE_SCALE << depth if self.multiplies else BASE_SCALE + depth * MAP_BITS  # a square doubles the scale
        needed = largest + max(RESULT_BITS, VALUE_BITS + MASK_BITS + _SUM_BITS) + 2
        if needed > arithmetic.capacity:
            raise ScaleBudgetError(
                f"{depth} products in a row of {self.name} need integers of {needed} bits, and these hold {arithmetic.capacity}: "
                "take a longer key"
            )

    @property
    def sent(self) -> int:
        """Bytes that participants sent each other."""
        return self.arithmetic.sent

    def encrypt(self, values: Array) -> FixedVector:
        """At the base scale."""
        numbers = fixedpoint.encode_array(as_vector(values), BASE_SCALE)
        return FixedVector(self.arithmetic.encrypt(numbers), len(numbers), BASE_SCALE, 0)

    def prepare(self, matrix: Array, offset: Array) -> FixedMap:
        """M at `MAP_BITS`, v at what a fresh vector's product has."""
        rows = [fixedpoint.encode_array(row, MAP_BITS) for row in np.atleast_2d(matrix)]
        linear = self.arithmetic.prepare(rows, fixedpoint.encode_array(as_vector(offset), BASE_SCALE + MAP_BITS))
        return FixedMap(linear, len(rows))

    def affine(self, linear: FixedMap, vector: FixedVector) -> FixedVector:
        """`[[M x + v]]`."""
        self._check_depth(vector)
        values = self.arithmetic.affine(linear.linear, vector.scale - BASE_SCALE, vector.values)
        return FixedVector(values, linear.rows, vector.scale + MAP_BITS, vector.depth + 1)

    def add(self, left: FixedVector, right: FixedVector) -> FixedVector:
        """At the longer scale."""
        scale = max(left.scale, right.scale)
        values = self.arithmetic.add(self._raised(left, scale), self._raised(right, scale))
        return FixedVector(values, left.entries, scale, max(left.depth, right.depth))

    def subtract(self, left: FixedVector, right: FixedVector) -> FixedVector:
        """At the longer scale."""
        return self.add(left, FixedVector(self.arithmetic.scale(right.values, -1), right.entries, right.scale, right.depth))

    def shift(self, vector: FixedVector, known: Array) -> FixedVector:
        """Add known numbers."""
        values = self.arithmetic.shift(vector.values, fixedpoint.encode_array(as_vector(known), vector.scale))
        return FixedVector(values, vector.entries, vector.scale, vector.depth)

    def multiply(self, left: FixedVector, right: FixedVector) -> FixedVector:
        """Entry by entry; the scales add up."""
        if not self.multiplies:
            raise UnsupportedOperationError(f"{self.name} cannot multiply ciphertexts with each other: choose ckks or mpc")
        self._check_depth(left, right)
        values = self.arithmetic.multiply(left.values, right.values)
        return FixedVector(values, left.entries, left.scale + right.scale, max(left.depth, right.depth) + 1)

    def inner(self, left: FixedVector, right: FixedVector) -> FixedVector:
        """The sum of the products."""
        product = self.multiply(left, right)
        return FixedVector(self.arithmetic.total(product.values), 1, product.scale, product.depth)

    def blur(self, vector: FixedVector, width: float) -> FixedVector:
        """Uniform in `[0, width)`, at the vector's scale."""
        limit = max(1, fixedpoint.encode(width, vector.scale))
        noise = self.arithmetic.encrypt([secrets.randbelow(limit) for _ in range(vector.entries)])
        return FixedVector(self.arithmetic.add(vector.values, noise), vector.entries, vector.scale, vector.depth)

    def mask(self, vector: FixedVector) -> FixedMask:
        """sigma of `MASK_BITS` more than a refreshed vector's entries, r of as many as will be cut."""
        drop = vector.scale - BASE_SCALE
        high = [secrets.randbits(VALUE_BITS + BASE_SCALE + MASK_BITS) for _ in range(vector.entries)]
        full = [(sigma << drop) + secrets.randbits(drop) if drop else sigma for sigma in high]
        return FixedMask(self.arithmetic.encrypt(full), self.arithmetic.encrypt(high), drop)

    def _raised(self, vector: FixedVector, scale: int) -> Numbers:
        return self.arithmetic.scale(vector.values, 1 << (scale - vector.scale)) if scale > vector.scale else vector.values

    def _check_depth(self, *vectors: FixedVector) -> None:
        if any(vector.depth >= self.depth for vector in vectors):
            raise ScaleBudgetError(f"{self.depth} products in a row are what this key bears: refresh the vector first")


class IntegerKeyring:
    """`Keyring` over exact integers."""

    def __init__(self, public: IntegerVectors, holder: Holder) -> None:
        """`public` and `holder` of one key."""
        self._public, self._holder = public, holder

    @property
    def public(self) -> IntegerVectors:
        """What may be shown to everybody."""
        return self._public

    def decrypt(self, vector: FixedVector) -> Array:
        """The numbers, correctly rounded."""
        return fixedpoint.decode_array(self._holder.decrypt(vector.values), vector.scale)

    def publish(self, vector: FixedVector, width: float) -> Array:
        """The numbers: exact ones tell nothing of the key."""
        return self.decrypt(vector)

    def refresh(self, vector: FixedVector, masks: Sequence[FixedMask]) -> FixedVector:
        """Cut to the base scale. Each mask's low bits stay in: at most one unit of 2**-56 each."""
        if not masks:
            raise TermsError("a refresh needs the mask of one owner at least")
        arithmetic, drop = self._public.arithmetic, vector.scale - BASE_SCALE
        if any(mask.drop != drop for mask in masks):
            raise TermsError("these masks were made for a vector of another scale")
        masked, high = vector.values, masks[0].high
        for mask in masks:
            masked = arithmetic.add(masked, mask.full)
        for mask in masks[1:]:
            high = arithmetic.add(high, mask.high)
        return FixedVector(self._holder.cut(masked, drop, high), vector.entries, BASE_SCALE, 0)

    def close(self) -> None:
        """Give back what was started."""
        self._holder.close()


class KeyArithmetic:
    """`Arithmetic` of a key of `schemes/base.py`: Paillier, or plain."""

    def __init__(self, key: PublicKey) -> None:
        """`key`: what may be shown to everybody."""
        self.key, self.name, self.multiplies, self.sent = key, key.scheme, key.scheme == "plain", 0
        self._length = (key.bits * (2 if key.scheme == "paillier" else 1) + 7) // 8

    @property
    def capacity(self) -> int:
        """The key's."""
        return self.key.capacity

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """Fresh."""
        return self.counted(self.key.encrypt(values))

    def prepare(self, matrix: Sequence[Sequence[int]], offset: Sequence[int]) -> tuple[Any, Sequence[int]]:
        """Recoded M, and v."""
        return self.key.prepare(matrix), offset

    def affine(self, linear: tuple[Any, Sequence[int]], shift: int, values: Ciphertexts) -> Ciphertexts:
        """Fresh."""
        matrix, offset = linear
        return self.counted(self.key.affine(matrix, [entry << shift for entry in offset], self.counted(values)))

    def add(self, left: Ciphertexts, right: Ciphertexts) -> Ciphertexts:
        """Entry by entry."""
        return self.key.add(left, right)

    def scale(self, values: Ciphertexts, factor: int) -> Ciphertexts:
        """Entry by entry."""
        return self.key.scale(values, [factor] * len(values))

    def shift(self, values: Ciphertexts, known: Sequence[int]) -> Ciphertexts:
        """Fresh."""
        return self.key.add_plain(values, known)

    def multiply(self, left: Ciphertexts, right: Ciphertexts) -> Ciphertexts:
        """Plain numbers only: there a factor need not be known beforehand."""
        return self.key.scale(left, right)

    def total(self, values: Ciphertexts) -> Ciphertexts:
        """One row of ones."""
        return self.key.combine(self.key.prepare([[1] * len(values)]), values)

    def counted(self, values: Ciphertexts) -> Ciphertexts:
        """Note that they are sent."""
        self.sent += self._length * len(values)
        return values


class KeyHolder:
    """`Holder` of a key of `schemes/base.py`."""

    def __init__(self, key: PrivateKey, arithmetic: KeyArithmetic) -> None:
        """`key`: the pair; `arithmetic` counts what is sent to and by its holder."""
        self._key, self._arithmetic = key, arithmetic

    def decrypt(self, values: Ciphertexts) -> list[int]:
        """The signed integers."""
        return self._key.decrypt(self._arithmetic.counted(values))

    def cut(self, masked: Ciphertexts, drop: int, masks: Ciphertexts) -> Ciphertexts:
        """The holder sees what is masked, and encrypts it anew; the aggregator takes the masks off."""
        public = self._key.public
        cut = self._arithmetic.counted(self._key.encrypt([value >> drop for value in self.decrypt(masked)]))
        return public.add(cut, public.scale(masks, [-1] * len(masks)))

    def close(self) -> None:
        """Nothing was started."""


def of_key(key: PrivateKey, depth: int = 2) -> IntegerKeyring:
    """Encrypted vectors under a key of `schemes/base.py`.

    Raises:
        ScaleBudgetError: the key is too short for so many products.
    """
    arithmetic = KeyArithmetic(key.public)
    return IntegerKeyring(IntegerVectors(arithmetic, depth), KeyHolder(key, arithmetic))
