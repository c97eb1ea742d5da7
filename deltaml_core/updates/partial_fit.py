"""scikit-learn's estimators that learn in passes, as models to train in the open: SGD, Perceptron and the multi-layer perceptrons.

An estimator whose parameters are `coef_` and `intercept_` starts from zeros, a multi-layer perceptron from the weights that its
`random_state` gives it. What else an estimator keeps (the optimiser's moments, the count of its steps) stays with its owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deltaml_core.errors import DataError, TermsError
from deltaml_core.statistics import Array
from deltaml_core.updates.local_model import Rows

_NO_STEP = 1e-300
"""A learning rate at which no parameter moves."""


class PartialFitModel:
    """A scikit-learn estimator with `partial_fit`.

    Attributes:
        metric: "accuracy" of a classifier, "mean_squared_error" of a regressor.
        estimator: the fitted estimator; its parameters are the global model's after `set_parameters`.
    """

    def __init__(self, estimator: Any, features: int, classes: Rows | None = None) -> None:
        """Give an unfitted estimator its parameters, without any owner's row.

        Args:
            estimator: it is cloned.
            features: columns of X.
            classes: a classifier's labels, all of them; a regressor needs none and ignores them.

        Raises:
            TermsError: the estimator cannot be trained by averaging parameters, or is a classifier of fewer than two classes.
        """
        from sklearn.base import clone, is_classifier  # takes a second, which most runs of the library need not spend

        self.estimator = clone(estimator)
        self._classes = classes if is_classifier(estimator) else None
        if is_classifier(estimator) and (classes is None or len(classes) < 2):
            raise TermsError(f"{type(estimator).__name__} needs at least two classes, not {[] if classes is None else classes.tolist()}")
        self.metric = "accuracy" if is_classifier(estimator) else "mean_squared_error"
        self._refuse_unfit(estimator)
        self._allocate(features)

    @classmethod
    def of(cls, estimator: Any, shards: Sequence[tuple[Rows, Rows]]) -> PartialFitModel:
        """One for all owners' rows: as many features, and all labels that occur, which a market's request would state.

        Raises:
            DataError: naming a shard whose X has not two dimensions, or whose y has not one.
            TermsError: as the constructor says.
        """
        for index, (X, y) in enumerate(shards):
            if X.ndim != 2 or y.ndim != 1:
                raise DataError(f"shard {index}: X must have two dimensions and y one, not {X.ndim} and {y.ndim}")
        return cls(estimator, shards[0][0].shape[1], np.unique(np.concatenate([y for _, y in shards])))

    def parameters(self) -> list[Array]:
        """`coef_` and `intercept_`, or `coefs_` and `intercepts_`, copied."""
        return [np.array(part, dtype=np.float64) for part in (*self._layers("coef"), *self._layers("intercept"))]

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        """Replace them."""
        parts = [np.array(part, dtype=np.float64) for part in parameters]
        if hasattr(self.estimator, "coefs_"):
            layers = len(self.estimator.coefs_)
            self.estimator.coefs_, self.estimator.intercepts_ = parts[:layers], parts[layers:]
        else:
            self.estimator.coef_, self.estimator.intercept_ = parts

    def fit_locally(self, X: Rows, y: Rows) -> None:
        """One `partial_fit`: one pass over the rows."""
        self.estimator.partial_fit(X, y)

    def measure(self, X: Rows, y: Rows) -> float:
        """Accuracy, or the mean squared error."""
        predicted = self.estimator.predict(X)
        return float(np.mean(predicted == y) if self._classes is not None else np.mean((predicted - y) ** 2))

    def unwrap(self) -> Any:
        """The estimator: `predict` and `score` work, and `partial_fit` goes on from here."""
        return self.estimator

    def _layers(self, kind: str) -> list[Any]:
        several = getattr(self.estimator, f"{kind}s_", None)
        return list(several) if several is not None else [getattr(self.estimator, f"{kind}_")]

    def _refuse_unfit(self, estimator: Any) -> None:
        name, settings = type(estimator).__name__, estimator.get_params()
        if not hasattr(estimator, "partial_fit"):
            raise TermsError(f'{name} has no partial_fit with these settings, so it cannot be trained with privacy="updates"')
        for setting in ("average", "early_stopping", "solver"):
            value = settings.get(setting)
            if (setting != "solver" and value) or value == "lbfgs":
                raise TermsError(f"{name}({setting}={value!r}) keeps more than its parameters: choose another {setting}")

    def _allocate(self, features: int) -> None:
        """Have scikit-learn make the parameters, on made-up rows of zeros, and take back what it learned from them."""
        estimator = self.estimator
        targets = np.zeros(2) if self._classes is None else self._classes
        known = {} if self._classes is None else {"classes": self._classes}
        own_rate = {"learning_rate_init": estimator.learning_rate_init} if hasattr(estimator, "learning_rate_init") else {}
        estimator.set_params(**dict.fromkeys(own_rate, _NO_STEP))
        try:
            estimator.partial_fit(np.zeros((len(targets), features)), targets, **known)
        except (TypeError, ValueError) as error:
            raise TermsError(f"{type(estimator).__name__} cannot be set up: {error}") from error
        estimator.set_params(**own_rate)
        if not hasattr(estimator, "coefs_") and not (hasattr(estimator, "coef_") and hasattr(estimator, "intercept_")):
            raise TermsError(f"{type(estimator).__name__} has no coef_ and intercept_ (or coefs_ and intercepts_) to average")
        if hasattr(estimator, "coefs_"):
            vars(estimator).pop("_optimizer", None)  # it has seen the made-up rows, at another rate; scikit-learn makes it anew
        else:
            self.set_parameters([np.zeros_like(part) for part in self.parameters()])
        if hasattr(estimator, "t_"):
            estimator.t_ = type(estimator.t_)(0 if hasattr(estimator, "coefs_") else 1)  # steps of learning-rate schedules, as when new
