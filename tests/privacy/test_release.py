"""Noisy statistics: how far one row moves them, how the noise is distributed, and that they stay statistics of some rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core import models
from deltaml_core.errors import MissingExtraError, PrivacyError, WeakPrivacyWarning
from deltaml_core.privacy import Guarantee, Release, epsilon_of
from deltaml_core.privacy.mechanism import LARGEST_EPSILON, UNIT, add_noise, scale_for
from deltaml_core.privacy.moments import Layout, statistics_of
from deltaml_core.statistics import Array, Column, Dataset, Requirements, Statistics

METRES = Requirements((Column("a", -2.0, 6.0), Column("b", 1000.0, 1010.0)), Column("t", -1.0, 0.5))


def requirements(features: int) -> Requirements:
    return Requirements(tuple(Column(f"x{j + 1}", -1.0, 1.0) for j in range(features)), Column("target", -1.0, 1.0))


def rows_within(required: Requirements, rows: int, seed: int) -> Dataset:
    """Random rows, some of whose values lie on the ends of their ranges."""
    rng = np.random.default_rng(seed)
    columns = (*required.features, required.target)
    shares = np.clip(rng.uniform(-0.2, 1.2, (rows, len(columns))), 0, 1)
    values = np.column_stack([c.low * (1 - s) + c.high * s for c, s in zip(columns, shares.T, strict=True)])
    return Dataset(values[:, :-1], values[:, -1], tuple(c.name for c in required.features), required.target.name)


def encode(dataset: Dataset, required: Requirements) -> list[int]:
    return [int(entry) for entry in Layout(required, dataset.rows).encode(Statistics.of(dataset))]


# --- how far one row moves them ----------------------------------------------------------------------------------


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Requirements, Dataset, Dataset]:
    """Two data sets within the same ranges that differ in one row; corners are likely."""
    width = draw(st.integers(1, 5))
    ends = st.floats(-1e4, 1e4)  # as narrow as floating point goes, and far from zero
    columns = [Column(f"x{j}", *sorted((draw(ends), draw(ends)))) for j in range(width + 1)]
    rows = draw(st.integers(1, 4))

    def row() -> list[float]:
        return [draw(st.one_of(st.sampled_from((c.low, c.high)), st.floats(c.low, c.high))) for c in columns]

    table = np.array([row() for _ in range(rows)])
    other = table.copy()
    other[draw(st.integers(0, rows - 1))] = row()
    required = Requirements(tuple(columns[:-1]), columns[-1])
    first, second = (Dataset(t[:, :-1], t[:, -1], tuple(c.name for c in columns[:-1]), columns[-1].name) for t in (table, other))
    return required, first, second


@given(neighbours())
@settings(max_examples=200, deadline=None)
def test_one_row_moves_the_vector_by_at_most_the_unit(pair: tuple[Requirements, Dataset, Dataset]) -> None:
    required, first, second = pair
    moved = sum((one - other) ** 2 for one, other in zip(encode(first, required), encode(second, required), strict=True))
    assert moved <= UNIT**2


def test_the_bound_is_reached_by_rows_in_opposite_corners() -> None:
    """With n = 3 features a change of two signs moves the features' moments by n + 1; that block alone has half of the loss."""
    required = requirements(3)
    one, other = (Dataset(np.array([x]), np.array([1.0]), ("x1", "x2", "x3")) for x in ([1.0, 1.0, 1.0], [-1.0, -1.0, 1.0]))
    features = np.array(encode(one, required), dtype=float)[5:] - np.array(encode(other, required), dtype=float)[5:]
    assert np.linalg.norm(features) == pytest.approx(UNIT * math.sqrt(0.5), rel=1e-6)


def test_a_scan_of_many_rows_far_from_zero_is_trusted_less() -> None:
    """What floating-point sums may be off by is taken off the signal, never off the noise."""
    few, many = (abs(Layout(METRES, rows).decode(np.full(9, UNIT)).matrix[0, 1]) * rows for rows in (10, 10**7))
    assert many > 2 * few


@given(st.integers(1, 30), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_without_noise_the_statistics_come_back(rows: int, seed: int) -> None:
    dataset = rows_within(METRES, rows, seed)
    found = statistics_of(Layout(METRES, rows).decode(Layout(METRES, rows).encode(Statistics.of(dataset))), METRES)
    expected = Statistics.of(dataset)
    assert pytest.approx(expected.A, rel=1e-6, abs=1e-6) == found.A
    assert found.b == pytest.approx(expected.b, rel=1e-6, abs=1e-5 * 1010)
    assert (found.c, found.rows) == (pytest.approx(expected.c, rel=1e-6, abs=1e-6), rows)
    assert found.A[-1, -1] == rows  # public, so exact


# --- the noise ---------------------------------------------------------------------------------------------------


def test_the_noise_has_the_stated_scale() -> None:
    """The mean and the variance of n normal numbers: both tolerances are 7 standard errors, missed less than once in 10**10."""
    n, scale = 20_000, 2.5
    noise = add_noise(np.full(n, 12345, dtype=np.int64), scale) - 12345
    assert abs(noise.mean()) <= 7 * scale * UNIT / math.sqrt(n)
    assert abs(noise.var() / (scale * UNIT) ** 2 - 1) <= 7 * math.sqrt(2 / n)


def test_released_moments_scatter_as_their_deviation_says() -> None:
    """Standardised by it, all entries of many releases are normal with variance 1: tolerances as above; A stays symmetric."""
    required, guarantee = requirements(3), Guarantee(5.0)
    dataset = rows_within(required, 40, 7)
    layout, truth = Layout(required, 40), Statistics.of(dataset)
    exact = layout.decode(layout.encode(truth)).matrix
    upper = np.triu_indices(5, 1)
    deviation = layout.deviation(scale_for(guarantee))
    scores = []
    for _ in range(300):
        noisy = layout.decode(np.array(Release.of(truth, required, guarantee).vector)).matrix
        assert (noisy == noisy.T).all()
        assert noisy[0, 0] == 1
        scores.append((noisy - exact)[upper] / deviation[upper])
    found = np.array(scores)
    assert abs(found.mean()) <= 7 / math.sqrt(found.size)
    assert abs(found.var() - 1) <= 7 * math.sqrt(2 / found.size)
    assert abs((found[:, :1] * found[:, 1:]).mean()) <= 7 / math.sqrt(found[:, 1:].size)  # and apart from each other


def test_every_release_has_noise_of_its_own() -> None:
    required = requirements(2)
    truth = Statistics.of(rows_within(required, 20, 3))
    assert Release.of(truth, required, Guarantee(1.0)).vector != Release.of(truth, required, Guarantee(1.0)).vector


# --- accounting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 10.0, LARGEST_EPSILON])
def test_a_release_keeps_its_guarantee_and_wastes_little_of_it(epsilon: float) -> None:
    kept = epsilon_of((scale_for(Guarantee(epsilon, 1e-6)),), 1e-6)
    assert 0.999 * epsilon <= kept <= epsilon


def test_releases_compose_as_zero_concentrated_privacy_does() -> None:
    """Four releases with twice the noise tell what one tells: rho = 1 / (2 scale**2) adds up."""
    assert epsilon_of((8.0,) * 4, 1e-5) == pytest.approx(epsilon_of((4.0,), 1e-5), rel=1e-9)
    assert epsilon_of((), 1e-5) == 0
    one = epsilon_of((4.0,), 1e-5)
    assert one < epsilon_of((4.0,) * 4, 1e-5) < 4 * one


def test_a_scale_that_was_never_chosen_is_refused() -> None:
    with pytest.raises(PrivacyError, match="the record is damaged"):
        epsilon_of((4.0, 0.0), 1e-5)


@pytest.mark.parametrize(
    ("epsilon", "delta", "said"),
    [
        *((wrong, 1e-5, "epsilon") for wrong in (0, -1, math.nan, 301, "1", True)),
        *((1, wrong, "delta") for wrong in (0, 0.5)),
    ],
)
def test_a_guarantee_that_cannot_be_meant_is_refused(epsilon: Any, delta: Any, said: str) -> None:
    with pytest.raises(PrivacyError, match=f"{said} must be a number from"):
        Guarantee(epsilon, delta)


def test_a_delta_that_would_allow_publishing_a_row_is_refused() -> None:
    required = requirements(1)
    with pytest.raises(PrivacyError, match=r"one of 200 rows could be published whole: choose a delta well below 0\.005"):
        Release.of(Statistics.of(rows_within(required, 200, 1)), required, Guarantee(1.0, 0.005))


def test_a_large_epsilon_is_warned_of() -> None:
    with pytest.warns(WeakPrivacyWarning, match="epsilon 30 bounds next to nothing"):
        Guarantee(30.0).warn()
    Guarantee(10.0).warn()


def test_without_opendp_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("opendp.prelude", "opendp"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'deltaml-core\[dp\]'"):
        add_noise(np.zeros(1, dtype=np.int64), 1.0)


# --- what trainers and validators make of it ---------------------------------------------------------------------


def eigenvalues(statistics: Statistics) -> Array:
    whole = np.block([[statistics.A, statistics.b[:, None]], [statistics.b[None, :], np.array([[statistics.c]])]])
    return np.asarray(np.linalg.eigvalsh(whole))


@given(st.integers(1, 60), st.sampled_from((0.01, 0.3, 3.0, 100.0)), st.sampled_from((METRES, requirements(4))), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_noisy_statistics_keep_every_bound_that_rows_keep(rows: int, epsilon: float, required: Requirements, seed: int) -> None:
    dataset = rows_within(required, rows, seed)
    release = Release.of(Statistics.of(dataset), required, Guarantee(epsilon))
    row_norm = math.sqrt(1 + sum(column.magnitude**2 for column in required.features))
    target = required.target.magnitude
    step = 1.8 / row_norm**2
    for statistics in (release.for_measuring(required), release.for_training(required, step)):
        size = np.abs(statistics.A).max()
        assert eigenvalues(statistics)[0] >= -1e-9 * size  # squares stay squares: rho >= 0
        assert (statistics.A == statistics.A.T).all() or np.abs(statistics.A - statistics.A.T).max() <= 1e-12 * size
        assert statistics.A[-1, -1] == pytest.approx(rows)
        assert np.linalg.norm(statistics.b) / rows <= row_norm * target * (1 + 1e-9)  # `TrainingTerms.update_bound`
        assert statistics.c / rows <= target**2 * (1 + 1e-9)
    measured = release.for_measuring(required)
    assert np.trace(measured.A) / rows <= row_norm**2 * (1 + 1e-9)
    trained = release.for_training(required, step)
    update = models.local_steps(trained, step, 3)  # raises where |M| <= 1 does not hold
    assert np.linalg.norm(update.M, 2) <= 1 + 1e-9


def test_validators_and_trainers_know_the_same_mean() -> None:
    release = Release.of(Statistics.of(rows_within(METRES, 30, 5)), METRES, Guarantee(2.0))
    assert release.for_training(METRES, 1e-7).target_sum == pytest.approx(release.for_measuring(METRES).target_sum)


def test_with_many_rows_the_noise_is_lost_in_them() -> None:
    """AdaSSP's promise: the ridge goes when the features' smallest eigenvalue outweighs the noise."""
    required = requirements(2)
    truth = Statistics.of(rows_within(required, 200, 9))
    many = Statistics(truth.A * 50_000, truth.b * 50_000, truth.c * 50_000, truth.rows * 50_000)
    release = Release.of(many, required, Guarantee(1.0, 1e-8))
    for statistics in (release.for_training(required, 0.5), release.for_measuring(required)):
        assert statistics.A / many.rows == pytest.approx(truth.A / truth.rows, abs=2e-5)
        assert statistics.b / many.rows == pytest.approx(truth.b / truth.rows, abs=2e-5)


def test_a_release_is_read_back_as_it_was() -> None:
    release = Release.of(Statistics.of(rows_within(METRES, 30, 5)), METRES, Guarantee(2.0, 1e-6))
    assert Release.from_json(release.to_json()) == release
    assert "vector" not in repr(release)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 2}', '{"version": 1, "epsilon": "x"}'])
def test_a_text_that_is_no_release_is_refused(text: str) -> None:
    with pytest.raises(PrivacyError, match="release"):
        Release.from_json(text)


def test_a_release_of_other_columns_is_refused() -> None:
    release = Release.of(Statistics.of(rows_within(METRES, 30, 5)), METRES, Guarantee(2.0))
    with pytest.raises(PrivacyError, match="not one of 4 features"):
        release.for_measuring(requirements(4))
