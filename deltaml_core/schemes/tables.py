"""Two ways to cut a matrix of signed exponents into table entries, for `multiexp.py` to choose from.

`OddPowers`: every base has its odd powers, and each exponent is recoded in signed windows (wNAF, Solinas 2000), so that a window of
w bits costs one multiplication in w + 1 bits. Negative digits take powers of the inverted base. Best where exponents differ in
length, or are few.

`Subsets`: groups of g bases have the products of all their subsets, and each bit of a row costs one multiplication a group (the
"four Russians": Arlazarov, Dinic, Kronrod & Faradzhev, 1970; for products of powers Straus, 1964). Exponents e of b bits are
made positive, e + 2**b, and the product of all bases to the power of -2**b is the first factor of every row. Best for
many rows of dense exponents: tables of 2**g serve all bits of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import gmpy2
from gmpy2 import mpz

from deltaml_core.schemes.pairs import Pair, invert_all, join, product, split, subset_products

Step = tuple[int, int]
"""A table entry to multiply by, and before it the bit it stands for: (position, entry)."""

Matrix = Sequence[Sequence[int]]

_MAKERS = 2
"""Tables count twice, for each of several workers makes its own: one alone loses a hundredth by it, and memory is halved."""

_WINDOWS = range(2, 9)
_GROUPS = range(4, 11)


@dataclass(frozen=True)
class OddPowers:
    """Tables of the odd powers of each base below `2**(window - 1)`, then those of its inverse.

    Attributes:
        window: bits an entry covers.
    """

    window: int

    @classmethod
    def best(cls, matrix: Matrix) -> tuple[float, OddPowers]:
        """The window that needs the fewest multiplications, squarings apart, and how many."""
        columns = len(matrix[0])
        digits = sum((e ^ 3 * e).bit_count() for row in matrix for e in row)  # of windows of 2 bits: each covers 3, zeros included
        costs = ((_MAKERS * (columns << (w - 1)) + 3 * digits / (w + 1), cls(w)) for w in _WINDOWS)
        return min(costs, key=lambda cost: cost[0])

    def products(self, columns: int) -> int:
        """Multiplications that the tables need."""
        return columns << (self.window - 1)

    def make(self, bases: Sequence[int], n: mpz) -> list[Pair]:
        """The tables, one after the other."""
        table, pairs = list[Pair](), [split(mpz(base), n) for base in bases]
        for base, inverse in zip(pairs, invert_all(pairs, n), strict=True):
            for power in (base, inverse):
                square = product(power, power, n)
                table.append(power)
                for _ in range((1 << (self.window - 2)) - 1):
                    power = product(power, square, n)
                    table.append(power)
        return table

    def recode(self, matrix: Matrix) -> list[list[Step]]:
        """The steps of every row, in no order."""
        half = 1 << (self.window - 2)
        rows = []
        for row in matrix:
            steps = []
            for column, exponent in enumerate(row):
                for position, digit in signed_windows(exponent, self.window):
                    steps.append((position, column * 2 * half + (abs(digit) >> 1) + (half if digit < 0 else 0)))
            rows.append(steps)
        return rows


@dataclass(frozen=True)
class Subsets:
    """Tables of the products of all subsets of each group of bases; before them the inverse of the product of all.

    Attributes:
        group: bases in a group at most; all groups are as large, give or take one.
        bits: of every exponent's magnitude at most.
    """

    group: int
    bits: int

    @classmethod
    def best(cls, matrix: Matrix) -> tuple[float, Subsets]:
        """The group that needs the fewest multiplications, squarings apart, and how many."""
        rows, columns, bits = len(matrix), len(matrix[0]), max((abs(e).bit_length() for row in matrix for e in row), default=0)
        tables = (cls(g, bits) for g in _GROUPS)
        costs = ((_MAKERS * table.products(columns) + rows * (bits + 1) * (len(table.cuts(columns)) - 1), table) for table in tables)
        return min(costs, key=lambda cost: cost[0])

    def cuts(self, columns: int) -> list[int]:
        """Where groups begin, and the end of the last."""
        count = -(-columns // self.group)
        return [columns * place // count for place in range(count + 1)]

    def products(self, columns: int) -> int:
        """Multiplications that the tables need."""
        return sum(1 << (end - start) for start, end in pairwise(self.cuts(columns)))

    def make(self, bases: Sequence[int], n: mpz) -> list[Pair]:
        """The tables, one after the other."""
        table: list[Pair] = []
        for start, end in pairwise(self.cuts(len(bases))):
            table += subset_products([split(mpz(base), n) for base in bases[start:end]], n)
        wholes = [table[entry] for entry in self._last_entries(len(bases))]
        inverse = gmpy2.invert(join(reduce(lambda left, right: product(left, right, n), wholes), n), n * n)
        return [split(inverse, n), *table]

    def recode(self, matrix: Matrix) -> list[list[Step]]:
        """The steps of every row, in no order."""
        cuts = self.cuts(len(matrix[0]))
        offsets = [1, *(last + 2 for last in self._last_entries(len(matrix[0])))]  # behind the inverse
        rows = []
        for row in matrix:
            steps = [(self.bits, 0)]
            for (start, end), offset in zip(pairwise(cuts), offsets, strict=False):
                positive = [exponent + (1 << self.bits) for exponent in row[start:end]]
                for position in range(self.bits + 1):
                    if subset := sum((exponent >> position & 1) << place for place, exponent in enumerate(positive)):
                        steps.append((position, offset + subset))
            rows.append(steps)
        return rows

    def _last_entries(self, columns: int) -> list[int]:
        """Where the product of each whole group stands in `make`'s tables, the inverse not counted."""
        last, found = -1, []
        for start, end in pairwise(self.cuts(columns)):
            last += 1 << (end - start)
            found.append(last)
        return found


def signed_windows(exponent: int, window: int) -> list[tuple[int, int]]:
    """The (position, odd digit) pairs of the exponent's wNAF, lowest position first: `sum(d << p) == exponent`."""
    sign, rest, position = (-1 if exponent < 0 else 1), abs(exponent), 0
    digits = []
    while rest:
        zeros = (rest & -rest).bit_length() - 1
        rest >>= zeros
        position += zeros
        digit = rest & ((1 << window) - 1)
        if digit >> (window - 1):
            digit -= 1 << window
        digits.append((position, sign * digit))
        rest -= digit
    return digits
