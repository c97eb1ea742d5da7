"""scikit-learn's estimators as local models: they start where they should and train as by themselves."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from helpers import Array
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LinearRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor

from deltaml_core.errors import TermsError
from deltaml_core.updates import LocalModel, PartialFitModel
from deltaml_core.updates.local_model import flat, set_flat, with_parameters

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 4))
CLASSES = np.array([0, 1, 2])
LABELS = np.argmax(X[:, :3], axis=1)
TARGET = X @ [1.0, -2.0, 0.5, 0.0] + 3

ESTIMATORS = [
    SGDClassifier(random_state=0),
    SGDClassifier(loss="log_loss", learning_rate="adaptive", eta0=0.1, random_state=0),
    Perceptron(random_state=0),
    SGDRegressor(random_state=0),
    MLPClassifier((5,), shuffle=False, random_state=0),
    MLPClassifier((5, 3), solver="sgd", shuffle=False, random_state=0),
    MLPRegressor(hidden_layer_sizes=(5,), shuffle=False, random_state=0),
]


def targets(estimator: Any) -> Array:
    return TARGET if isinstance(estimator, SGDRegressor | MLPRegressor) else LABELS


def wrapped(estimator: Any) -> PartialFitModel:
    return PartialFitModel(estimator, 4, CLASSES)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_passes_are_those_of_partial_fit_alone(estimator: Any) -> None:
    """Also the optimiser's moments and the learning rate's schedule are as if there had been no set-up."""
    alone, model, y = copy.deepcopy(estimator), wrapped(estimator), targets(estimator)
    known = {} if y is TARGET else {"classes": CLASSES}
    for _ in range(4):
        alone.partial_fit(X, y, **known)
        model.fit_locally(X, y)
    assert model.unwrap().predict(X).tolist() == alone.predict(X).tolist()
    expected = [*alone.coefs_, *alone.intercepts_] if hasattr(alone, "coefs_") else [alone.coef_, alone.intercept_]
    for found, wanted in zip(model.parameters(), expected, strict=True):
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_parameters_are_copies_that_go_back_where_they_came_from(estimator: Any) -> None:
    model = wrapped(estimator)
    assert isinstance(model, LocalModel)
    start = flat(model)
    model.fit_locally(X, targets(estimator))
    trained = flat(model)
    assert not np.array_equal(trained, start)
    other = with_parameters(model, start)
    assert np.array_equal(flat(other), start)
    assert np.array_equal(flat(model), trained)
    model.parameters()[0][:] = 7
    assert np.array_equal(flat(model), trained)
    set_flat(model, start)
    assert np.array_equal(flat(model), start)


def test_metrics_are_means_over_rows() -> None:
    classifier, regressor = wrapped(SGDClassifier(random_state=0)), wrapped(SGDRegressor(random_state=0))
    classifier.fit_locally(X, LABELS)
    assert classifier.metric == "accuracy"
    assert classifier.measure(X, LABELS) == classifier.unwrap().score(X, LABELS)
    assert regressor.metric == "mean_squared_error"
    assert regressor.measure(X, TARGET) == pytest.approx(np.mean(TARGET**2))


def test_the_users_estimator_stays_unfitted() -> None:
    estimator = SGDClassifier(random_state=0)
    wrapped(estimator).fit_locally(X, LABELS)
    assert not hasattr(estimator, "coef_")


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (LinearRegression(), "has no partial_fit"),
        (MLPClassifier(solver="lbfgs"), "has no partial_fit with these settings"),
        (MLPRegressor(solver="lbfgs"), "lbfgs"),
        (SGDClassifier(average=True), r"average=True\) keeps more than its parameters"),
        (SGDRegressor(average=10), r"average=10\) keeps more"),
        (MLPClassifier(early_stopping=True), "early_stopping=True"),
        (GaussianNB(), "no coef_ and intercept_"),
        (MiniBatchKMeans(), "cannot be set up"),
        (SGDClassifier(alpha=-1.0), "cannot be set up: The 'alpha' parameter"),
    ],
    ids=repr,
)
def test_estimators_whose_parameters_cannot_be_averaged_are_refused(estimator: Any, why: str) -> None:
    with pytest.raises(TermsError, match=why):
        wrapped(estimator)


def test_one_class_is_too_few() -> None:
    with pytest.raises(TermsError, match=r"at least two classes, not \[3\]"):
        PartialFitModel(SGDClassifier(), 4, np.array([3]))
