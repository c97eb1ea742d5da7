"""What users may rely on: the names, `train`'s signature with its defaults, and the result's fields."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from helpers import random_shards

import deltaml_core
from deltaml_core import TrainingResult, errors, train

SIGNATURE = {
    "shards": inspect.Parameter.empty,
    "validators": None,
    "model": "linear",
    "rounds": 100,
    "step": 1.5,
    "local_steps": 1,
    "key_bits": 2048,
    "scheme": "paillier",
    "metrics": "verifiable",
    "evaluate_every": 2,
    "contributions": "shapley",
    "robust": False,
    "seed": None,
    "penalty": None,
    "solver": "descent",
    "standardise": False,
    "test_share": 0.0,
    "on_round": None,
    "epsilon": None,
    "delta": 1e-5,
    "sigmoid": "linear",
    "parties": (),
    "privacy": "model",
}
FIELDS = [
    "coef_",
    "intercept_",
    "mse_initial",
    "mse_final",
    "mse_history",
    "contributions",
    "roles",
    "cpu_seconds",
    "wall_seconds",
    "transcript",
]


def test_public_names() -> None:
    assert {"train", "TrainingResult"} <= set(deltaml_core.__all__)
    assert all(hasattr(deltaml_core, name) for name in deltaml_core.__all__)


def test_trains_signature() -> None:
    """More keyword-only parameters may come; these stay, in this order, with these defaults."""
    parameters = inspect.signature(train).parameters
    assert {name: parameters[name].default for name in parameters if name in SIGNATURE} == SIGNATURE
    assert [name for name in parameters if name in SIGNATURE] == list(SIGNATURE)
    assert parameters["shards"].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for name, p in parameters.items() if name != "shards")
    assert all(p.default is not inspect.Parameter.empty for name, p in parameters.items() if name != "shards")


def test_every_parameter_is_documented() -> None:
    documented = inspect.getdoc(train) or ""
    assert [name for name in inspect.signature(train).parameters if f"    {name}: " not in documented] == []


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")
def test_the_result() -> None:
    result = train(
        random_shards(1, (5, 4, 6), 3), validators=[1], rounds=3, step=0.5, scheme="plain", metrics="noise", contributions="leave_one_out"
    )
    assert isinstance(result, TrainingResult)
    assert [field.name for field in fields(TrainingResult)][: len(FIELDS)] == FIELDS
    assert result.coef_.shape == (3,)
    assert result.coef_.dtype == np.float64
    assert isinstance(result.intercept_, float)
    assert [type(entry) for entry in result.mse_history] == [tuple] * 3
    assert [number for number, _ in result.mse_history] == [0, 2, 3]
    assert all(isinstance(value, float) for value in (result.mse_initial, result.mse_final, result.cpu_seconds, result.wall_seconds))
    assert sorted(result.contributions) == [0, 2]
    assert sum(result.contributions.values()) in (0, pytest.approx(1))
    assert result.roles == {0: "trainer", 1: "validator", 2: "trainer"}
    with pytest.raises(FrozenInstanceError):
        result.mse_final = 0.0  # type: ignore[misc]


def all_errors() -> list[type[Exception]]:
    return [
        cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, Exception) and cls.__module__ == errors.__name__
    ]


def test_one_root_catches_every_error_and_warnings_are_user_warnings() -> None:
    for cls in all_errors():
        assert issubclass(cls, (errors.DeltaMLError, UserWarning)), cls
    assert not issubclass(errors.DeltaMLError, UserWarning)
    assert issubclass(errors.NoiseMetricWarning, errors.PrivacyWarning)
    assert issubclass(errors.InsecureKeyWarning, errors.PrivacyWarning)


def test_bad_values_are_value_errors_as_scikit_learn_expects() -> None:
    for cls in (errors.DataError, errors.TermsError, errors.MessageError, errors.DivergentStepError, errors.ScaleBudgetError):
        assert issubclass(cls, ValueError)


def test_errors_of_messages_name_the_sender() -> None:
    assert str(errors.CiphertextError("it is 0", "mallory")) == "from mallory: it is 0"
    assert str(errors.MessageError("it is 0")) == "it is 0"
