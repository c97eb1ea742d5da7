"""A bought model predicts what scikit-learn's estimator predicts, and says what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from deltaml_core.bought import BoughtModel
from deltaml_core.errors import DataError

MODEL = BoughtModel(7, ("age", "bmi"), "progression", np.array([2.0, -3.0]), 150.0)


def test_it_is_read_as_the_node_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "request-7.json"
    content = {"request": 7, "model": "linear", "features": ["age", "bmi"], "target": "progression", "coefficients": [2.0, -3.0]}
    path.write_text(json.dumps({**content, "intercept": 150.0}))
    assert BoughtModel.read(path).to_json() == MODEL.to_json()
    path.write_text(json.dumps({**content, "coefficients": [1.0], "intercept": 1.0}))
    with pytest.raises(DataError, match="2 features, but coefficients of shape"):
        BoughtModel.read(path)
    with pytest.raises(DataError, match="cannot be read"):
        BoughtModel.read(tmp_path / "missing.json")


def test_scikit_learns_estimator_predicts_the_same() -> None:
    X = np.array([[0.1, 0.2], [-0.3, 0.4]])
    estimator = MODEL.to_sklearn()
    assert isinstance(estimator, LinearRegression)
    assert estimator.n_features_in_ == 2
    with pytest.warns(UserWarning, match="feature names"):  # an array has none
        assert np.allclose(estimator.predict(X), MODEL.predict(X))
    assert MODEL.predict(X) == pytest.approx([150 + 0.2 - 0.6, 150 - 0.6 - 1.2])


def test_predictions_stand_beside_the_rows_in_any_order_of_columns() -> None:
    rows = MODEL.predict_csv(b"name,bmi,age\nAda,0.2,0.1\nBob,0.4,-0.3\n")
    assert rows == [
        {"name": "Ada", "bmi": "0.2", "age": "0.1", "predicted progression": "149.6"},
        {"name": "Bob", "bmi": "0.4", "age": "-0.3", "predicted progression": "148.2"},
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no rows"),
        (b"age,bmi\n", "no rows"),
        (b"age\n1\n", "no column bmi"),
        (b"age,bmi\n1,x\n", "line 2: 'x' in column 'bmi' is no number"),
        (b"age,bmi\n1,inf\n", "not finite"),
        (b"age,bmi\n1\n", "line 2"),
        (b"\xff\xfe", "no comma-separated text"),
    ],
)
def test_a_file_that_will_not_do_is_named_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        MODEL.predict_csv(content, "patients.csv")
