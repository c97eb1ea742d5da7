"""Sums about a shift, merged, are those of all rows together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.statistics import Dataset, Moments, numpy_table
from deltaml_core.statistics.requirements import Column, Requirements

Array = np.ndarray


def _moments(Z: Array, shift: Array) -> Moments:
    U = Z - shift
    return Moments.of_sums(len(Z), len(Z), np.full(Z.shape[1], float(len(Z))), np.ones(Z.shape[1]), shift, U.sum(axis=0), U.T @ U)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(1, 4), st.sampled_from([0.0, 1e6, -1e9]))
def test_parts_merge_to_the_whole(seed: int, sizes: list[int], features: int, offset: float) -> None:
    rng = np.random.default_rng(seed)
    parts = [offset + rng.normal(size=(size, features + 1)) for size in [*sizes, 3]]
    whole = np.vstack(parts)
    merged = Moments.merged([_moments(part, offset + rng.normal(size=features + 1)) for part in parts])
    assert (merged.rows, merged.read) == (len(whole), len(whole))
    assert merged.present.tolist() == [len(whole)] * (features + 1)
    centred = whole - whole.mean(axis=0)
    assert np.allclose(merged.scatter, centred.T @ centred, rtol=1e-6, atol=1e-6)
    exact = Dataset(whole[:, :-1], whole[:, -1], tuple(map(str, range(features)))).statistics()
    found = merged.statistics()
    for ours, theirs in ((found.A, exact.A), (found.b, exact.b), (found.c, exact.c)):
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9 * exact.rows)


@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 4), st.sampled_from([0.0, 50.0]))
def test_errors_on_the_folded_rows_are_errors_on_the_rows(seed: int, rows: int, features: int, offset: float) -> None:
    """Fewer rows than columns and constant columns among them."""
    rng = np.random.default_rng(seed)
    Z = offset + rng.normal(size=(rows, features + 1)) * 10.0 ** rng.integers(-3, 3, features + 1)
    Z[:, 0] = np.where(seed % 3, Z[:, 0], offset)
    folded = _moments(Z, Z[0]).folded()
    assert folded.shape == (features + 2, features + 2)
    both = np.column_stack([Z[:, :-1], np.ones(rows), Z[:, -1]])
    of_rows = Dataset(Z[:, :-1], Z[:, -1], ()).folded()
    for weights in rng.normal(size=(3, features + 2)):
        norm = np.linalg.norm(both @ weights)
        assert np.linalg.norm(folded @ weights) == pytest.approx(norm, rel=1e-6, abs=1e-6)
        assert np.linalg.norm(of_rows @ weights) == pytest.approx(norm, rel=1e-9)


def test_a_fault_of_one_part_is_a_fault_of_the_whole() -> None:
    sound = _moments(np.ones((4, 2)), np.ones(2))
    for fault in (
        replace(sound, fits=np.array([1.0, 0.0])),
        replace(sound, present=np.array([3.0, 4.0])),
        replace(sound, mean=np.full(2, np.inf)),
    ):
        assert not fault.is_sound
        assert not Moments.merged([sound, fault, sound]).is_sound
    assert Moments.merged([sound, sound]).is_sound


def test_moments_travel_as_numbers() -> None:
    Z = np.random.default_rng(1).normal(size=(7, 3))
    sent = _moments(Z, Z[0])
    came = Moments.of_numbers(sent.to_numbers())
    assert np.array_equal(came.scatter, sent.scatter)
    assert came.to_numbers() == sent.to_numbers()


def test_sums_and_scans_show_no_value() -> None:
    requirements = Requirements((Column("a", 0, 9999),), Column("y", 0, 9999))
    scan = numpy_table([[1234.5], [777.25]], [42.75, 99.5], ["a"], "y").select(requirements)
    for shown in (repr(scan), repr(scan.moments), repr(scan.table), repr([scan.statistics()])):
        assert not any(number in shown for number in ("1234", "777", "42.75", "99.5", "2011"))
