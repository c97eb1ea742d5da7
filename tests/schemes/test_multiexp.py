"""Simultaneous multi-exponentiation against Python's pow."""

from __future__ import annotations

import itertools
import math
import secrets

import pytest
from gmpy2 import mpz
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.schemes.multiexp import ExponentMatrix, FixedBase, multiply
from deltaml_core.schemes.pairs import invert_all, join, split
from deltaml_core.schemes.tables import OddPowers, Subsets, signed_windows

N = 43 * 59
MODULUS = mpz(N * N)
units = st.integers(1, N * N - 1).filter(lambda value: math.gcd(value, N) == 1)
exponents = st.one_of(st.integers(-9, 9), st.integers(-(2**90), 2**90), st.sampled_from([0, 1, -1, 2**64, 2**64 - 1, -(2**64)]))


def textbook(bases: list[int], row: list[int]) -> int:
    product = 1
    for base, exponent in zip(bases, row, strict=True):
        product = product * pow(base, exponent, N * N) % (N * N)
    return product


def test_by_hand() -> None:
    matrix = ExponentMatrix.recode([[2, 1], [-1, 0], [0, 0]])
    assert matrix.shape == (3, 2)
    assert multiply([3, 5], matrix, mpz(N)) == [45, pow(3, -1, N * N), 1]


@given(st.data())
def test_every_row_is_the_product_of_powers(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
    bases = data.draw(st.lists(units, min_size=columns, max_size=columns))
    matrix = data.draw(st.lists(st.lists(exponents, min_size=columns, max_size=columns), min_size=rows, max_size=rows))
    expected = [textbook(bases, row) for row in matrix]
    assert multiply(bases, ExponentMatrix.recode(matrix), mpz(N)) == expected
    window, group = data.draw(st.integers(2, 8)), data.draw(st.integers(1, 7))
    longest = max(abs(exponent).bit_length() for row in matrix for exponent in row)
    for table in (OddPowers(window), Subsets(group, longest), Subsets(group, longest + 1)):
        assert multiply(bases, ExponentMatrix.recode(matrix, table), mpz(N)) == expected


@pytest.mark.parametrize(("size", "kind"), [(1, OddPowers), (30, Subsets), (100, Subsets)])
def test_dense_matrices_of_many_rows_go_by_subsets(size: int, kind: type) -> None:
    matrix = [[secrets.randbits(33) - 2**32 for _ in range(size)] for _ in range(size)]
    assert isinstance(ExponentMatrix.recode(matrix).table, kind)
    lonely = [[exponent if i == j else 1 for j, exponent in enumerate(row)] for i, row in enumerate(matrix)]
    assert isinstance(ExponentMatrix.recode(lonely).table, OddPowers)


@given(exponents, st.integers(2, 8))
def test_signed_windows_are_odd_small_apart_and_sum_up(exponent: int, window: int) -> None:
    digits = signed_windows(exponent, window)
    assert sum(digit << position for position, digit in digits) == exponent
    assert all(digit % 2 == 1 and abs(digit) < 1 << (window - 1) for _, digit in digits)
    positions = [position for position, _ in digits]
    assert all(later - earlier >= window for earlier, later in itertools.pairwise(positions))


@given(st.lists(units, max_size=8))
def test_inverses(values: list[int]) -> None:
    inverses = [join(inverse, mpz(N)) for inverse in invert_all([split(mpz(value), mpz(N)) for value in values], mpz(N))]
    assert len(inverses) == len(values)
    assert all(value * inverse % MODULUS == 1 for value, inverse in zip(values, inverses, strict=True))


@pytest.mark.parametrize(("teeth", "blocks"), [(1, 1), (3, 2), (7, 1), (4, 5), (9, 4)])
@pytest.mark.parametrize("exponent", [0, 1, 2**20 - 1, 0b1010_1100_0000_0000_0001, 2**19])
def test_fixed_base_is_the_power(teeth: int, blocks: int, exponent: int) -> None:
    assert FixedBase(7, N, bits=20, teeth=teeth, blocks=blocks).power(exponent) == pow(7, exponent, N * N)


def work(matrix: ExponentMatrix) -> int:
    """Multiplications of a product, tables included."""
    return matrix.table_products + matrix.products


@pytest.mark.parametrize("size", [3, 11, 30])
def test_it_needs_far_fewer_multiplications_than_one_power_a_product(size: int) -> None:
    matrix = [[(-1) ** (i + j) * secrets.randbits(32) for j in range(size)] for i in range(size)]
    one_by_one = sum(exponent.bit_length() + abs(exponent).bit_count() for row in matrix for exponent in row)
    assert work(ExponentMatrix.recode(matrix)) < one_by_one / 1.7
