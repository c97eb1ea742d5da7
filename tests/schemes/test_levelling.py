"""Products with secret matrices: the same results as ever, and as many multiplications whatever the matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
from gmpy2 import mpz
from helpers import key_pair
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core import fixedpoint
from deltaml_core.compute import workers
from deltaml_core.schemes import multiexp, pairs
from deltaml_core.schemes.levelling import LevelMatrix, Work, public_matrix
from deltaml_core.schemes.multiexp import ExponentMatrix, multiply

N = 43 * 59
KEY = key_pair("paillier", 256)
D, BITS = 8, 32


def maps(seed: int) -> dict[str, np.ndarray]:
    """d x d of spectral norm at most 1, of every kind."""
    rng = np.random.default_rng(seed)
    wild = rng.normal(size=(D, D))
    symmetric = wild + wild.T
    return {
        "zero": np.zeros((D, D)),
        "identity": np.eye(D),
        "all equal": np.full((D, D), 1 / D),
        "sparse": np.diag(rng.uniform(-1, 1, D)),
        "tiny": wild * 1e-6,
        "wild": wild / np.linalg.norm(wild, 2),
        "symmetric": symmetric / np.linalg.norm(symmetric, 2),
        "descent": np.eye(D) - 0.9 * symmetric @ symmetric / np.linalg.norm(symmetric, 2) ** 2,
    }


def encoded(matrix: np.ndarray) -> list[list[int]]:
    return [fixedpoint.encode_array(row, BITS) for row in matrix]


REFERENCE = public_matrix([[2.0**BITS / math.sqrt(D)] * D] * D)


@pytest.mark.parametrize("seed", range(3))
def test_every_map_of_norm_one_takes_the_same_work(seed: int) -> None:
    work = {name: LevelMatrix.recode(encoded(matrix), REFERENCE).work for name, matrix in maps(seed).items()}
    assert len(set(work.values())) == 1, work
    bare = {Work.of(ExponentMatrix.recode(encoded(matrix))) for matrix in maps(seed).values()}
    assert len(bare) > 5


@pytest.mark.parametrize("seed", range(5))
def test_an_isotropic_map_of_norm_one_is_the_largest_there_is_and_may_show_by_its_last_digits(seed: int) -> None:
    """No step of gradient descent is one, but for features that are scaled and independent to the last bit."""
    orthogonal, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))
    most, usual = (LevelMatrix.recode(encoded(matrix), REFERENCE).work for matrix in (orthogonal, np.eye(D)))
    assert most.squarings == usual.squarings
    assert usual.products <= most.products <= 1.02 * usual.products


def test_work_is_what_the_arithmetic_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divisions by n are one a multiplication; beside them, whatever the matrix, one where a base, a row or the inverse is split in two.

    Inverting all bases takes three multiplications each, which are the same for all matrices and not counted as work.
    """
    divisions = 0
    real = multiexp.f_divmod

    def counted(numerator: mpz, denominator: mpz) -> tuple[mpz, mpz]:
        nonlocal divisions
        divisions += 1
        return real(numerator, denominator)  # type: ignore[no-any-return]

    for module in (multiexp, pairs):
        monkeypatch.setattr(module, "f_divmod", counted)
    bases = [pow(3, k, N * N) for k in range(1, D + 1)]
    seen = set()
    for matrix in maps(1).values():
        level = LevelMatrix.recode(encoded(matrix), REFERENCE)
        divisions = 0
        with workers(1):
            level.multiply(bases, mpz(N))
        work = level.work
        seen.add(divisions - (work.squarings + work.products))
    assert seen == {(D + D + 1) + 3 * D}


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), min_size=3, max_size=3), min_size=1, max_size=4))
def test_the_result_is_that_of_the_matrix(matrix: list[list[int]]) -> None:
    bases = [2, 5, 7]
    level = LevelMatrix.recode(matrix, public_matrix([[2.0**40] * 3] * len(matrix)))
    assert level.shape == (len(matrix), 3)
    assert level.multiply(bases, mpz(N)) == multiply(bases, ExponentMatrix.recode(matrix), mpz(N))


def test_a_matrix_beyond_its_reference_is_computed_all_the_same() -> None:
    level = LevelMatrix.recode([[2**60 + 12345, -(2**61)]], [[1, 1]])
    assert level.idle == Work(0, 0)
    assert level.multiply([2, 5], mpz(N)) == [pow(2, 2**60 + 12345, N * N) * pow(5, -(2**61), N * N) % (N * N)]


def test_keys_take_a_reference() -> None:
    ciphertexts = KEY.public.encrypt([3, 4])
    linear = KEY.public.prepare([[2, -1], [0, 5]], [[99, 98], [97, 96]])
    assert KEY.decrypt(KEY.public.combine(linear, ciphertexts)) == [2, 20]
    assert KEY.decrypt(KEY.public.affine(linear, [1, 1], ciphertexts)) == [3, 21]


def test_work_is_shared_without_loss() -> None:
    parts = Work(10, 7).shared_by(3)
    assert (sum(p.squarings for p in parts), sum(p.products for p in parts)) == (10, 7)
    assert max(p.squarings for p in parts) - min(p.squarings for p in parts) <= 1
    assert Work(3, 9).beyond(Work(5, 2)) == Work(0, 7)


def test_the_public_matrix_is_the_same_everywhere_and_as_large_as_it_says() -> None:
    scales = [[2.0**40, 0.0, 2.0**200], [1e3, 2.0**40, 2.0**40]]
    found = public_matrix(scales)
    assert found == public_matrix(scales)
    assert found[0][1] == 0
    assert all(
        abs(entry) <= math.e * scale + 1 for row, of in zip(found, scales, strict=True) for entry, scale in zip(row, of, strict=True)
    )
    many = public_matrix([[2.0**40] * 2000])[0]
    assert np.mean(np.log2(np.abs(np.array(many, dtype=float)))) == pytest.approx(40, abs=0.1)
