"""scikit-learn estimators over `train`: federated and encrypted behind `fit`, ordinary behind `predict`.

    FederatedLinearRegression().fit(X, y, groups=hospital).score(X_new, y_new)

`groups` names the owner of every row. Without it row i belongs to owner `i % n_owners`. As on the market, 30 % of the owners (one at
least) measure and do not train, so the coefficients come from the others' rows.

Everything else is scikit-learn's: pipelines, `cross_val_score` (`params={"groups": ...}`), `GridSearchCV` (with metadata routing).
"""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from deltaml_core.errors import DataError, TermsError
from deltaml_core.splitting import by_owner, deal
from deltaml_core.statistics import Array
from deltaml_core.training import TrainingResult, train


class _Federated(BaseEstimator):  # type: ignore[misc]
    """What all of them share.

    Attributes:
        n_features_in_: d - 1.
        results_: of each training: one, or one an output or class; with errors, contributions, roles and transcript.
        owners_: what the owners are called, in the order of the results' indices.
        n_iter_: rounds of training.
    """

    def __init__(
        self,
        *,
        n_owners: int = 5,
        rounds: int = 20,
        step: float | None = None,
        local_steps: int = 50,
        standardise: bool = True,
        scheme: str = "paillier",
        key_bits: int = 2048,
        metrics: str = "verifiable",
        evaluate_every: int = 20,
        contributions: str = "shapley",
        solver: str = "descent",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_owners = n_owners
        self.rounds = rounds
        self.step = step
        self.local_steps = local_steps
        self.standardise = standardise
        self.scheme = scheme
        self.key_bits = key_bits
        self.metrics = metrics
        self.evaluate_every = evaluate_every
        self.contributions = contributions
        self.solver = solver
        self.random_state = random_state

    def _train(self, X: Array, targets: Array, groups: npt.ArrayLike | None, model: str, penalty: float) -> list[TrainingResult]:
        """One training a column of the targets, (m, outputs), all with the same owners in the same roles."""
        count = self.n_owners
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 2:
            raise TermsError(f"n_owners must be a whole number of at least 2, not {count!r}")
        owner = deal(len(X), min(int(count), len(X))) if groups is None else groups
        _, self.owners_ = by_owner(X, targets[:, 0], owner)
        seed = int(check_random_state(self.random_state).randint(2**31))
        options: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("rounds", "step", "local_steps", "standardise", "scheme", "key_bits", "metrics", "evaluate_every", "contributions")
        }
        self.n_iter_ = self.rounds
        return [
            train(by_owner(X, target, owner)[0], model=model, penalty=penalty, solver=self.solver, seed=seed, **options)
            for target in targets.T
        ]


class _Regression(RegressorMixin, MultiOutputMixin, _Federated):  # type: ignore[misc]
    """What regressions share.

    Attributes:
        coef_: (d - 1,), or (outputs, d - 1) for y of shape (m, outputs).
        intercept_: a number, or (outputs,).
    """

    def _fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None, model: str, alpha: float) -> None:
        _check_number("alpha", alpha)
        rows, target = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=2)
        targets = np.asarray(target, dtype=np.float64).reshape(len(rows), -1)
        self.results_ = self._train(rows, targets, groups, model, alpha / len(rows))
        self.coef_: Array = np.array([result.coef_ for result in self.results_])
        self.intercept_: Array | float = np.array([result.intercept_ for result in self.results_])
        if target.ndim == 1:
            self.coef_, self.intercept_ = self.coef_[0], self.results_[0].intercept_

    def predict(self, X: npt.ArrayLike) -> Array:
        """Predictions, (m,) or (m, outputs), for rows (m, d - 1)."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(rows @ np.transpose(self.coef_) + self.intercept_)


class FederatedLinearRegression(_Regression):
    """Least squares; the parameters are `train`'s, but that the features are standardised and the step is found by default."""

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Self:
        """Train.

        Args:
            X: (m, d - 1).
            y: (m,) or (m, outputs).
            groups: (m,), who each row belongs to; None deals the rows to `n_owners` owners.

        Raises:
            DataError: rows that cannot be used.
            TermsError: parameters that cannot be meant.
        """
        self._fit(X, y, groups, "linear", 0.0)
        return self

    def to_sklearn(self) -> LinearRegression:
        """The same model as scikit-learn's own fitted estimator."""
        return _with_coefficients(LinearRegression(), self)


class FederatedRidge(_Regression):
    """Ridge regression; `alpha` as scikit-learn's, spread over all rows."""

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        n_owners: int = 5,
        rounds: int = 20,
        step: float | None = None,
        local_steps: int = 50,
        standardise: bool = True,
        scheme: str = "paillier",
        key_bits: int = 2048,
        metrics: str = "verifiable",
        evaluate_every: int = 20,
        contributions: str = "shapley",
        solver: str = "descent",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_owners=n_owners,
            rounds=rounds,
            step=step,
            local_steps=local_steps,
            standardise=standardise,
            scheme=scheme,
            key_bits=key_bits,
            metrics=metrics,
            evaluate_every=evaluate_every,
            contributions=contributions,
            solver=solver,
            random_state=random_state,
        )
        self.alpha = alpha

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Self:
        """Train; as `FederatedLinearRegression.fit`."""
        self._fit(X, y, groups, "ridge", self.alpha)
        return self

    def to_sklearn(self) -> Ridge:
        """The same model as scikit-learn's own fitted estimator."""
        return _with_coefficients(Ridge(alpha=self.alpha), self)


class FederatedLogisticRegression(ClassifierMixin, _Federated):  # type: ignore[misc]
    """Logistic regression with the straight-line sigmoid (`objectives.py`); one training a class where there are more than two.

    A straight line does not level off: cut features off at a standard deviation or two (`clip`) where they have far outliers.

    Attributes:
        classes_: the labels.
        coef_: (1, d - 1), or (classes, d - 1).
        intercept_: (1,), or (classes,).
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        n_owners: int = 5,
        rounds: int = 20,
        step: float | None = None,
        local_steps: int = 50,
        standardise: bool = True,
        scheme: str = "paillier",
        key_bits: int = 2048,
        metrics: str = "verifiable",
        evaluate_every: int = 20,
        contributions: str = "shapley",
        solver: str = "descent",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_owners=n_owners,
            rounds=rounds,
            step=step,
            local_steps=local_steps,
            standardise=standardise,
            scheme=scheme,
            key_bits=key_bits,
            metrics=metrics,
            evaluate_every=evaluate_every,
            contributions=contributions,
            solver=solver,
            random_state=random_state,
        )
        self.C = C

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Self:
        """Train.

        Args:
            X: (m, d - 1).
            y: (m,), labels of any kind.
            groups: (m,), who each row belongs to; None deals the rows to `n_owners` owners.

        Raises:
            DataError: rows that cannot be used, or all of one class.
            TermsError: parameters that cannot be meant.
        """
        rows, labels = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise DataError(f"every row is of one class, {self.classes_[0]}: a classifier needs two")
        _check_number("C", self.C)
        if not self.C > 0:
            raise TermsError(f"C must be a positive number, not {self.C!r}")
        wanted = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        targets = (np.asarray(labels)[:, np.newaxis] == wanted).astype(np.float64)
        self.results_ = self._train(rows, targets, groups, "logistic", 1 / (self.C * len(rows)))
        self.coef_ = np.array([result.coef_ for result in self.results_])
        self.intercept_ = np.array([result.intercept_ for result in self.results_])
        return self

    def decision_function(self, X: npt.ArrayLike) -> Array:
        """Log-odds, (m,) of the second class, or (m, classes)."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        found = np.asarray(rows @ self.coef_.T + self.intercept_)
        return found[:, 0] if len(self.classes_) == 2 else found

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Labels, (m,)."""
        found = self.decision_function(X)
        chosen = (found > 0).astype(int) if found.ndim == 1 else found.argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    def predict_proba(self, X: npt.ArrayLike) -> Array:
        """Probabilities of the classes, (m, classes)."""
        found = np.asarray(expit(self.decision_function(X)))
        if found.ndim == 1:
            return np.column_stack([1 - found, found])
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def to_sklearn(self) -> LogisticRegression:
        """The same model as scikit-learn's own fitted estimator (its probabilities of three classes and more are a softmax's)."""
        model = _with_coefficients(LogisticRegression(C=self.C), self)
        model.classes_ = self.classes_.copy()
        return model


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TermsError(f"{name} must be a number, not {value!r}")


def _with_coefficients(model: Any, fitted: _Federated) -> Any:
    check_is_fitted(fitted)
    for name in ("coef_", "intercept_", "n_features_in_", "feature_names_in_"):
        if hasattr(fitted, name):
            setattr(model, name, np.copy(getattr(fitted, name)) if name == "coef_" else getattr(fitted, name))
    return model
