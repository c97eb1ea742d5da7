"""Affine maps against gradient descent on rows."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import descend, oracle, pooled_mse, random_shards, stable_step, with_ones
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core import models
from deltaml_core.errors import DivergentStepError, TermsError
from deltaml_core.models import AffineMap
from deltaml_core.statistics import Dataset, Statistics

seeds = st.integers(0, 10**6)


def scanned(shard: tuple[np.ndarray, np.ndarray]) -> Statistics:
    return Statistics.of(Dataset.of(*shard))


@given(seeds, st.integers(2, 40), st.integers(1, 8), st.integers(0, 12))
@settings(max_examples=40)
def test_local_steps_are_that_many_gradient_steps_on_the_rows(seed: int, rows: int, features: int, steps: int) -> None:
    (shard,) = random_shards(seed, (rows,), features)
    step = 0.9 * stable_step([shard])
    start = np.random.default_rng(seed).normal(size=features + 1)
    update = models.local_steps(scanned(shard), step, steps)
    assert np.allclose(update(start), descend(shard, start, step, steps), rtol=1e-9, atol=1e-9)


@given(seeds, st.integers(0, 40))
@settings(max_examples=40)
def test_power_is_repetition(seed: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    one = AffineMap(rng.uniform(-0.5, 0.5, (3, 3)), rng.normal(size=3))
    weights = expected = rng.normal(size=3)
    for _ in range(times):
        expected = one(expected)
    assert np.allclose(models.power(one, times)(weights), expected)


def test_compose_does_the_second_argument_first() -> None:
    double, plus_one = AffineMap(2 * np.eye(1), np.zeros(1)), AffineMap(np.eye(1), np.ones(1))
    assert models.compose(double, plus_one)(np.array([3.0])).tolist() == [8]
    assert models.compose(plus_one, double)(np.array([3.0])).tolist() == [7]


@given(seeds)
@settings(max_examples=20)
def test_the_largest_stable_step_is_where_descent_turns_into_growth(seed: int) -> None:
    (shard,) = random_shards(seed, (20,), 3)
    stable = models.largest_stable_step(scanned(shard))
    assert stable == pytest.approx(stable_step([shard]))

    def growth(step: float) -> float:
        return float(np.abs(np.linalg.eigvals(np.eye(4) - step * with_ones(shard[0]).T @ with_ones(shard[0]) / 20)).max())

    assert growth(stable) == pytest.approx(1)
    assert growth(1.01 * stable) > 1
    assert np.linalg.norm(models.local_steps(scanned(shard), stable, 1).M, 2) <= 1 + 1e-9
    with pytest.raises(DivergentStepError) as refused:
        models.local_steps(scanned(shard), 1.000001 * stable, 1)
    assert refused.value.largest_stable_step == stable
    assert isinstance(refused.value, TermsError)


@given(seeds)
@settings(max_examples=20)
def test_errors_from_statistics_are_those_of_the_rows(seed: int) -> None:
    shards = random_shards(seed, (3, 8, 5), 2)
    weights = np.random.default_rng(seed).normal(size=3)
    statistics = [scanned(shard) for shard in shards]
    for shard, found in zip(shards, statistics, strict=True):
        assert models.squared_error(found, weights) == pytest.approx(pooled_mse([shard], weights) * len(shard[1]))
    assert models.mean_squared_error(statistics, weights) == pytest.approx(pooled_mse(shards, weights))


@given(seeds, st.integers(1, 5), st.integers(1, 8))
@settings(max_examples=20)
def test_federated_descent_is_training_on_rows(seed: int, local_steps: int, rounds: int) -> None:
    shards = random_shards(seed, (6, 9, 4), 2)
    step = 0.9 * stable_step(shards)
    history = models.federated_descent([scanned(s) for s in shards[:2]], np.zeros(3), step, local_steps, rounds)
    assert len(history) == rounds + 1
    assert np.allclose(history[-1], oracle(shards, [2], rounds, step, local_steps)[0])


def test_maps_and_statistics_do_not_show_their_numbers() -> None:
    (shard,) = random_shards(1, (20,), 3)
    statistics = scanned(shard)
    update = models.local_steps(statistics, 0.1, 1)
    assert "array" not in repr(statistics) + repr(update)
