"""Simultaneous multi-exponentiation: all rows of `prod_j base_j ** e_ij mod n**2` at the cost of few multiplications.

Straus's method (E. G. Straus, 1964; "interleaving" in Möller, SAC 2001): small tables are shared by all rows, and within a row all
bases share one chain of squarings. `tables.py` has the two kinds of tables; a matrix is recoded for the cheaper one. Where many
rows outweigh the tables, groups of rows are spread over the cores (`compute.py`), each with tables of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, pairwise
from typing import NamedTuple

from gmpy2 import f_divmod, mpz

from deltaml_core.compute import Cost, spread
from deltaml_core.schemes.pairs import ONE, Pair, product, split, subset_products
from deltaml_core.schemes.tables import OddPowers, Step, Subsets


class Program(NamedTuple):
    """A row: squarings and table entries to multiply by, in turn. Arrays, since a wide matrix has millions of them.

    Attributes:
        squarings: before each entry.
        entries: of the table.
        trailing: squarings at the end.
    """

    squarings: array[int]
    entries: array[int]
    trailing: int

    @classmethod
    def of(cls, steps: list[Step]) -> Program:
        """In the order of the steps' positions."""
        steps.sort(key=lambda step: -step[0])
        positions = [position for position, _ in steps] or [0]
        squarings = [higher - lower for higher, lower in pairwise([positions[0], *positions])]
        return cls(array("I", squarings[: len(steps)]), array("I", [entry for _, entry in steps]), positions[-1])


@dataclass(frozen=True)
class ExponentMatrix:
    """A matrix of signed exponents, recoded once for any number of products.

    Attributes:
        shape: (rows, columns).
        table: what is made of the bases before.
        programs: one a row.
    """

    shape: tuple[int, int]
    table: OddPowers | Subsets
    programs: tuple[Program, ...]

    @classmethod
    def recode(cls, matrix: Sequence[Sequence[int]], table: OddPowers | Subsets | None = None) -> ExponentMatrix:
        """Recode for a table, by default the one that needs the fewest multiplications."""
        if table is None:
            costs: list[tuple[float, OddPowers | Subsets]] = [OddPowers.best(matrix), Subsets.best(matrix)]
            _, table = min(costs, key=lambda cost: cost[0])
        return cls((len(matrix), len(matrix[0])), table, tuple(map(Program.of, table.recode(matrix))))

    @cached_property
    def squarings(self) -> int:
        """Squarings that all rows need."""
        return sum(sum(program.squarings) + program.trailing for program in self.programs)

    @cached_property
    def products(self) -> int:
        """Multiplications that all rows need once the tables are there, squarings included."""
        return self.squarings + sum(len(program.entries) for program in self.programs)

    @property
    def table_products(self) -> int:
        """Multiplications that the tables need."""
        return self.table.products(self.shape[1])


def multiply(bases: Sequence[int], exponents: ExponentMatrix, n: mpz) -> list[mpz]:
    """`[prod_j bases[j] ** exponents[i][j] mod n**2 for every row i]`; every base must be a unit."""
    cost = Cost(exponents.products, exponents.table_products, 2 * n.bit_length())
    return spread(partial(_run, bases, exponents.table, n), exponents.programs, cost)


def _run(bases: Sequence[int], table: OddPowers | Subsets, n: mpz, programs: Sequence[Program]) -> list[mpz]:
    entries = table.make(bases, n)
    return [follow(program, entries, n) for program in programs]


def follow(program: Program, table: Sequence[Pair], n: mpz) -> mpz:
    """A row's product."""
    low, high = mpz(1), mpz(0)
    for squarings, entry in chain(zip(program.squarings, program.entries, strict=True), [(program.trailing, -1)]):
        for _ in range(squarings):
            quotient, rest = f_divmod(low * low, n)
            high = (quotient + 2 * low * high) % n
            low = rest
        if entry >= 0:
            other_low, other_high = table[entry]
            quotient, rest = f_divmod(low * other_low, n)
            high = (quotient + low * other_high + high * other_low) % n
            low = rest
    return low + high * n


class FixedBase:
    """Powers of one base to secret exponents, through a comb (Lim & Lee, CRYPTO 1994).

    An exponent is laid out in `teeth` rows of bits, and each of its columns is an index into a table: the products of all subsets of the
    bases `base ** (1 << row's first bit)`. Columns are taken in `blocks`, each with a table of its own, so that all blocks share the
    squarings between columns.

    Memory: `blocks * 2**teeth` numbers (`memory.py`); 2 MB for a modulus of 2048 bits.
    """

    def __init__(self, base: int, n: int, bits: int, teeth: int = 9, blocks: int = 4) -> None:
        """Precompute; the cost is that of about `blocks * 2**teeth + bits` multiplications modulo n**2."""
        self._made_from = int(base), int(n), bits, teeth, blocks
        self._n = mpz(n)
        self._depth = -(-bits // (teeth * blocks))  # columns of a block
        self._columns = self._depth * blocks
        self._teeth = teeth
        firsts: list[list[Pair]] = [[] for _ in range(blocks)]
        power = split(mpz(base), self._n)
        for _ in range(teeth):
            for block in firsts:
                block.append(power)
                for _ in range(self._depth):
                    power = product(power, power, self._n)
        self._tables = [subset_products(block, self._n) for block in firsts]

    def powers(self, exponents: Sequence[int]) -> list[mpz]:
        """`base ** exponent` for each, over the cores where they outweigh a table for each worker."""
        cost = Cost(len(exponents) * (self._columns + self._depth), len(self._tables) << self._teeth, 2 * self._n.bit_length())
        return spread(self, exponents, cost)

    def __call__(self, exponents: Sequence[int]) -> list[mpz]:
        """The powers, one after the other."""
        return [self.power(exponent) for exponent in exponents]

    def __reduce__(self) -> tuple[type[FixedBase], tuple[int, int, int, int, int]]:
        """To a worker goes what the tables are made from: sending them would take longer."""
        return FixedBase, self._made_from

    def power(self, exponent: int) -> mpz:
        """`base ** exponent mod n**2`, for an exponent of at most `bits` bits."""
        n, columns, depth = self._n, self._columns, self._depth
        bits = format(exponent, f"0{self._teeth * columns}b")  # the highest row first, and in it the highest column
        low, high = ONE
        for column in range(depth):
            if column:
                quotient, rest = f_divmod(low * low, n)
                high = (quotient + 2 * low * high) % n
                low = rest
            for table, place in zip(self._tables, range(columns - depth + column, -1, -depth), strict=True):
                other_low, other_high = table[int(bits[place::columns], 2)]
                quotient, rest = f_divmod(low * other_low, n)
                high = (quotient + low * other_high + high * other_low) % n
                low = rest
        return low + high * n
