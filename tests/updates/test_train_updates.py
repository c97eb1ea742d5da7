"""Whole trainings with encrypted updates against plain federated averaging and central training."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import Array, Shard, key_pair, random_shards
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from deltaml_core import errors, train
from deltaml_core.errors import (
    DataError,
    FewOwnersWarning,
    InsecureKeyWarning,
    LocalTrainingError,
    TermsError,
    TooFewOwnersError,
    VisibleModelWarning,
)
from deltaml_core.messages import Message
from deltaml_core.signatures import LocalSigner
from deltaml_core.transport.base import Role
from deltaml_core.updates import PartialFitModel, UpdateSession, UpdatesResult, UpdateTerms, train_updates

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


def parts_of(estimator: Any) -> list[Array]:
    return [*estimator.coefs_, *estimator.intercepts_] if hasattr(estimator, "coefs_") else [estimator.coef_, estimator.intercept_]


def assign(estimator: Any, parts: Sequence[Array]) -> None:
    if hasattr(estimator, "coefs_"):
        estimator.coefs_ = [part.copy() for part in parts[: len(estimator.coefs_)]]
        estimator.intercepts_ = [part.copy() for part in parts[len(estimator.coefs_) :]]
    else:
        estimator.coef_, estimator.intercept_ = (part.copy() for part in parts)


def averaged(start: Any, shards: Sequence[Shard], rounds: int, steps: int, weights: Sequence[float]) -> Any:
    """The oracle: federated averaging in the clear, of scikit-learn's estimators, one a trainer."""
    best, trainers = copy.deepcopy(start), [copy.deepcopy(start) for _ in shards]
    for _ in range(rounds):
        for trainer, (X, y) in zip(trainers, shards, strict=True):
            assign(trainer, parts_of(best))
            for _ in range(steps):
                trainer.partial_fit(X, y)
        assign(best, [np.average(parts, axis=0, weights=weights) for parts in zip(*map(parts_of, trainers), strict=True)])
    return best


def started(estimator: Any, shards: Sequence[Shard], classes: Array | None = None) -> Any:
    return PartialFitModel(estimator, shards[0][0].shape[1], classes).unwrap()


def run(shards: Sequence[Shard], model: BaseEstimator, **terms: Any) -> UpdatesResult:
    return train_updates(shards, model, **{"validators": [1], "rounds": 4, "key_bits": 256, "clip_norm": 100.0, **terms})


def classes_of(y: Array) -> Array:
    return np.digitize(y, np.quantile(y, [0.3, 0.7])).astype(np.int64)


MODELS: list[tuple[Any, Callable[[Array], Array] | None]] = [
    (SGDRegressor(random_state=0), None),
    (MLPRegressor(hidden_layer_sizes=(6,), random_state=0), None),
    (SGDClassifier(random_state=0, alpha=0.01), classes_of),
    (MLPClassifier((6,), random_state=0), classes_of),
]


@pytest.mark.parametrize(("estimator", "label"), MODELS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("weighting", ["rows", "equal"])
@pytest.mark.parametrize("steps", [1, 3])
def test_a_training_is_federated_averaging_up_to_the_fixed_point(estimator: Any, label: Any, weighting: str, steps: int) -> None:
    shards = random_shards(11, (20, 9, 14, 31), 3)
    if label is not None:
        shards = [(X, label(y)) for X, y in shards]
    classes = None if label is None else np.unique(np.concatenate([y for _, y in shards]))
    result = run(shards, estimator, weighting=weighting, local_steps=steps, fractional_bits=40)
    trainers = [shards[index] for index in (0, 2, 3)]
    weights = [len(X) if weighting == "rows" else 1 for X, _ in trainers]
    expected = averaged(started(estimator, shards, classes), trainers, 4, steps, weights)
    for found, wanted in zip(parts_of(result.model), parts_of(expected), strict=True):
        assert np.abs(found - wanted).max() < 4 * 2.0**-36  # four rounds of half a unit each, and what local training makes of them
    X, y = shards[1]
    measured = expected.score(X, y) if label is not None else np.mean((expected.predict(X) - y) ** 2)
    assert result.history[-1] == (4, pytest.approx(measured, rel=1e-9))


def test_one_rounds_error_is_at_most_half_a_unit_of_the_fixed_point() -> None:
    shards = random_shards(12, (20, 9, 14, 31), 3)
    expected = averaged(started(SGDRegressor(random_state=0), shards), [shards[i] for i in (0, 2, 3)], 1, 1, [20, 14, 31])
    for bits in (8, 16, 24):
        result = run(shards, SGDRegressor(random_state=0), rounds=1, fractional_bits=bits)
        error = max(np.abs(found - wanted).max() for found, wanted in zip(parts_of(result.model), parts_of(expected), strict=True))
        assert error <= 2.0 ** -(bits + 1) + 1e-15
        assert error > 2.0**-60  # it is rounded, and not by accident exact


def test_encryption_changes_no_bit() -> None:
    shards = [(X, classes_of(y)) for X, y in random_shards(13, (12, 8, 10), 3)]
    plain, encrypted = (run(shards, MLPClassifier((4,), random_state=0), scheme=scheme) for scheme in ("plain", "paillier"))
    assert plain.history == encrypted.history
    for found, wanted in zip(parts_of(plain.model), parts_of(encrypted.model), strict=True):
        assert np.array_equal(found, wanted)


def test_digits_over_five_owners_at_2048_bits() -> None:
    """A multi-layer perceptron of 2,410 parameters is as good as one trained on all trainers' rows in one place: within 2 points."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    shards = [(X[part] / 16, y[part]) for part in np.array_split(order, 5)]
    perceptron = MLPClassifier((32,), learning_rate_init=0.02, random_state=0)
    result = train(shards, privacy="updates", model=perceptron, validators=[1], rounds=8, local_steps=5, evaluate_every=4)
    trainers = [shards[index] for index in (0, 2, 3, 4)]
    central = started(perceptron, shards, np.arange(10))
    for _ in range(8 * 5):
        central.partial_fit(np.vstack([X for X, _ in trainers]), np.concatenate([y for _, y in trainers]))
    in_the_clear = averaged(started(perceptron, shards, np.arange(10)), trainers, 8, 5, [len(X) for X, _ in trainers])
    accuracy = result.model.score(*shards[1])
    assert accuracy > 0.93
    assert accuracy == pytest.approx(central.score(*shards[1]), abs=0.02)
    assert accuracy == pytest.approx(in_the_clear.score(*shards[1]), abs=0.01)
    assert result.metric == "accuracy"
    assert result.history[-1] == (8, pytest.approx(accuracy))
    assert [number for number, _ in result.history] == [0, 4, 8]
    assert result.parameters == 2410
    assert result.ciphertexts == 48
    assert result.clipped == {0: 0, 2: 0, 3: 0, 4: 0}


# --- the door ------------------------------------------------------------------------------------------------------


def test_what_a_training_leaves() -> None:
    shards = random_shards(14, (6, 5, 7, 4), 2)
    told: list[tuple[int, float]] = []
    estimator = SGDRegressor(random_state=0)
    result = train(
        shards,
        privacy="updates",
        model=estimator,
        validators=[3],
        rounds=3,
        evaluate_every=2,
        key_bits=256,
        on_round=lambda number, metric: told.append((number, metric)),
    )
    assert isinstance(result, UpdatesResult)
    assert isinstance(result.model, SGDRegressor)
    assert not hasattr(estimator, "coef_")
    assert result.metric == "mean_squared_error"
    assert result.history == told
    assert [number for number, _ in told] == [0, 2, 3]
    assert result.history[0][1] == pytest.approx(np.mean(shards[3][1] ** 2))
    assert result.roles == {0: "trainer", 1: "trainer", 2: "trainer", 3: "validator"}
    assert result.answered == [(0, 1, 2)] * 3
    assert [set(kinds) for kinds in result.bytes_per_round] == [
        {"global-model", "encrypted-update", "encrypted-metric", "round-sums"},
        {"global-model", "encrypted-update", "round-sums"},
        {"global-model", "encrypted-update", "encrypted-metric", "round-sums"},
        {"global-model", "encrypted-metric", "round-sums"},
    ]
    assert all(count > 0 for kinds in result.bytes_per_round for count in kinds.values())
    assert result.cpu_seconds > 0
    assert result.wall_seconds > 0


def test_labels_may_be_words() -> None:
    shards = [(X, np.where(y > 0, "up", "down")) for X, y in random_shards(15, (30, 20, 30), 2)]
    result = run(shards, SGDClassifier(random_state=0), rounds=10)
    assert set(result.model.predict(shards[1][0])) == {"down", "up"}
    assert result.history[-1][1] > 0.8


def test_an_owner_need_not_have_every_class() -> None:
    (X, y), *others = ((X, classes_of(y)) for X, y in random_shards(16, (40, 20, 30, 30), 2))
    result = run([(X[y != 2], y[y != 2]), *others], SGDClassifier(random_state=0))
    assert result.model.classes_.tolist() == [0, 1, 2]


def test_the_seed_draws_the_validators() -> None:
    shards = random_shards(17, (4,) * 9, 2)
    drawn = [run(shards, SGDRegressor(random_state=0), validators=None, seed=seed, rounds=1).roles for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0].values()).count("validator") == 2


@pytest.mark.filterwarnings("error")
def test_the_weaker_privacy_is_warned_of() -> None:
    shards = random_shards(18, (4, 4, 4), 2)
    with pytest.warns(errors.PrivacyWarning) as warned:
        run(shards, SGDRegressor(random_state=0))
    assert {warning.category for warning in warned} == {VisibleModelWarning, FewOwnersWarning, InsecureKeyWarning}
    assert any("every round's model to every owner" in str(warning.message) for warning in warned)
    with pytest.warns(VisibleModelWarning) as warned:
        run([*shards, shards[0]], SGDRegressor(random_state=0), scheme="plain")
    assert len(warned) == 1


def test_training_that_diverges_names_its_shard() -> None:
    shards = random_shards(19, (4, 4, 4), 2)
    wild = SGDRegressor(learning_rate="constant", eta0=1e300, random_state=0)
    with pytest.raises(LocalTrainingError, match=r"training at shard [02] failed: "):
        run(shards, wild, rounds=20)


def test_clipped_rounds_are_counted() -> None:
    result = run(random_shards(20, (9, 9, 9), 2), SGDRegressor(random_state=0), clip_norm=1e-3)
    assert result.clipped == {0: 4, 2: 4}
    assert np.linalg.norm(np.append(result.model.coef_, result.model.intercept_)) <= 4 * 1e-3 * 1.001


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"model": "linear"}, "not 'linear'"),
        ({"model": SGDRegressor}, "trains a scikit-learn estimator with partial_fit, a TorchModel"),
        ({"model": SGDRegressor(), "step": 0.1}, "has no step, metrics, contributions, robust"),
        ({"model": SGDRegressor(), "validators": [0, 1]}, "too few"),
        ({"model": SGDRegressor(), "scheme": "rot13"}, "scheme='rot13' is not known"),
        ({"model": SGDRegressor(), "privacy": "model"}, 'an estimator or module is trained with privacy="updates"'),
        ({"model": "linear", "privacy": "none"}, "privacy='none'"),
    ],
)
def test_the_door_refuses_what_does_not_fit(options: dict[str, Any], why: str) -> None:
    with pytest.raises(TermsError, match=why):
        train(random_shards(21, (4, 4, 4), 2), **{"privacy": "updates", "validators": [1], "key_bits": 256, **options})


@pytest.mark.parametrize(
    ("shard", "why"),
    [
        (([[1.0, np.nan]], [0.0]), r"shard 3: 1 values of X are missing"),
        (([[1.0, 1.0]], [np.inf]), r"shard 3: 1 values of y are missing"),
        (([[1.0]], [0.0]), r"shard 3 has rows of shape \(1,\), but shard 0 of \(2,\)"),
        (([[1.0, 2.0]], [0.0, 1.0]), "2 targets"),
        (([1.0, 2.0], [0.0, 1.0]), r"X of shape \(2,\)"),
        (([["a", "b"]], [0.0]), "not a pair"),
        (3, "shard 3 is not a pair"),
        (([[1.0, 2.0]], [[0.0]]), "y one, not 2 and 2"),
        ((np.zeros((0, 2)), []), "0 targets"),
    ],
)
def test_shards_that_cannot_be_used_are_named(shard: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        run([*random_shards(22, (4, 4, 4), 2), shard], SGDRegressor())
    with pytest.raises(DataError, match="must be a list"):
        run(iter([]), SGDRegressor())  # type: ignore[arg-type]


# --- a session in which somebody is silent --------------------------------------------------------------------------


class Silent:
    """A role that says nothing in some rounds, as a node that is down."""

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, role: Role, rounds: set[int]) -> None:
        self.role, self.rounds = role, rounds

    def handle(self, message: Message) -> list[Message]:
        return [] if message.round in self.rounds else self.role.handle(message)


def session_with(silent: dict[int, set[int]]) -> tuple[UpdateSession, list[str]]:
    """Three trainers and a validator (the last), some of them silent in some rounds; and the owners' names."""
    shards = random_shards(23, (6, 7, 8, 5), 2)
    buyer, aggregator, *owners = (LocalSigner() for _ in range(6))
    names = [owner.address for owner in owners]
    model = PartialFitModel(SGDRegressor(random_state=0), 2, None)
    rows = {name: len(X) for name, (X, _) in zip(names, shards, strict=True)}
    terms = UpdateTerms({name: rows[name] for name in names[:3]}, {names[3]: rows[names[3]]}, parameters=3, rounds=3, key_bits=256)
    data = dict(zip(names, shards, strict=True))
    key = key_pair("paillier", 256)
    session = UpdateSession(terms, model, data, key, buyer=buyer, aggregator=aggregator, owners=owners)
    roles: dict[str, Role] = {**session.trainers, **session.validators}
    for index, rounds in silent.items():
        session.transport.join(owners[index], Silent(roles[names[index]], rounds))
    return session, names


def test_a_run_goes_on_without_whom_nobody_hears_from_and_takes_them_back() -> None:
    session, names = session_with({1: {1}, 3: {0, 3}})
    session.run()
    assert [set(round_) for round_ in session.buyer.answered] == [set(names[:3]), {names[0], names[2]}, set(names[:3])]
    assert [number for number, _ in session.buyer.history] == [1, 2]
    assert session.buyer.done


def test_a_run_ends_when_one_trainer_alone_answers() -> None:
    session, _ = session_with({1: {1}, 2: {1}})
    with pytest.raises(TooFewOwnersError, match="round 1: 1 of 3 trainers answered"):
        session.run()
    assert session.buyer.round == 1
