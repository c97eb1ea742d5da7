"""The stated sizes are those of the tables, to the byte where gmpy2 leaves no choice."""

from __future__ import annotations

import secrets
import sys
from collections import deque
from typing import Any

import gmpy2
import pytest
from gmpy2 import mpz

from deltaml_core.schemes import memory
from deltaml_core.schemes.multiexp import ExponentMatrix, FixedBase
from deltaml_core.schemes.paillier import PaillierPublicKey
from deltaml_core.schemes.pool import ZeroPool
from deltaml_core.schemes.tables import OddPowers, Subsets


def held(thing: Any, seen: set[int] | None = None) -> int:
    """Bytes of a thing and of what it refers to; what Python shares among all (small numbers, the empty tuple) not counted."""
    seen = set() if seen is None else seen
    if id(thing) in seen or (type(thing) is int and -5 <= thing <= 256) or thing == ():
        return 0
    seen.add(id(thing))
    inner = thing if isinstance(thing, list | tuple | deque) else ()
    return sys.getsizeof(thing) + sum(held(part, seen) for part in inner)


def odd(bits: int) -> mpz:
    return mpz(secrets.randbits(bits - 1) | 1 << (bits - 1) | 1)


def unit(n: mpz) -> int:
    while gmpy2.gcd(number := secrets.randbelow(int(n * n)), n) != 1:
        pass
    return number


@pytest.mark.parametrize(("key_bits", "bits", "teeth", "blocks"), [(256, 64, 4, 2), (1024, 40, 7, 3), (2048, 288, 9, 4), (5000, 30, 3, 1)])
def test_a_fixed_base(key_bits: int, bits: int, teeth: int, blocks: int) -> None:
    n = odd(key_bits)
    table = FixedBase(int(odd(2 * key_bits)) % int(n * n), int(n), bits, teeth, blocks)
    least, most = memory.fixed_base(key_bits, teeth, blocks)
    assert [len(block) for block in table._tables] == [1 << teeth] * blocks
    assert least <= held(table._tables) <= most


def test_no_number_is_reused_above_64_limbs_and_the_formula_is_exact() -> None:
    """But for a division's limb more in some of them, and in each block for the number 1."""
    n = odd(8192)
    table = FixedBase(int(odd(16384)) % int(n * n), int(n), 28, 7, 2)
    least, most = memory.fixed_base(8192, 7, 2)
    assert (most - least) / least < 0.03
    assert least <= held(table._tables) <= most


def test_short_randomness_up_to_3072_bits_takes_less_than_2_and_a_half_megabytes() -> None:
    for key_bits in (2048, 3072):
        table = PaillierPublicKey(int(odd(key_bits)))._powers_of(mpz(2))
        assert held(table._tables) <= memory.fixed_base(key_bits, 9, 4).most < 2.5e6


@pytest.mark.parametrize(("key_bits", "columns", "window"), [(256, 3, 2), (1024, 11, 5), (2048, 20, 6)])
def test_odd_powers(key_bits: int, columns: int, window: int) -> None:
    n = odd(key_bits)
    table = OddPowers(window).make([unit(n) for _ in range(columns)], n)
    least, most = memory.odd_powers(key_bits, columns, window)
    assert len(table) == columns << (window - 1)
    assert least <= held(table) <= most


@pytest.mark.parametrize(("key_bits", "columns", "group"), [(256, 7, 4), (1024, 17, 6), (2048, 20, 9)])
def test_subsets(key_bits: int, columns: int, group: int) -> None:
    n = odd(key_bits)
    table = Subsets(group, 32).make([unit(n) for _ in range(columns)], n)
    least, most = memory.subsets(key_bits, columns, group)
    assert least <= held(table) <= most


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (11, 11), (40, 60)])
def test_programs(rows: int, columns: int) -> None:
    matrix = ExponentMatrix.recode([[secrets.randbits(32) - 2**31 for _ in range(columns)] for _ in range(rows)])
    steps = sum(len(program.entries) for program in matrix.programs)
    least, most = memory.programs(rows, steps)
    assert least <= held(matrix.programs) <= most


def test_a_full_pool() -> None:
    pool = ZeroPool(lambda: odd(4096), 200)
    while pool.make_one():
        pass
    assert held(pool._factors) <= memory.pool(2048, 200)
    assert memory.pool(2048, 1024) < 0.7e6
