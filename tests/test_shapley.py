"""Shapley values from a Gram matrix: the axioms, brute force over all orders, and sampling with its stated error."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core import train
from deltaml_core.contributions import GramErrors, exact_shapley, gains, gains_with_errors, sampled_shapley
from deltaml_core.errors import TermsError
from deltaml_core.measurement import UNITS, Measurement, Metric, pairs

SCALE, ROWS = 40, 7


def errors_of(residuals: np.ndarray) -> GramErrors:
    """Of models with these residuals, (k, ROWS); the mean predictor's are 10 everywhere."""
    integers = [[round(float(r) * 2**SCALE) for r in row] for row in residuals]
    products = tuple(sum(a * b for a, b in zip(integers[i], integers[k], strict=True)) for i, k in pairs(len(integers)))
    mean = Metric(100 * ROWS << (2 * SCALE), SCALE, ROWS)
    return GramErrors(names(len(integers)), Measurement(products, SCALE, ROWS, len(integers)), mean)


def names(count: int) -> list[str]:
    return [f"trainer-{place}" for place in range(count)]


def residuals(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, rng.uniform(1, 12, size=(count, 1)), size=(count, ROWS))


def test_a_coalitions_error_is_that_of_its_averaged_model() -> None:
    found = residuals(1, 4)
    error = errors_of(found)
    for members in ([0], [1, 3], [0, 1, 2, 3]):
        expected = np.mean(np.mean(found[members], axis=0) ** 2)
        assert error(tuple(names(4)[m] for m in members)).mse == pytest.approx(expected, rel=1e-9)
    assert error(()).mse == 100
    with pytest.raises(TermsError, match="mean predictor was not measured"):
        GramErrors(names(1), Measurement((1,), SCALE, ROWS))(())


@given(st.integers(0, 2**32 - 1), st.permutations(range(6)))
def test_errors_on_the_way_are_those_of_the_coalitions(seed: int, order: list[int]) -> None:
    error = errors_of(residuals(seed, 6))
    joined = [names(6)[place] for place in order]
    assert [metric.exact for metric in error.joining(joined)] == [error(tuple(joined[: n + 1])).exact for n in range(6)]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_exact_values_are_the_mean_over_all_orders(count: int) -> None:
    error, trainers = errors_of(residuals(count, count)), names(count)
    totals = dict.fromkeys(trainers, 0)
    orders = list(permutations(trainers))
    for order in orders:
        before = error(()).units
        for place, trainer in enumerate(order, start=1):
            after = error(order[:place]).units
            totals[trainer] += before - after
            before = after
    assert exact_shapley(trainers, error) == [totals[trainer] // len(orders) for trainer in trainers]


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_the_axioms(seed: int, count: int) -> None:
    """Efficiency: the values sum to what all achieve. Symmetry: equal models earn equally."""
    found = residuals(seed, count)
    found[1] = found[0]
    error, trainers = errors_of(found), names(count)
    values = exact_shapley(trainers, error)
    assert abs(sum(values) - (error(()).units - error(tuple(trainers)).units)) <= count, "a unit is lost to each rounding"
    assert values[0] == values[1]


def test_sampled_values_lie_within_their_stated_error() -> None:
    error, trainers = errors_of(residuals(11, 9)), names(9)
    exact = exact_shapley(trainers, error)
    sampled, errors = sampled_shapley(trainers, error)
    assert all(error > 0 for error in errors)
    assert all(abs(s - e) < 5 * error for s, e, error in zip(sampled, exact, errors, strict=True))
    assert sampled_shapley(trainers, error) == (sampled, errors), "everybody draws the same orders"
    _, few_errors = sampled_shapley(trainers, error, orders=200)
    assert np.mean(few_errors) == pytest.approx(np.mean(errors) * 10**0.5, rel=0.3)


def test_above_fifteen_trainers_values_are_sampled() -> None:
    error, trainers = errors_of(residuals(3, 16)), names(16)
    assert gains_with_errors("shapley", trainers, error) == sampled_shapley(trainers, error)
    fifteen = errors_of(residuals(3, 4))
    assert gains_with_errors("shapley", names(4), fifteen) == (exact_shapley(names(4), fifteen), [0.0] * 4)
    with pytest.raises(TermsError, match="sampled from a Gram matrix"):
        gains("shapley", trainers, lambda coalition: Metric(1, 0, 1))


def test_who_was_left_out_gains_nothing() -> None:
    error, trainers = errors_of(residuals(5, 3)), names(3)
    before = gains("shapley", trainers, error)
    assert max(before) > UNITS
    best = trainers[before.index(max(before))]
    after = gains("shapley", trainers, error, left_out=[best])
    assert after == [min(0, gain) if trainer == best else gain for trainer, gain in zip(trainers, before, strict=True)]


def test_a_run_of_seventeen_trainers_states_its_shares_errors() -> None:
    rng = np.random.default_rng(8)
    weights = np.array([2.0, -1.0])
    shards = []
    for _ in range(18):
        X = rng.normal(size=(6, 2))
        shards.append((X, X @ weights + 0.1 * rng.normal(size=6)))
    result = train(shards, validators=[17], rounds=2, step=0.2, scheme="plain")
    assert len(result.contributions) == 17
    assert sum(result.contributions.values()) == pytest.approx(1)
    assert all(0 < error < 0.05 for error in result.contribution_errors.values())
    few = train(shards[:4], validators=[3], rounds=2, step=0.2, scheme="plain")
    assert set(few.contribution_errors.values()) == {0.0}
