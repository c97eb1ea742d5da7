"""Sums over owners, under encryption, against the same in the clear."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import key_pair, pooled_mse, random_shards
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge

from deltaml_core import train
from deltaml_core.errors import InsecureKeyWarning, PooledStatisticsWarning, ScaleBudgetError, TermsError
from deltaml_core.objectives import Objective
from deltaml_core.pooled import mean_squared_error, normal_equations
from deltaml_core.statistics import Dataset, Statistics
from deltaml_core.training import declared_ranges

seeds = st.integers(0, 10**6)


def scanned(shards: list[tuple[np.ndarray, np.ndarray]]) -> list[Statistics]:
    return [Statistics.of(Dataset.of(X, y)) for X, y in shards]


@pytest.mark.parametrize("scheme", ["paillier", "plain"])
@given(seed=seeds, size=st.floats(1e-6, 1e6))
@settings(max_examples=15)
def test_the_pooled_error_is_that_of_all_rows_but_for_the_blur(scheme: str, seed: int, size: float) -> None:
    shards = random_shards(seed, (5, 9, 3), 4)
    weights = size * np.random.default_rng(seed).normal(size=5)
    found = mean_squared_error(key_pair(scheme, 512), weights, scanned(shards), target_range=1.0)
    expected = pooled_mse(shards, weights)
    assert found == pytest.approx(expected, rel=1e-9, abs=2**-30)
    assert found >= expected * (1 - 1e-9) - 1e-12


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_the_normal_equations_give_scikit_learns_model(penalty: float) -> None:
    shards = random_shards(2, (20, 15, 30), 4)
    X, y = np.vstack([X for X, _ in shards]), np.concatenate([y for _, y in shards])
    model = Ridge(alpha=penalty * len(y)).fit(X, y) if penalty else LinearRegression().fit(X, y)
    objective = Objective("ridge", penalty)
    ranges = declared_ranges([Dataset.of(*shard) for shard in shards])
    weights = normal_equations(key_pair("paillier", 512), scanned(shards), objective, ranges)
    assert np.allclose(weights, [*model.coef_, model.intercept_], rtol=1e-9, atol=1e-9)


def test_one_trainer_or_a_short_key_is_refused() -> None:
    shards = random_shards(2, (20, 15), 4)
    ranges = declared_ranges([Dataset.of(*shard) for shard in shards])
    with pytest.raises(TermsError, match="hides nobody"):
        normal_equations(key_pair("plain", 512), scanned(shards[:1]), Objective(), ranges)
    with pytest.raises(ScaleBudgetError, match="use a longer key"):
        normal_equations(key_pair("plain", 64), scanned(shards), Objective(), ranges)
    with pytest.raises(ScaleBudgetError, match="use a longer key"):
        mean_squared_error(key_pair("plain", 64), np.ones(5), scanned(shards), target_range=1.0)


def test_train_solves_in_one_exchange_and_says_what_that_tells_the_buyer() -> None:
    shards = random_shards(7, (20, 15, 30, 12), 3)
    with pytest.warns(PooledStatisticsWarning), pytest.warns(InsecureKeyWarning):
        result = train(shards, validators=[3], solver="normal_equations", key_bits=512)
    X, y = np.vstack([X for X, _ in shards[:3]]), np.concatenate([y for _, y in shards[:3]])
    assert np.allclose(result.coef_, LinearRegression().fit(X, y).coef_, atol=1e-9)
    assert result.mse_history == [(0, pytest.approx(pooled_mse(shards[3:], np.zeros(4)))), (1, pytest.approx(result.mse_final))]
    assert result.mse_final == pytest.approx(pooled_mse(shards[3:], np.append(result.coef_, result.intercept_)), abs=1e-7)
    assert (result.contributions, result.transcript) == ({0: 0.0, 1: 0.0, 2: 0.0}, None)
    for ignored in ({"robust": True}, {"metrics": "noise", "contributions": "leave_one_out"}):
        with pytest.raises(TermsError, match="leave robust and metrics at their defaults"):
            train(shards, solver="normal_equations", scheme="plain", key_bits=512, **ignored)
    with pytest.raises(TermsError, match="not the text 'a:1'"):
        train(shards, scheme="mpc", parties="a:1")
    with pytest.raises(TermsError, match="choose one of descent, normal_equations"):
        train(shards, solver="magic", scheme="plain", key_bits=512)


def test_held_out_rows_are_measured_once_and_teach_nothing() -> None:
    shards = random_shards(9, (40, 40, 40), 2)
    options = {"validators": [2], "rounds": 4, "step": None, "scheme": "plain", "key_bits": 1024, "seed": 3}
    result = train(shards, test_share=0.25, **options)
    changed = [(X, y.copy()) for X, y in shards]
    kept = train(changed, **options)
    assert kept.mse_test is None
    assert result.mse_test is not None
    assert result.mse_test > 0
    assert not np.allclose(result.coef_, kept.coef_)  # a quarter of the rows was not there
    for share in (-0.1, 1.0, 2.0):
        with pytest.raises(TermsError, match="between 0 and 1"):
            train(shards, test_share=share, **options)
