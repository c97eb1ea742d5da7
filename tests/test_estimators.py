"""The estimators keep scikit-learn's own rules, and give what scikit-learn's own estimators give."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from deltaml_core.errors import DataError, TermsError
from deltaml_core.estimators import FederatedLinearRegression, FederatedLogisticRegression, FederatedRidge

pytestmark = pytest.mark.filterwarnings("ignore:a 512-bit key", "ignore:a sum over 2", "ignore:feature '", "ignore:a 1024-bit key")

SMALL: dict[str, Any] = {"key_bits": 512, "rounds": 2, "evaluate_every": 2, "local_steps": 400, "contributions": "leave_one_out"}


ESTIMATORS = (FederatedLinearRegression(**SMALL), FederatedRidge(**SMALL), FederatedLogisticRegression(**SMALL))
CHECKS = [pair for estimator in ESTIMATORS for pair in estimator_checks_generator(estimator) if "array_api" not in str(pair[1])]


@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[f"{type(e).__name__}-{c.func.__name__}-{n}" for n, (e, c) in enumerate(CHECKS)]
)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def patients() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Diabetes, on the five owners that hold rows in order."""
    X, y = load_diabetes(return_X_y=True)
    return X, y, np.repeat(["north", "east", "south", "west", "middle"], 89)[: len(y)]


def everybody_trains(model: Any, X: np.ndarray, y: np.ndarray) -> Any:
    """Fitted with next to nobody validating, so that the rows are those scikit-learn gets: one owner holds a single copied row."""
    X, y = np.vstack([X, X[:1]]), np.concatenate([y, y[:1]])
    groups = np.append(np.arange(len(y) - 1) % 3, 3)
    for seed in range(20):
        model.set_params(random_state=seed)
        model.fit(X, y, groups=groups)
        if model.results_[0].roles[3] == "validator":
            return model
    raise AssertionError("in twenty draws the fourth owner never validated")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(FederatedLinearRegression(**SMALL), LinearRegression()), (FederatedRidge(5.0, standardise=False, **SMALL), Ridge(5.0))],
)
def test_the_coefficients_are_scikit_learns(ours: Any, theirs: Any, patients: tuple[np.ndarray, ...]) -> None:
    X, y, _ = patients
    X = StandardScaler().fit_transform(X[:, :4])
    ours.set_params(local_steps=4000, scheme="plain", key_bits=1024)
    everybody_trains(ours, X, y)
    theirs.fit(X, y)
    assert np.allclose(ours.coef_, theirs.coef_, rtol=0.02, atol=0.5)  # the mean of three owners' models, and not one model of all rows
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=0.01)
    plain = ours.to_sklearn()
    assert type(plain) is type(theirs)
    assert np.array_equal(plain.predict(X), ours.predict(X))


def test_groups_name_the_owners_and_results_speak_of_them(patients: tuple[np.ndarray, ...]) -> None:
    X, y, hospitals = patients
    model = FederatedLinearRegression(**SMALL, random_state=1).fit(X, y, groups=hospitals)
    assert model.owners_ == ["north", "east", "south", "west", "middle"]
    (result,) = model.results_
    assert sum(result.contributions.values()) == pytest.approx(1)
    assert set(result.roles.values()) == {"trainer", "validator"}
    assert model.score(X, y) > 0.4
    dealt = FederatedLinearRegression(**SMALL, random_state=1).fit(X, y)
    assert dealt.owners_ == [0, 1, 2, 3, 4]
    assert not np.allclose(dealt.coef_, model.coef_)


def test_a_pipeline_a_cross_validation_and_a_grid_search_work(patients: tuple[np.ndarray, ...]) -> None:
    X, y, hospitals = patients
    quick = FederatedRidge(scheme="plain", key_bits=1024, rounds=2, evaluate_every=2, contributions="leave_one_out", random_state=0)
    scores = cross_val_score(make_pipeline(StandardScaler(), quick), X, y, cv=3)
    assert scores.mean() > 0.35
    by_hospital = cross_val_score(quick, X, y, groups=hospitals, cv=GroupKFold(2), params={"groups": hospitals})
    assert by_hospital.mean() > 0.35
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(quick.set_fit_request(groups=True), {"alpha": [0.1, 1000.0]}, cv=2)
        search.fit(X, y, groups=hospitals)
    assert search.best_params_ == {"alpha": 0.1}
    assert search.best_estimator_.owners_ == ["north", "east", "south", "west", "middle"]


def test_three_classes_are_told_apart_as_scikit_learn_does() -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    named = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
    model = FederatedLogisticRegression(**SMALL, random_state=0).fit(X, named)
    assert model.feature_names_in_.tolist() == list(X.columns)
    assert len(model.results_) == 3
    assert len({tuple(result.roles.items()) for result in model.results_}) == 1
    assert model.score(X, named) > 0.8
    assert np.array_equal(model.to_sklearn().predict(X), model.predict(X))
    assert isinstance(model.to_sklearn(), LogisticRegression)
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)


def test_several_outputs_are_as_many_trainings_of_the_same_owners(patients: tuple[np.ndarray, ...]) -> None:
    X, y, hospitals = patients
    both = FederatedLinearRegression(**SMALL, random_state=2).fit(X, np.column_stack([y, -2 * y]), groups=hospitals)
    one = FederatedLinearRegression(**SMALL, random_state=2).fit(X, y, groups=hospitals)
    assert both.coef_.shape == (2, 10)
    assert np.allclose(both.coef_, [one.coef_, -2 * one.coef_], rtol=1e-6)
    assert both.predict(X).shape == (len(y), 2)


def test_a_fitted_estimator_is_kept_in_a_file(patients: tuple[np.ndarray, ...]) -> None:
    X, y, _ = patients
    model = FederatedLinearRegression(**SMALL, random_state=0).fit(X, y)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))  # noqa: S301


def test_what_cannot_be_meant_is_refused(patients: tuple[np.ndarray, ...]) -> None:
    X, y, _ = patients
    for owners in (1, 0, 2.5, True):
        with pytest.raises(TermsError, match="n_owners must be a whole number"):
            FederatedLinearRegression(n_owners=owners).fit(X, y)
    with pytest.raises(DataError, match="442 rows"):
        FederatedLinearRegression(**SMALL).fit(X, y, groups=["a", "b"])
    for groups, why in ((["a", None] * 221, "all in one way"), ([np.nan, 1.0] * 221, "nobody for 221 of 442 rows")):
        with pytest.raises(DataError, match=why):
            FederatedLinearRegression(**SMALL).fit(X, y, groups=groups)
    with pytest.raises(TermsError, match="alpha must be a number, not 'much'"):
        FederatedRidge("much", **SMALL).fit(X, y)  # type: ignore[arg-type]
    with pytest.raises(TermsError, match="C must be a number, not 'much'"):
        FederatedLogisticRegression("much", **SMALL).fit(X, y > 100)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one class, 1"):
        FederatedLogisticRegression(**SMALL).fit(X, np.ones(len(y)))
    with pytest.raises(TermsError, match="C must be a positive number"):
        FederatedLogisticRegression(0, **SMALL).fit(X, y > 100)
    with pytest.raises(TermsError, match="penalty must be a number"):
        FederatedRidge(-1.0, **SMALL).fit(X, y)
