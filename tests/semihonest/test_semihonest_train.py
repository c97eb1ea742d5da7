"""`train` on CKKS and on shares against gradient descent on rows, and against the market's protocol."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import oracle, random_shards
from sklearn.linear_model import LinearRegression

from deltaml_core import TrainingResult, semihonest, train
from deltaml_core.errors import (
    DivergentStepError,
    MissingExtraError,
    ScaleBudgetError,
    SemiHonestSchemeWarning,
    TermsError,
)
from deltaml_core.semihonest.linear import Folded
from deltaml_core.semihonest.run import open_keyring
from deltaml_core.statistics import Dataset, Statistics

SHARDS = random_shards(3, (12, 9, 10, 8), 3)
SCALED = [(X * np.array([1000.0, 1.0, 0.01]), 50 + 30 * y) for X, y in SHARDS]
quiet = pytest.mark.filterwarnings("ignore::deltaml_core.errors.SemiHonestSchemeWarning")


def trained(scheme: str, shards: Any = SHARDS, **terms: Any) -> TrainingResult:
    return train(shards, **{"validators": [1, 3], "rounds": 5, "step": 0.4, "scheme": scheme, **terms})


@quiet
@pytest.mark.parametrize("scheme", semihonest.SCHEMES)
@pytest.mark.parametrize(("local_steps", "evaluate_every", "rule"), [(1, 2, "shapley"), (3, 5, "leave_one_out")])
def test_the_result_is_that_of_descent_on_rows(scheme: str, local_steps: int, evaluate_every: int, rule: str) -> None:
    told: list[tuple[int, float]] = []
    terms = {"local_steps": local_steps, "evaluate_every": evaluate_every, "contributions": rule}
    result = trained(scheme, **terms, on_round=lambda number, mse: told.append((number, mse)))
    weights, history = oracle(SHARDS, [1, 3], 5, 0.4, local_steps, evaluate_every)
    assert np.append(result.coef_, result.intercept_) == pytest.approx(weights, abs=1e-7)
    assert [number for number, _ in result.mse_history] == [number for number, _ in history]
    assert [mse for _, mse in result.mse_history] == pytest.approx([mse for _, mse in history], abs=1e-6)
    assert told == result.mse_history
    assert (result.mse_initial, result.mse_final) == (told[0][1], told[-1][1])
    assert result.roles == {0: "trainer", 1: "validator", 2: "trainer", 3: "validator"}
    assert result.transcript is None
    proven = trained("plain", **terms)
    assert result.contributions == pytest.approx(proven.contributions, abs=1e-5)
    assert result.contribution_errors == proven.contribution_errors == {0: 0, 2: 0}


@quiet
@pytest.mark.parametrize(("scheme", "model"), [("ckks", "ridge"), ("mpc", "logistic")])
def test_other_models_end_where_the_proven_protocol_does(scheme: str, model: str) -> None:
    shards = [(X, (y > y.mean()).astype(float)) for X, y in SHARDS]
    terms = {"model": model, "penalty": 0.1, "standardise": True, "test_share": 0.2, "seed": 1, "step": 0.3}
    result, proven = (trained(chosen, shards, **terms) for chosen in (scheme, "plain"))
    assert np.append(result.coef_, result.intercept_) == pytest.approx(np.append(proven.coef_, proven.intercept_), abs=1e-6)
    assert result.mse_final == pytest.approx(proven.mse_final, abs=1e-6)
    assert result.mse_test == pytest.approx(proven.mse_test, abs=1e-6)
    assert result.contributions == pytest.approx(proven.contributions, abs=1e-4)


@quiet
@pytest.mark.parametrize("scheme", semihonest.SCHEMES)
def test_columns_of_very_different_ranges_train_as_well(scheme: str) -> None:
    result = trained(scheme, SCALED, step=1e-6, rounds=3)
    weights, history = oracle(SCALED, [1, 3], 3, 1e-6)
    shown = np.append(result.coef_, result.intercept_) * [1000, 1, 0.01, 1]
    assert shown == pytest.approx(weights * [1000, 1, 0.01, 1], abs=1e-5)
    assert result.mse_final == pytest.approx(history[-1][1], rel=1e-6)


@quiet
def test_a_validator_with_fewer_rows_than_features_measures() -> None:
    shards = [*SHARDS[:3], (SHARDS[3][0][:2], SHARDS[3][1][:2])]
    result = trained("ckks", shards, validators=[3], rounds=2)
    assert result.mse_final == pytest.approx(oracle(shards, [3], 2, 0.4)[1][-1][1], abs=1e-6)


def test_whoever_chooses_it_is_warned() -> None:
    with pytest.warns(SemiHonestSchemeWarning, match="trusts everybody to follow the protocol") as caught:
        trained("ckks", rounds=1)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trained("plain", rounds=1).transcript is not None


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"robust": True}, "robust=True needs the proofs"),
        ({"metrics": "noise", "contributions": "leave_one_out"}, "leave metrics at its default"),
        ({"sigmoid": "quintic"}, "sigmoid='quintic' is not known; choose one of linear, cubic"),
        ({"sigmoid": "cubic"}, 'belongs to model="logistic"'),
        ({"sigmoid": "cubic", "model": "logistic", "scheme": "paillier"}, "Paillier cannot"),
        ({"parties": ["127.0.0.1:1"]}, 'parties compute for scheme="mpc" only'),
        ({"rounds": 0}, "rounds must be a whole number"),
        ({"scheme": "rot13"}, "'rot13'"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused_before_anything_starts(terms: dict[str, Any], why: str) -> None:
    with pytest.raises(TermsError, match=why):
        trained(**{"scheme": "ckks", **terms})


@quiet
def test_a_step_that_diverges_names_the_shards() -> None:
    with pytest.raises(DivergentStepError, match="diverges on the data of shard 0, shard 2; the largest step") as refused:
        trained("ckks", step=100.0)
    assert trained("plain", step=0.99 * refused.value.largest_stable_step).coef_.shape == (3,)


@quiet
def test_numbers_beyond_the_scheme_are_refused_before_the_first_round() -> None:
    rounds: list[int] = []
    with pytest.raises(ScaleBudgetError, match=r"ckks holds 1.64e\+04 beside its masks: take fewer rounds"):
        trained("ckks", rounds=100_000, local_steps=100, evaluate_every=100_000, on_round=lambda number, mse: rounds.append(number))
    assert rounds == []


def test_without_tenseal_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tenseal.sealapi", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'deltaml-core\[ckks\]'"):
        open_keyring("ckks", 4, 2)


def test_schemes_that_do_not_serve_here_are_refused() -> None:
    with pytest.raises(TermsError, match="'paillier' does not serve here; choose one of ckks, mpc, plain"):
        open_keyring("paillier", 4, 2)
    with pytest.raises(TermsError, match="not for 'ckks'"):
        open_keyring("ckks", 4, 2, ["127.0.0.1:1"])


@pytest.mark.parametrize("rows", [2, 4, 30])
def test_folded_statistics_give_the_squared_error(rows: int) -> None:
    ((X, y),) = random_shards(8, (rows,), 3)
    folded, w = Folded.of(Statistics.of(Dataset.of(X, y))), np.array([0.3, -0.2, 0.7, 0.1])
    expected = float(((y - X @ w[:3] - w[3]) ** 2).sum())
    assert ((folded.R @ w - folded.u) ** 2).sum() + folded.rho == pytest.approx(expected)
    assert folded.rho == pytest.approx(float(((y - LinearRegression().fit(X, y).predict(X)) ** 2).sum()), abs=1e-9)
