"""A model that was bought: the file in the buyer's home, predictions, and the same as scikit-learn's own estimator."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LinearRegression, LogisticRegression

from deltaml_core.errors import DataError
from deltaml_core.statistics import Array


@dataclass(frozen=True)
class BoughtModel:
    """A linear or logistic model in the clear.

    Attributes:
        request: the number of the request it was trained for.
        features: names of its inputs, in the order of the coefficients.
        target: what it predicts.
        coefficients: (d - 1,), in units of the target per unit of the feature; of a logistic model, in log-odds.
        intercept: in units of the target, or log-odds.
        kind: "linear", "ridge" or "logistic".
    """

    request: int
    features: tuple[str, ...]
    target: str
    coefficients: Array
    intercept: float
    kind: str = "linear"

    @classmethod
    def read(cls, path: Path) -> BoughtModel:
        """Read what a buyer's node has written.

        Raises:
            DataError: the file is missing or damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            coefficients = np.asarray(content["coefficients"], dtype=np.float64)
            features = tuple(map(str, content["features"]))
            if coefficients.shape != (len(features),):
                raise ValueError(f"{len(features)} features, but coefficients of shape {coefficients.shape}")
            numbers = coefficients, float(content["intercept"])
            return cls(int(content["request"]), features, str(content["target"]), *numbers, kind=str(content["model"]))
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the model {path} cannot be read: {error}") from error

    @property
    def predicts(self) -> str:
        """What `predict` tells, for people."""
        return f"probability of {self.target}" if self._classifies else f"predicted {self.target}"

    def predict(self, X: Array) -> Array:
        """The target, or the probability that the label is 1, (m,), for rows (m, d - 1) in the order of the features."""
        found = np.asarray(X @ self.coefficients + self.intercept, dtype=np.float64)
        return np.asarray(expit(found)) if self._classifies else found

    def predict_csv(self, content: bytes, name: str = "the file") -> list[dict[str, str]]:
        """The rows of a comma-separated file with a header line, each with its prediction added.

        Raises:
            DataError: a feature's column is missing, or a value is no number; says where.
        """
        try:
            rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{name} is no comma-separated text: {error}") from error
        if not rows:
            raise DataError(f"{name} has no rows below its header line")
        if missing := [feature for feature in self.features if feature not in rows[0]]:
            raise DataError(f"{name} has no column {', '.join(missing)}; the model needs {', '.join(self.features)}")
        table = np.array([[_number(row, feature, line, name) for feature in self.features] for line, row in enumerate(rows, start=2)])
        return [{**row, self.predicts: f"{value:.6g}"} for row, value in zip(rows, self.predict(table).tolist(), strict=True)]

    def to_sklearn(self) -> LinearRegression | LogisticRegression:
        """The same model as scikit-learn's fitted estimator."""
        if self._classifies:
            model = LogisticRegression()
            model.classes_ = np.array([0, 1])
            model.coef_, model.intercept_ = self.coefficients[np.newaxis].copy(), np.array([self.intercept])
        else:
            model = LinearRegression()
            model.coef_, model.intercept_ = self.coefficients.copy(), self.intercept
        model.n_features_in_ = len(self.features)
        model.feature_names_in_ = np.array(self.features, dtype=object)
        return model

    def to_json(self) -> str:
        """Its numbers under scikit-learn's names."""
        content = {
            "estimator": type(self.to_sklearn()).__name__,
            "feature_names_in_": list(self.features),
            "target": self.target,
            "coef_": self.coefficients.tolist(),
            "intercept_": self.intercept,
        }
        return json.dumps(content, indent=2)

    @property
    def _classifies(self) -> bool:
        return self.kind == "logistic"


def _number(row: dict[str, str], feature: str, line: int, name: str) -> float:
    try:
        value = float(row[feature])
    except (TypeError, ValueError):
        raise DataError(f"{name}, line {line}: {row[feature]!r} in column {feature!r} is no number") from None
    if not np.isfinite(value):
        raise DataError(f"{name}, line {line}: {row[feature]!r} in column {feature!r} is not finite")
    return value
