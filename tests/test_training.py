"""Whole trainings against the oracle on rows; what is refused, warned of, and kept secret."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from helpers import (
    Shard,
    Stage,
    descend,
    key_pair,
    oracle,
    paper_shards,
    pooled_mse,
    random_shards,
    stable_step,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core import TrainingResult, train
from deltaml_core.errors import (
    ConstantColumnWarning,
    DataError,
    DeltaMLError,
    DivergentStepError,
    InsecureKeyWarning,
    NoiseMetricWarning,
    ScaleBudgetError,
    TermsError,
)
from deltaml_core.messages import Message
from deltaml_core.statistics import Dataset
from deltaml_core.training import declared_ranges

quiet = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")
pytestmark = quiet


def run(shards: list[Shard], **terms: Any) -> TrainingResult:
    """`train` with the thesis's metric, in the clear unless a test says otherwise."""
    return train(shards, **{"scheme": "plain", "metrics": "noise", "contributions": "leave_one_out", "step": 0.5, **terms})


def check_agrees(result: TrainingResult, shards: list[Shard], validators: list[int], **terms: Any) -> None:
    """Weights and every MSE equal the oracle's within 1e-6, relative."""
    weights, history = oracle(shards, validators, terms["rounds"], terms["step"], terms.get("local_steps", 1), terms["evaluate_every"])
    found = np.append(result.coef_, result.intercept_)
    assert np.abs(found - weights).max() <= 1e-6 * np.abs(weights).max()
    assert [number for number, _ in result.mse_history] == [number for number, _ in history]
    for (_, measured), (_, expected) in zip(result.mse_history, history, strict=True):
        assert measured == pytest.approx(expected, rel=1e-6)
    assert result.mse_initial == result.mse_history[0][1]
    assert result.mse_final == result.mse_history[-1][1]


def solo_gains(shards: list[Shard], validators: list[int], rounds: int, step: float, local_steps: int = 1) -> dict[int, float]:
    """What everybody's averaged solo model gains from each trainer's, on the validators' rows."""
    judges = [shards[j] for j in validators]
    trainers = [index for index in range(len(shards)) if index not in validators]
    zero = np.zeros(shards[0][0].shape[1] + 1)
    solo = {index: descend(shards[index], zero, step, rounds * local_steps) for index in trainers}
    together = pooled_mse(judges, np.mean(list(solo.values()), axis=0))
    return {left: pooled_mse(judges, np.mean([solo[other] for other in trainers if other != left], axis=0)) - together for left in trainers}


# --- the paper's run ---------------------------------------------------------------------------------------------


def test_the_papers_request() -> None:
    shards = paper_shards()
    result = run(shards, validators=[1], rounds=100, step=1.5)
    assert result.mse_final == pytest.approx(3311.856, abs=0.01)
    assert result.mse_initial == pytest.approx(19485.02, abs=0.005)
    assert len(result.mse_history) == 51
    assert result.roles == {0: "trainer", 1: "validator", 2: "trainer", 3: "trainer", 4: "trainer"}
    check_agrees(result, shards, [1], rounds=100, step=1.5, evaluate_every=2)
    gained = solo_gains(shards, [1], 100, 1.5)
    positive = {index: max(0.0, gain) for index, gain in gained.items()}
    assert result.contributions == pytest.approx({index: gain / sum(positive.values()) for index, gain in positive.items()}, abs=1e-6)


# --- any run equals the oracle -----------------------------------------------------------------------------------


@st.composite
def runs(draw: Any) -> tuple[list[Shard], list[int], dict[str, Any]]:
    """Three to five owners with unequal shards, one or two validators, d from 2 to 40, targets of many kinds."""
    owners = draw(st.integers(3, 5))
    rows = draw(st.lists(st.integers(1, 40), min_size=owners, max_size=owners))
    shards = random_shards(
        draw(st.integers(0, 10**6)),
        rows,
        draw(st.one_of(st.integers(1, 5), st.integers(1, 39))),
        scale=draw(st.sampled_from([0.05, 1.0, 20.0])),
        offset=draw(st.sampled_from([0.0, -3.0, 1e6, -1e6])),
        spread=draw(st.sampled_from([1e-6, 1.0, 1e4])),
        noise=draw(st.sampled_from([0.01, 0.5])),
    )
    validators = draw(st.lists(st.integers(0, owners - 1), min_size=1, max_size=2, unique=True))
    trainers = [shard for index, shard in enumerate(shards) if index not in validators]
    terms = {
        "rounds": draw(st.integers(1, 12)),
        "local_steps": draw(st.sampled_from([1, 5])),
        "evaluate_every": draw(st.integers(1, 4)),
        "step": stable_step(trainers) * draw(st.sampled_from([0.1, 0.5, 0.95])),
    }
    return shards, validators, terms


@given(runs())
@settings(max_examples=80)
@quiet
def test_training_equals_gradient_descent_on_the_rows(case: tuple[list[Shard], list[int], dict[str, Any]]) -> None:
    shards, validators, terms = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantColumnWarning)
        result = run(shards, validators=validators, **terms)
    check_agrees(result, shards, validators, **terms)


@pytest.mark.parametrize("local_steps", [1, 5])
@pytest.mark.parametrize("features", [1, 10, 39])
@pytest.mark.parametrize(("offset", "spread"), [(0.0, 1.0), (1e6, 1.0), (-1e6, 1e-3), (0.0, 1e-6), (-5e-7, 1e-7), (-40.0, 3.0)])
def test_three_owners_two_validators(features: int, local_steps: int, offset: float, spread: float) -> None:
    shards = random_shards(99, (30, 7, 12), features, offset=offset, spread=spread)
    terms = {"rounds": 8, "step": 0.9 * stable_step(shards[:1]), "local_steps": local_steps, "evaluate_every": 2}
    check_agrees(run(shards, validators=[1, 2], **terms), shards, [1, 2], **terms)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e3, 1e6])
def test_features_of_any_magnitude(scale: float) -> None:
    shards = random_shards(4, (20, 8, 9), 3, scale=scale)
    terms = {"rounds": 6, "step": 0.9 * stable_step(shards), "evaluate_every": 3}
    check_agrees(run(shards, validators=[0], **terms), shards, [0], **terms)


def test_features_of_very_different_magnitude() -> None:
    shards = [(X * [1e-6, 1.0, 1e3], y) for X, y in random_shards(4, (20, 8, 9), 3)]
    terms = {"rounds": 6, "step": 0.9 * stable_step(shards), "evaluate_every": 3}
    check_agrees(run(shards, validators=[0], **terms), shards, [0], **terms)


@pytest.mark.parametrize("key_bits", [256, 300, 400, 500])
def test_a_refresh_costs_no_precision(key_bits: int) -> None:
    """With smaller keys the weights are refreshed more often, and nothing wraps around."""
    shards = random_shards(8, (9, 5, 6), 3)
    terms = {"rounds": 15, "step": 0.5, "evaluate_every": 7}
    result = run(shards, validators=[2], key_bits=key_bits, **terms)
    check_agrees(result, shards, [2], **terms)
    refreshed = sum(b'"kind":"refresh"' in entry for entry in result.transcript.entries)
    assert refreshed > 0


# --- with encryption ---------------------------------------------------------------------------------------------


def check_same(encrypted: TrainingResult, plain: TrainingResult) -> None:
    """The same integers, so the same floats to the last bit."""
    assert encrypted.coef_.tobytes() == plain.coef_.tobytes()
    assert encrypted.intercept_ == plain.intercept_
    assert encrypted.mse_history == plain.mse_history
    assert encrypted.contributions == plain.contributions
    assert encrypted.roles == plain.roles


@pytest.mark.parametrize(
    ("key_bits", "features", "rounds", "local_steps", "offset", "spread"),
    [
        (512, 1, 6, 1, 0.0, 1.0),
        (768, 5, 5, 5, 1e6, 1.0),
        (1024, 3, 4, 1, -1e6, 1e-3),
        (1024, 12, 2, 5, 0.0, 1e-6),
        (1024, 39, 1, 1, -40.0, 3.0),
        (2048, 2, 2, 1, 5.0, 1.0),
        (3072, 2, 1, 5, 5.0, 1.0),
    ],
)
def test_encrypted_training_gives_the_same_integers(
    key_bits: int, features: int, rounds: int, local_steps: int, offset: float, spread: float
) -> None:
    shards = random_shards(key_bits, (8, 3, 5), features, offset=offset, spread=spread)
    terms = {"rounds": rounds, "step": 0.9 * stable_step(shards), "local_steps": local_steps, "evaluate_every": 2}
    encrypted = run(shards, validators=[1, 2], scheme="paillier", key_bits=key_bits, **terms)
    check_same(encrypted, run(shards, validators=[1, 2], key_bits=key_bits, **terms))
    check_agrees(encrypted, shards, [1, 2], **terms)


def ciphertexts(messages: list[Message]) -> list[int]:
    """Every ciphertext in messages, once for each message that computed it."""
    fields = {"update": ("weights",), "solo-model": ("weights", "target_share"), "residuals": ("packed",), "open-residuals": ("packed",)}
    fields |= {"refresh": ("packed",), "refreshed": ("weights",)}
    return [value for message in messages for field in fields.get(message.kind, ()) for value in getattr(message, field)]


def test_two_runs_with_one_key_and_one_data_never_share_a_ciphertext() -> None:
    sent = []
    for _ in range(2):
        stage = Stage(rounds=6, key_bits=400, scheme="paillier")
        stage.finish()
        sent.append(ciphertexts(stage.delivered))
    first, second = sent
    assert len(first) == len(second) > 60
    assert len({*first, *second}) == len(first) + len(second)
    key = key_pair("paillier", 400)
    masked = sum(a == b for a, b in zip(key.decrypt(tuple(first)), key.decrypt(tuple(second)), strict=True))
    assert masked > len(first) / 2, "most plaintexts are the same: only fresh randomness tells the ciphertexts apart"


# --- contributions -----------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(3, 6), st.integers(1, 4))
@settings(max_examples=25)
@quiet
def test_shares_are_those_of_solo_models_on_the_rows(seed: int, owners: int, features: int) -> None:
    shards = random_shards(seed, range(4, 4 + owners), features, noise=1.0)
    terms = {"rounds": 5, "step": 0.8 * stable_step(shards)}
    result = run(shards, validators=[owners - 1], **terms)
    positive = {index: max(0.0, gain) for index, gain in solo_gains(shards, [owners - 1], **terms).items()}
    total = sum(positive.values())
    assert result.contributions == pytest.approx({index: gain / total if total else 0 for index, gain in positive.items()}, abs=1e-4)


def test_a_trainer_of_shuffled_labels_earns_nothing_and_the_others_all() -> None:
    shards = random_shards(21, (30, 30, 30, 30), 3, noise=0.05)
    X, y = shards[0]
    shards[0] = (X, -y)
    result = run(shards, validators=[3], rounds=30, step=1.0)
    assert result.contributions[0] == 0
    assert result.contributions[1] > 0.3
    assert result.contributions[2] > 0.3
    assert sum(result.contributions.values()) == pytest.approx(1)


def test_when_nobody_improves_the_model_all_shares_are_zero() -> None:
    """A single trainer whose targets run against the validator's: the mean predictor is better."""
    X = np.linspace(-1, 1, 12).reshape(-1, 1)
    result = run([(X, 5 * X[:, 0]), (X, -5 * X[:, 0])], validators=[1], rounds=20, step=1.0)
    assert result.contributions == {0: 0}


# --- who validates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("owners", "count"), [(2, 1), (3, 1), (5, 1), (7, 2), (10, 3)])
def test_three_in_ten_owners_validate_and_at_least_one(owners: int, count: int) -> None:
    shards = random_shards(1, [4] * owners, 1)
    drawn = [run(shards, rounds=1, seed=seed).roles for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert all(list(roles.values()).count("validator") == count for roles in drawn)
    assert all(sorted(roles) == list(range(owners)) for roles in drawn)
    assert len({str(roles) for roles in drawn}) > 1


def test_the_seed_does_not_fix_the_secrets() -> None:
    first, second = (run(random_shards(1, (4, 4), 1), rounds=1, seed=1, scheme="paillier", key_bits=512) for _ in range(2))
    assert first.roles == second.roles
    assert first.mse_history == second.mse_history
    assert first.transcript.hash != second.transcript.hash


def test_chosen_validators_and_their_order() -> None:
    shards = random_shards(1, (4, 5, 6, 7), 2)
    for validators in ([2, 0], (0, 2), np.array([0, 2])):
        result = run(shards, validators=validators, rounds=2)
        assert result.roles == {0: "validator", 1: "trainer", 2: "validator", 3: "trainer"}
        assert set(result.contributions) == {1, 3}


# --- progress and the result -------------------------------------------------------------------------------------


def test_every_measurement_is_reported_as_it_comes() -> None:
    seen: list[tuple[int, float]] = []
    result = run(random_shards(2, (5, 6), 2), validators=[0], rounds=5, evaluate_every=2, on_round=lambda n, mse: seen.append((n, mse)))
    assert seen == result.mse_history
    assert [number for number, _ in seen] == [0, 2, 4, 5]


def test_the_result_states_its_cost_and_its_record() -> None:
    result = run(random_shards(2, (5, 6), 2), validators=[0], rounds=2)
    assert result.coef_.shape == (2,)
    assert isinstance(result.intercept_, float)
    assert result.cpu_seconds > 0
    assert result.wall_seconds > 0
    assert len(result.transcript.hash) == 32
    assert len(result.transcript.messages()) == len(result.transcript.entries) > 10


def test_data_may_be_lists_and_is_left_as_it_was() -> None:
    shards = random_shards(2, (5, 6), 2)
    copies = [(X.copy(), y.copy()) for X, y in shards]
    from_arrays = run(shards, validators=[0], rounds=2)
    from_lists = run([(X.tolist(), y.tolist()) for X, y in shards], validators=[0], rounds=2)  # type: ignore[misc]
    check_same(from_lists, from_arrays)
    for (X, y), (old_X, old_y) in zip(shards, copies, strict=True):
        assert np.array_equal(X, old_X)
        assert np.array_equal(y, old_y)


# --- warnings ----------------------------------------------------------------------------------------------------


def test_the_thesiss_metric_warns_of_what_the_buyer_learns() -> None:
    with pytest.warns(NoiseMetricWarning, match="hands the buyer every validator's residuals") as caught:
        run(random_shards(2, (5, 6), 2), validators=[0], rounds=1)
    assert len(caught) == 1


def test_a_short_key_warns() -> None:
    with pytest.warns(InsecureKeyWarning, match="a 512-bit key can be broken: use 2048 bits"):
        run(random_shards(2, (5, 6), 1), validators=[0], rounds=1, scheme="paillier", key_bits=512)


def test_a_long_key_and_no_encryption_do_not_warn_of_the_key() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", InsecureKeyWarning)
        assert run(random_shards(2, (5, 6), 1), validators=[0], rounds=1, scheme="paillier", key_bits=2048).roles
        assert run(random_shards(2, (5, 6), 1), validators=[0], rounds=1, key_bits=512).roles


def test_a_constant_column_only_warns() -> None:
    shards = [(np.column_stack([X, np.full(len(X), 0.5)]), y) for X, y in random_shards(2, (9, 6, 5), 2)]
    with pytest.warns(ConstantColumnWarning, match="'x3' has the same value in all"):
        result = run(shards, validators=[0], rounds=4)
    check_agrees(result, shards, [0], rounds=4, step=0.5, evaluate_every=2)


# --- bad input ---------------------------------------------------------------------------------------------------

GOOD = random_shards(2, (5, 6, 4), 2)


def spoilt(position: tuple[int, ...], value: float, part: int = 0) -> list[Shard]:
    shards = [(X.copy(), y.copy()) for X, y in GOOD]
    shards[1][part][position] = value
    return shards


@pytest.mark.parametrize(
    ("shards", "error", "why"),
    [
        ([GOOD[0], random_shards(1, (4,), 3)[0]], DataError, "shard 1 has 3 features, but shard 0 has 2"),
        (spoilt((2, 1), np.nan), DataError, "shard 1: column 'x2' has 1 missing or infinite values among 6 rows"),
        (spoilt((2, 1), np.inf), DataError, "shard 1: column 'x2' has 1 missing or infinite"),
        (spoilt((0,), -np.inf, part=1), DataError, "shard 1: column 'target' has 1 missing or infinite"),
        ([GOOD[0], (np.full((4, 2), np.nan), np.zeros(4))], DataError, "shard 1: column 'x1' has 4 missing"),
        ([GOOD[0], (np.empty((0, 2)), np.empty(0))], DataError, "shard 1: X has 0 rows and 2 columns"),
        ([(np.empty((3, 0)), np.zeros(3))] * 2, DataError, "shard 0: X has 3 rows and 0 columns"),
        ([GOOD[0], (GOOD[1][0], GOOD[1][1][1:])], DataError, "shard 1: X has 6 rows and y has 5"),
        ([GOOD[0], (GOOD[1][0][:, 0], GOOD[1][1])], DataError, "shard 1: X must have two dimensions"),
        ([GOOD[0], GOOD[1][0][:, 0]], DataError, "shard 1 is not a pair"),
        ([GOOD[0], 7], DataError, "shard 1 is not a pair"),
        ([GOOD[0], ([["a"]], [1.0])], DataError, "shard 1: X must hold numbers only"),
        ([], TermsError, "0 owner"),
        ([GOOD[0]], TermsError, "1 owner.* cannot train and validate: at least 2 shards are needed"),
        ([(X * 1e200, y) for X, y in GOOD], TermsError, "rescale the columns"),
        ([(X, y * 1e200) for X, y in GOOD], TermsError, "rescale the columns"),
        ([(X * 1e-320, y) for X, y in GOOD], TermsError, "rescale the columns"),
    ],
)
def test_data_that_cannot_be_trained_on(shards: Any, error: type[DeltaMLError], why: str) -> None:
    with pytest.raises(error, match=why):
        run(shards)


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"validators": []}, "no validator is left: name at least one"),
        ({"validators": [0, 1, 2]}, "all 3 owners would validate and nobody train"),
        ({"validators": [3]}, r"validators \[3\] are not among the shards 0 to 2"),
        ({"validators": [-1]}, r"validators \[-1\] are not among the shards 0 to 2"),
        ({"rounds": 0}, "rounds must be"),
        ({"local_steps": 0}, "local_steps must be"),
        ({"evaluate_every": 0}, "evaluate_every must be"),
        ({"step": -1.0}, "step must be a positive number"),
        ({"step": float("nan")}, "step must be a positive number"),
        ({"model": "cubic"}, "model='cubic' is not known"),
        ({"scheme": "rot13"}, "scheme='rot13' is not known"),
        ({"metrics": "trust"}, "metrics='trust' is not known"),
        ({"contributions": "equal"}, "contributions='equal' is not known"),
        ({"scheme": "paillier", "key_bits": 1023}, "even length"),
        ({"key_bits": -1}, "key_bits must be"),
        ({"robust": True}, "no robust=True"),
    ],
)
def test_terms_that_cannot_be_met(terms: dict[str, Any], why: str) -> None:
    with pytest.raises(TermsError, match=why):
        run(GOOD, **{"validators": [0], **terms})


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([1, 3]), st.floats(1.001, 1000))
@settings(max_examples=15)
@quiet
def test_a_step_too_long_is_refused_and_the_largest_stable_one_just_works(
    seed: int, features: int, local_steps: int, factor: float
) -> None:
    shards = random_shards(seed, (9, 6, 7), features)
    stable = stable_step([shards[0], shards[2]])
    terms = {"validators": [1], "rounds": 3, "local_steps": local_steps, "key_bits": 1024}
    with pytest.raises(DivergentStepError, match=r"shard [02].*the largest step stable for all trainers is") as refusal:
        run(shards, step=stable * factor, **terms)
    assert refusal.value.largest_stable_step == pytest.approx(stable)
    step = refusal.value.largest_stable_step
    check_agrees(run(shards, step=step, **terms), shards, [1], rounds=3, step=step, local_steps=local_steps, evaluate_every=2)


def test_a_validators_data_does_not_limit_the_step() -> None:
    shards = random_shards(3, (9, 6), 2)
    shards[0] = (shards[0][0] * 100, shards[0][1])
    terms = {"rounds": 2, "step": 0.9 * stable_step(shards[1:]), "evaluate_every": 2}
    check_agrees(run(shards, validators=[0], **terms), shards, [0], **terms)


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
def test_a_key_too_small_is_refused_with_a_size_that_then_works(scheme: str) -> None:
    terms = {"validators": [0], "rounds": 8, "scheme": scheme}
    with pytest.raises(ScaleBudgetError, match="a 128-bit key is too small for 8 rounds") as refusal:
        run(GOOD, key_bits=128, **terms)
    suggested = re.search(r"at least (\d+) bits", str(refusal.value))
    assert suggested
    result = run(GOOD, key_bits=int(suggested[1]), **terms)
    check_agrees(result, GOOD, [0], rounds=8, step=0.5, evaluate_every=2)
    with pytest.raises(ScaleBudgetError):
        run(GOOD, key_bits=int(suggested[1]) - 2, **terms)


def test_a_key_too_small_is_refused_with_fewer_rounds_that_then_work() -> None:
    refused_at = 0
    for key_bits in range(180, 208, 2):
        try:
            run(GOOD, validators=[0], rounds=32, key_bits=key_bits)
        except ScaleBudgetError as error:
            if suggested := re.search(r"or at most (\d+) rounds", str(error)):
                rounds = int(suggested[1])
                result = run(GOOD, validators=[0], rounds=rounds, key_bits=key_bits)
                check_agrees(result, GOOD, [0], rounds=rounds, step=0.5, evaluate_every=2)
                refused_at += 1
    assert refused_at >= 2


def test_declared_ranges_are_met_by_all_and_no_wider() -> None:
    datasets = [Dataset.of(X, y) for X, y in GOOD]
    declared = declared_ranges(datasets)
    assert all(dataset.mismatches(declared) == [] for dataset in datasets)
    X, y = np.vstack([X for X, _ in GOOD]), np.concatenate([y for _, y in GOOD])
    assert [(c.low, c.high) for c in declared.features] == [(low, high) for low, high in zip(X.min(axis=0), X.max(axis=0), strict=True)]
    assert (declared.target.low, declared.target.high) == (y.min(), y.max())


@pytest.mark.parametrize(
    ("shards", "terms", "why"),
    [
        (None, {}, "shards must be a list of pairs"),
        (42, {}, "shards must be a list of pairs"),
        ("two", {"validators": ["1"]}, "validators are named by the index of their shard"),
        ("two", {"validators": [0.5]}, "validators are named by the index of their shard"),
        ("two", {"step": "long"}, "step must be a positive number, not 'long'"),
        ("two", {"step": True}, "step must be a positive number, not True"),
        ("two", {"step": float("nan")}, "step must be a positive number, not nan"),
    ],
)
def test_arguments_of_another_type_are_refused_by_name(shards: Any, terms: dict[str, Any], why: str) -> None:
    with pytest.raises((DataError, TermsError), match=why):
        train(random_shards(1, (5, 6), 2) if shards == "two" else shards, scheme="plain", **terms)
