"""Simultaneous multi-exponentiation: all rows of `prod_j base_j ** e_ij mod m` at the cost of few multiplications.

Straus's method (E. G. Straus, 1964; "interleaving" in Möller, SAC 2001): small tables of odd powers of every base are
shared by all rows, and within a row all bases share one chain of squarings. Exponents are recoded in signed windows
(wNAF, Solinas 2000), so that a window of w bits costs one multiplication in w + 1 bits. Negative digits take the powers of
the inverted base; one modular inversion serves all bases (Montgomery's trick). Where many rows outweigh the tables, groups of
rows are spread over the cores (`compute.py`), each with tables of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import gmpy2
from gmpy2 import mpz

from deltaml_core.compute import Cost, spread

_WINDOWS = range(2, 9)

Program = tuple[tuple[tuple[int, int], ...], int]
"""A row: the pairs (squarings to do first, table entry to multiply by), and the squarings at the end."""


@dataclass(frozen=True)
class ExponentMatrix:
    """A matrix of signed exponents, recoded once for any number of products.

    Attributes:
        shape: (rows, columns).
        window: bits a table entry covers.
        programs: one a row.
    """

    shape: tuple[int, int]
    window: int
    programs: tuple[Program, ...]

    @classmethod
    def recode(cls, matrix: Sequence[Sequence[int]]) -> ExponentMatrix:
        """Choose the window that needs the fewest multiplications, and recode."""
        rows, columns = len(matrix), len(matrix[0])
        bits = max((abs(e).bit_length() for row in matrix for e in row), default=0)
        window = min(_WINDOWS, key=lambda w: columns * (1 << (w - 1)) + rows * columns * bits / (w + 1))
        return cls((rows, columns), window, tuple(_program(row, window) for row in matrix))

    @cached_property
    def products(self) -> int:
        """Multiplications that all rows need once the tables are there."""
        return sum(trailing + sum(squarings + 1 for squarings, _ in program) for program, trailing in self.programs)

    @property
    def table_products(self) -> int:
        """Multiplications that the tables need."""
        return self.shape[1] << (self.window - 1)


def multiply(bases: Sequence[int], exponents: ExponentMatrix, modulus: mpz) -> list[mpz]:
    """`[prod_j bases[j] ** exponents[i][j] mod modulus for every row i]`; every base must be a unit."""
    cost = Cost(exponents.products, exponents.table_products, modulus.bit_length())
    return spread(partial(_run, bases, exponents.window, modulus), exponents.programs, cost)


def _run(bases: Sequence[int], window: int, modulus: mpz, programs: Sequence[Program]) -> list[mpz]:
    table = _odd_powers(bases, window, modulus)
    products = []
    for program, trailing in programs:
        product = mpz(1)
        for squarings, entry in program:
            for _ in range(squarings):
                product = product * product % modulus
            product = product * table[entry] % modulus
        for _ in range(trailing):
            product = product * product % modulus
        products.append(product)
    return products


class FixedBase:
    """Powers of one base to secret exponents, through a table of `base ** (digit << position)`.

    Memory: `2**window * bits / window` numbers; 3 MB for 320 bits, a window of 7 and a modulus of 4096 bits.
    """

    def __init__(self, base: int, modulus: int, bits: int, window: int = 7) -> None:
        """Precompute; the cost is that of about `2**window * bits / window` multiplications."""
        self._base, self._bits = int(base), bits
        self._modulus = mpz(modulus)
        self._window = window
        self._columns: list[list[mpz]] = []
        unit = mpz(base)
        for _ in range(0, bits, window):
            column = [mpz(1), unit]
            while len(column) < 1 << window:
                column.append(column[-1] * unit % self._modulus)
            self._columns.append(column)
            unit = column[-1] * unit % self._modulus

    def powers(self, exponents: Sequence[int]) -> list[mpz]:
        """`base ** exponent` for each, over the cores where they outweigh a table for each worker."""
        cost = Cost(len(exponents) * len(self._columns), len(self._columns) << self._window, self._modulus.bit_length())
        return spread(self, exponents, cost)

    def __call__(self, exponents: Sequence[int]) -> list[mpz]:
        """The powers, one after the other."""
        return [self.power(exponent) for exponent in exponents]

    def __reduce__(self) -> tuple[type[FixedBase], tuple[int, int, int, int]]:
        """To a worker goes what the table is made from: sending it would take longer."""
        return FixedBase, (self._base, int(self._modulus), self._bits, self._window)

    def power(self, exponent: int) -> mpz:
        """`base ** exponent`, for an exponent of at most `bits` bits."""
        mask = (1 << self._window) - 1
        product = mpz(1)
        for column in self._columns:
            product = product * column[exponent & mask] % self._modulus
            exponent >>= self._window
        return product


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


def _program(row: Sequence[int], window: int) -> Program:
    half = 1 << (window - 2)  # odd powers in each half of a base's table: base**1, base**3, ... then their inverses
    steps = []
    for column, exponent in enumerate(row):
        for position, digit in signed_windows(exponent, window):
            entry = column * 2 * half + (abs(digit) >> 1) + (half if digit < 0 else 0)
            steps.append((position, entry))
    steps.sort(key=lambda step: -step[0])
    program, height = [], steps[0][0] if steps else 0
    trailing = steps[-1][0] if steps else 0
    for position, entry in steps:
        program.append((height - position, entry))
        height = position
    return tuple(program), trailing


def _odd_powers(bases: Sequence[int], window: int, modulus: mpz) -> list[mpz]:
    table = []
    for base, inverse in zip(bases, invert_all(bases, modulus), strict=True):
        for start in (mpz(base), inverse):
            square = start * start % modulus
            power = start
            table.append(power)
            for _ in range((1 << (window - 2)) - 1):
                power = power * square % modulus
                table.append(power)
    return table


def invert_all(values: Sequence[int], modulus: mpz) -> list[mpz]:
    """The inverses of units, with a single modular inversion."""
    prefixes = [mpz(1)]
    for value in values:
        prefixes.append(prefixes[-1] * value % modulus)
    suffix = gmpy2.invert(prefixes[-1], modulus)
    inverses = []
    for prefix, value in zip(reversed(prefixes[:-1]), reversed(values), strict=True):
        inverses.append(prefix * suffix % modulus)
        suffix = suffix * value % modulus
    return inverses[::-1]
