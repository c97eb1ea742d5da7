"""Ridge and logistic regression against scikit-learn and against gradient descent on rows."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import random_shards, with_ones
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from deltaml_core import train
from deltaml_core.errors import DataError, DivergentStepError, InsecureKeyWarning, TermsError
from deltaml_core.objectives import SLOPE, Objective
from deltaml_core.statistics import Column, Dataset, Statistics
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.training import declared_ranges

seeds = st.integers(0, 10**6)


def labelled(seed: int, sizes: tuple[int, ...], features: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=features)
    rows = [rng.normal(size=(size, features)) for size in sizes]
    return [(X, (X @ truth + rng.normal(size=len(X)) > 0).astype(float)) for X in rows]


@given(seeds, st.integers(1, 6), st.floats(0, 2))
@settings(max_examples=30)
def test_a_ridge_step_is_a_gradient_step_of_the_penalised_loss(seed: int, features: int, penalty: float) -> None:
    ((X, y),) = random_shards(seed, (20,), features)
    objective, statistics = Objective("ridge", penalty), Statistics.of(Dataset.of(X, y))
    step, start = objective.largest_stable_step(statistics) / 2, np.random.default_rng(seed).normal(size=features + 1)
    design, ridge = with_ones(X), np.append(np.full(features, penalty), 0.0)
    expected = start - step * (design.T @ (design @ start - y) / len(y) + ridge * start)
    assert np.allclose(objective.update(statistics, step, 1)(start), expected, rtol=1e-9, atol=1e-9)


@given(seeds, st.integers(1, 6), st.floats(0, 2))
@settings(max_examples=30)
def test_a_logistic_step_is_a_gradient_step_with_the_straight_sigmoid(seed: int, features: int, penalty: float) -> None:
    ((X, y),) = labelled(seed, (20,), features)
    objective = Objective("logistic", penalty)
    statistics = objective.prepare(Statistics.of(Dataset.of(X, y)))
    step, start = objective.largest_stable_step(statistics) / 2, np.random.default_rng(seed).normal(size=features + 1)
    design, ridge = with_ones(X), np.append(np.full(features, penalty), 0.0)
    expected = start - step * (design.T @ (0.5 + SLOPE * design @ start - y) / len(y) + ridge * start)
    assert np.allclose(objective.read(objective.update(statistics, step, 1)(SLOPE * start)), expected, rtol=1e-9, atol=1e-9)


def test_ridge_ends_where_scikit_learns_does_encrypted_or_not() -> None:
    shards = random_shards(5, (30, 30, 30, 25), 3)
    X, y = np.vstack([X for X, _ in shards[:3]]), np.concatenate([y for _, y in shards[:3]])
    options = {"rounds": 12, "local_steps": 200, "step": None, "scheme": "plain", "key_bits": 512}
    expected = Ridge(alpha=0.5 * len(y)).fit(X, y)
    alike = train([(X, y), shards[3]], validators=[1], model="ridge", penalty=0.5, **options)
    assert np.allclose(alike.coef_, expected.coef_, atol=1e-6)
    assert alike.intercept_ == pytest.approx(expected.intercept_, abs=1e-6)
    with pytest.warns(InsecureKeyWarning):
        encrypted = train(shards, validators=[3], model="ridge", penalty=0.5, **{**options, "scheme": "paillier"})
    clear = train(shards, validators=[3], model="ridge", penalty=0.5, **options)
    assert np.allclose(encrypted.coef_, clear.coef_, atol=1e-9)


def test_logistic_regression_is_as_good_as_scikit_learns_on_breast_cancer() -> None:
    """Within a point of accuracy, over five folds.

    Preprocessing: standardised columns, cut off at one standard deviation: a straight line does not level off as the sigmoid does.
    """
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    clipped, ours, theirs = np.clip(X, -1, 1), [], []
    options = {"model": "logistic", "penalty": 0.003, "rounds": 50, "evaluate_every": 50, "step": None, "scheme": "plain"}
    for learn, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        shards = [(clipped[rows], y[rows]) for rows in (learn[owner::7] for owner in range(7))]
        result = train(shards, validators=[0, 1], **options)
        assert result.mse_initial == pytest.approx(0.25, abs=1e-6)
        ours.append(np.mean((clipped[test] @ result.coef_ + result.intercept_ > 0) == y[test]))
        theirs.append(LogisticRegression(max_iter=1000).fit(X[learn], y[learn]).score(X[test], y[test]))
    assert np.mean(ours) >= np.mean(theirs) - 0.01, (ours, theirs)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(TermsError, match="'cubic' is not known"):
        Objective("cubic")
    for penalty in (-1.0, float("nan"), float("inf"), True, "much"):
        with pytest.raises(TermsError, match="penalty must be a number"):
            Objective("ridge", penalty)  # type: ignore[arg-type]
    with pytest.raises(TermsError, match='choose model="ridge"'):
        Objective("linear", 0.1)
    with pytest.raises(TermsError, match="declare 'y' from 0 to 1"):
        Objective("logistic").target(Column("y", 0, 2))
    with pytest.raises(DataError, match="a logistic model is 0 or 1, and among these 3 rows are others"):
        Objective("logistic").check(Statistics.of(Dataset.of([[1], [2], [3]], [0, 1, 0.5])))


def test_the_longest_stable_step_is_told_in_the_users_own_unit() -> None:
    ((X, y),) = labelled(3, (20,), 2)
    objective = Objective("logistic")
    statistics = objective.prepare(Statistics.of(Dataset.of(X, y)))
    longest = objective.largest_stable_step(statistics)
    objective.update(statistics, longest, 1)
    with pytest.raises(DivergentStepError, match=f"the largest stable step is {longest:.6g}") as caught:
        objective.update(statistics, longest * 1.01, 1)
    assert caught.value.largest_stable_step == pytest.approx(longest)


def test_a_document_without_a_penalty_is_the_one_of_before() -> None:
    ranges = declared_ranges([Dataset.of([[0.0], [1.0]], [0.0, 1.0])])
    before = RequestDocument(TrainingTerms(ranges), 12345, ()).to_json()
    assert "penalty" not in before
    ridge = RequestDocument(TrainingTerms(ranges, model="ridge", penalty=0.5), 12345, ())
    assert RequestDocument.from_json(ridge.to_json()) == ridge
    with pytest.raises(TermsError, match='metrics="verifiable" only'):
        TrainingTerms(ranges, model="logistic", metrics="noise", contributions="leave_one_out")
