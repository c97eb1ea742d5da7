"""Encrypted products whose time does not follow the matrix: after the multiplications that its entries need, those that others would need.

How many multiplications a row takes depends on its exponents' lengths and digits (`multiexp.py`), and a trainer's exponents are its
Gram matrix. So the work is made up to that of a public matrix of the same shape, whose entries are pseudo-random and as large as the
terms allow: as many squarings and products more, of numbers as long, thrown away. What cannot be had in Python is said in
docs/threat-model.md: the same instructions and the same memory accesses whatever the numbers.

How large "as the terms allow" is: entries whose squares sum to at most `count * s**2` have logarithms of mean at most `log s`
(Jensen), and those uniform in `[-e s, e s]`, e = 2.718..., have exactly that, as the mean of `log u` over [0, 1] is -1.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

from gmpy2 import mpz

from deltaml_core.compute import Cost, spread
from deltaml_core.schemes.multiexp import ExponentMatrix, Program, follow, multiply
from deltaml_core.schemes.pairs import Pair, split

_DRAW_BYTES = 128  # as many digits as the longest exponents have, so that none ends in zeros
_SLACK = 32  # entries of the same size differ in how many digits they have, 121 of them by 1.7 % (a standard deviation)
_E_BITS = 30
_E = round(math.e * 2**_E_BITS)


@dataclass(frozen=True)
class Work:
    """Multiplications modulo n**2.

    Attributes:
        squarings: of a number with itself, 0.9 of the time of
        products: of one number with another.
    """

    squarings: int
    products: int

    @classmethod
    def of(cls, matrix: ExponentMatrix) -> Work:
        """What one product with a matrix takes, its tables included."""
        return cls(matrix.squarings, matrix.products + matrix.table_products - matrix.squarings)

    def beyond(self, other: Work) -> Work:
        """What this has more than another."""
        return Work(max(0, self.squarings - other.squarings), max(0, self.products - other.products))

    def shared_by(self, parts: int) -> list[Work]:
        """The same in so many parts, equal but for one multiplication."""
        cuts = [(self.squarings * part // parts, self.products * part // parts) for part in range(parts + 1)]
        return [Work(after[0] - before[0], after[1] - before[1]) for before, after in pairwise(cuts)]


@dataclass(frozen=True)
class LevelMatrix:
    """A matrix of secret exponents with the work that hides them.

    Attributes:
        matrix: recoded.
        idle: what is done on top; nothing where the matrix takes more than its reference, which then shows.
    """

    matrix: ExponentMatrix
    idle: Work

    @classmethod
    def recode(cls, matrix: Sequence[Sequence[int]], reference: Sequence[Sequence[int]]) -> LevelMatrix:
        """`reference`: public, of the same shape (`public_matrix`).

        Of the reference, a row counts with as many squarings as its longest exponent has bits: how many fewer it takes depends on
        where its highest window happens to end.
        """
        recoded = ExponentMatrix.recode(matrix)
        return cls(recoded, _allowed(tuple(map(tuple, reference))).beyond(Work.of(recoded)))

    @property
    def work(self) -> Work:
        """What a product takes, idle work included."""
        needed = Work.of(self.matrix)
        return Work(needed.squarings + self.idle.squarings, needed.products + self.idle.products)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.matrix.shape

    def multiply(self, bases: Sequence[int], n: mpz) -> list[mpz]:
        """`multiexp.multiply`, and the idle work, over as many cores."""
        found = multiply(bases, self.matrix, n)
        cost = Cost(self.matrix.products, self.matrix.table_products, 2 * n.bit_length())
        spread(partial(_spend, [split(number, n) for number in found], n), self.idle.shared_by(self.shape[0]), cost)
        return found


@lru_cache(maxsize=8)  # between two refreshes a validator's masks have a few lengths, which come again after the next
def _allowed(reference: tuple[tuple[int, ...], ...]) -> Work:
    longest = sum(max(abs(exponent).bit_length() for exponent in row) for row in reference)
    products = Work.of(ExponentMatrix.recode(reference)).products
    return Work(longest, products + products // _SLACK)


def public_matrix(scales: Sequence[Sequence[float]]) -> list[list[int]]:
    """A matrix that everybody can compute, its entries uniform in `[-e s, e s]`.

    Args:
        scales: s of every entry, an integer where floats do not reach; 0 where the secret matrix is known to hold 0.
    """
    stream = hashlib.shake_256(b"DeltaML public matrix v1").digest(_DRAW_BYTES * sum(len(row) for row in scales))
    draws = (int.from_bytes(stream[start : start + _DRAW_BYTES], signed=True) for start in range(0, len(stream), _DRAW_BYTES))
    return [[int(s) * _E * next(draws) >> 8 * _DRAW_BYTES - 1 + _E_BITS for s in row] for row in scales]


def _spend(table: Sequence[Pair], n: mpz, parts: Sequence[Work]) -> list[None]:
    """The same steps in the same code, over numbers as long."""
    for part in parts:
        entries = array("I", [step % len(table) for step in range(part.products)])
        follow(Program(array("I", bytes(entries.itemsize * len(entries))), entries, part.squarings), table, n)
    return [None] * len(parts)
