"""Logistic regression with the cubic sigmoid under encryption, against the same in the clear and against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from deltaml_core import TrainingResult, train
from deltaml_core.benchmarks.breast_cancer import CUBIC_TERMS, accuracies, prepared, shards_of
from deltaml_core.contributions import exact_shapley, shares
from deltaml_core.errors import DataError, DivergentStepError, TermsError
from deltaml_core.measurement import Metric
from deltaml_core.semihonest import cubic
from deltaml_core.semihonest.cubic import cubic_descent
from deltaml_core.sigmoid import CUBIC
from deltaml_core.statistics import Dataset

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.SemiHonestSchemeWarning")


def labelled(seed: int, rows: tuple[int, ...], features: int) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(seed)
    slope = rng.uniform(-2, 2, features)
    shards = []
    for count in rows:
        X = rng.uniform(-1, 1, (count, features))
        shards.append((X, (X @ slope + 0.3 * rng.normal(size=count) > 0).astype(float)))
    return shards


SHARDS = labelled(4, (9, 7, 8, 6), 2)
JUDGES = [1, 3]


def trained(scheme: str, shards: Any = SHARDS, **terms: Any) -> TrainingResult:
    how = {"validators": JUDGES, "rounds": 2, "step": 2.0, "evaluate_every": 2, "model": "logistic", "sigmoid": "cubic", "scheme": scheme}
    return train(shards, **{**how, **terms})


def brier(weights: Any) -> float:
    missed = [CUBIC(X @ weights[:-1] + weights[-1]) - y for X, y in (SHARDS[j] for j in JUDGES)]
    return float(np.mean(np.concatenate(missed) ** 2))


@pytest.mark.parametrize(("scheme", "rounds"), [("plain", 6), ("mpc", 6), ("ckks", 2)])
def test_the_result_is_that_of_cubic_descent_in_the_clear(scheme: str, rounds: int) -> None:
    result = trained(scheme, rounds=rounds, contributions="leave_one_out")
    history = cubic_descent([Dataset.of(*SHARDS[i]) for i in (0, 2)], 2.0, rounds)
    assert np.append(result.coef_, result.intercept_) == pytest.approx(history[-1], abs=1e-6)
    assert result.mse_history == [(number, pytest.approx(brier(history[number]), abs=1e-7)) for number in range(0, rounds + 1, 2)]
    assert result.mse_initial == pytest.approx(0.25)
    assert result.transcript is None


def test_descent_in_the_clear_is_gradient_descent_row_by_row() -> None:
    X, y = SHARDS[0]
    w = np.zeros(3)
    for _ in range(3):
        gradient = np.zeros(3)
        for row, label in zip(X, y, strict=True):
            x = np.append(row, 1.0)
            gradient += (0.5 + CUBIC.slope * (x @ w) + CUBIC.cube * (x @ w) ** 3 - label) * x
        w = w - 0.7 * gradient / len(y)
    assert cubic_descent([Dataset.of(X, y)], 0.7, 3)[-1] == pytest.approx(w)


def test_contributions_are_shapley_values_of_averaged_solo_models() -> None:
    solos = {str(i): cubic_descent([Dataset.of(*SHARDS[i])], 2.0, 2)[-1] for i in (0, 2)}
    mean = np.concatenate([SHARDS[i][1] for i in (0, 2)]).mean()
    labels = np.concatenate([SHARDS[j][1] for j in JUDGES])

    def error(coalition: tuple[str, ...]) -> Metric:
        value = brier(np.mean([solos[member] for member in coalition], axis=0)) if coalition else float(((labels - mean) ** 2).mean())
        return Metric(round(value * 2.0**96), 48, 1)

    expected = shares(exact_shapley(["0", "2"], error))
    assert list(trained("plain").contributions.values()) == pytest.approx(expected, abs=1e-5)


def test_labels_other_than_0_and_1_are_refused() -> None:
    shards = [(X, 2 * y - 1) for X, y in SHARDS]
    with pytest.raises(DataError, match="shard 0: the targets of a logistic regression are 0 and 1"):
        trained("plain", shards)


def test_a_step_beyond_the_steepest_slope_is_refused() -> None:
    with pytest.raises(DivergentStepError, match="diverges on the data of shard 0, shard 2"):
        trained("plain", step=60.0)


def test_scores_that_leave_the_interval_are_an_error_not_a_result() -> None:
    """All 30 columns: many that repeat each other drive the scores together, beyond where the cubic turns."""
    X, y = load_breast_cancer(return_X_y=True)
    shards = shards_of(StandardScaler().fit_transform(X), y)
    told: list[float] = []
    with pytest.raises(TermsError, match=r"scores left \[-8, 8\].*standardise"):
        trained("plain", shards, validators=[1], rounds=20, step=0.5, evaluate_every=1, on_round=lambda number, mse: told.append(mse))
    assert told
    assert all(mse < 1.25 for mse in told)


def test_several_local_steps_are_refused() -> None:
    with pytest.raises(TermsError, match="local_steps must be 1"):
        trained("plain", local_steps=2)


def test_too_many_trainers_for_every_coalition_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cubic, "MAXIMUM_TRAINERS", 1)
    with pytest.raises(TermsError, match="leave_one_out"):
        trained("plain")


def test_breast_cancer_is_within_a_point_of_scikit_learn() -> None:
    """On the same preprocessed columns, over five folds, on the plain scheme: CKKS and shares compute the same numbers."""
    ours, theirs, theirs_on_everything = accuracies("plain")
    assert len(ours) == 5
    assert np.mean(ours) > np.mean(theirs) - 0.01
    assert np.mean(theirs_on_everything) > 0.95
    assert np.mean(ours) > 0.94


def test_breast_cancer_preprocessing_learns_from_training_rows_only() -> None:
    X = np.array([[1.0, 5.0], [3.0, 5.5], [2.0, 4.5], [100.0, 5.0]])
    train_rows, held_out = prepared(X[:3], X[3:])
    assert train_rows.mean(axis=0) == pytest.approx([0, 0])
    assert held_out[0].tolist() == [2.5, pytest.approx(0)]


def test_one_round_of_breast_cancer_on_ckks_is_that_in_the_clear() -> None:
    X = np.random.default_rng(0).normal(size=(20, 8))
    y = (X[:, 0] > 0).astype(float)
    shards = shards_of(X, y)
    result = train(shards, scheme="ckks", **{**CUBIC_TERMS, "rounds": 1, "contributions": "leave_one_out"})
    expected = cubic_descent([Dataset.of(*shard) for index, shard in enumerate(shards) if index != 1], CUBIC_TERMS["step"], 1)[-1]
    assert np.append(result.coef_, result.intercept_) == pytest.approx(expected, abs=1e-7)


def test_scikit_learn_on_the_same_shards_agrees_on_most_rows() -> None:
    X = np.vstack([X for X, _ in SHARDS])
    y = np.concatenate([y for _, y in SHARDS])
    result = trained("plain", rounds=40)
    ours = X @ result.coef_ + result.intercept_ > 0
    assert (ours == (LogisticRegression().fit(X, y).predict(X) == 1)).mean() > 0.8
