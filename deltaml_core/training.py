"""A whole training in one process: `train` is the library's front door."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt

from deltaml_core import pooled, schemes
from deltaml_core.dealing import deal_validators
from deltaml_core.errors import DataError, TermsError
from deltaml_core.learning import Owners, Way
from deltaml_core.objectives import Objective
from deltaml_core.privacy import Guarantee, Release
from deltaml_core.session import OnRound
from deltaml_core.splitting import hold_out
from deltaml_core.standardisation import secure_moments
from deltaml_core.statistics import Array, Column, Dataset, Requirements, Statistics
from deltaml_core.terms import TrainingTerms
from deltaml_core.transcript import Transcript
from deltaml_core.updates import UpdatesResult, train_updates

DEFAULT_PENALTY = 0.01
"""Of ridge regression."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves.

    Attributes:
        coef_: (d - 1,), a weight a feature.
        intercept_: the weight of the column of ones.
        mse_initial: mean squared error of the zero model, pooled over the validators' rows, in squared target units.
        mse_final: that of the trained model.
        mse_history: (round, mse) as measured, round 0 first.
        contributions: each trainer's share by its shard's index; they sum to 1, or are all 0 when nobody improved the model.
        roles: "trainer" or "validator" by the shard's index.
        cpu_seconds: of all roles together, keys included, in this process; what worker processes did (`compute.py`) is not in it.
        wall_seconds: from call to return.
        transcript: every message of the run, signed; `deltaml audit` replays it. None where nothing was proven.
        contribution_errors: the standard error of each share: 0, unless more than 15 trainers made sampling necessary.
        mse_test: mean squared error on the rows held out at every owner, measured once after the training; None where none were.
    """

    coef_: Array
    intercept_: float
    mse_initial: float
    mse_final: float
    mse_history: list[tuple[int, float]]
    contributions: dict[int, float]
    roles: dict[int, str]
    cpu_seconds: float
    wall_seconds: float
    transcript: Transcript | None
    contribution_errors: dict[int, float]
    mse_test: float | None = None


class TrainOptions(TypedDict, total=False):
    """What `train` takes besides `shards`, `model` and `privacy`, which decide what it returns."""

    validators: Sequence[int] | None
    rounds: int
    step: float | None
    local_steps: int
    key_bits: int
    scheme: str
    metrics: str
    evaluate_every: int
    contributions: str
    robust: bool
    seed: int | None
    penalty: float | None
    solver: str
    standardise: bool
    test_share: float
    on_round: OnRound | None
    sigmoid: str
    parties: Sequence[str]
    epsilon: float | None
    delta: float


@overload
def train(
    shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    privacy: Literal["model"] = ...,
    model: str = ...,
    **options: Unpack[TrainOptions],
) -> TrainingResult: ...


@overload
def train(
    shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], *, privacy: Literal["updates"], model: object, **options: Unpack[TrainOptions]
) -> UpdatesResult: ...


def train(
    shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    validators: Sequence[int] | None = None,
    model: object = "linear",
    rounds: int = 100,
    step: float | None = 1.5,
    local_steps: int = 1,
    key_bits: int = 2048,
    scheme: str = "paillier",
    metrics: str = "verifiable",
    evaluate_every: int = 2,
    contributions: str = "shapley",
    robust: bool = False,
    seed: int | None = None,
    penalty: float | None = None,
    solver: str = "descent",
    standardise: bool = False,
    test_share: float = 0.0,
    on_round: OnRound | None = None,
    epsilon: float | None = None,
    delta: float = 1e-5,
    sigmoid: str = "linear",
    parties: Sequence[str] = (),
    privacy: str = "model",
) -> TrainingResult | UpdatesResult:
    """Train a model over several owners' data that none of them shows.

    Args:
        shards: each owner's `(X, y)`: X of shape (m, d - 1) without an intercept column, y of shape (m,). The declared ranges,
            which on a market the request states, are taken from all shards together.
        validators: indices of the owners that measure instead of training; by default 30 %, at least one, drawn at random.
        model: kind of model, "linear", "ridge" or "logistic" (`objectives.py`); with `privacy="updates"` an unfitted estimator or a
            `LocalModel` (`updates.train_updates`).
        rounds: rounds of training.
        step: length of a gradient step; None takes half of the longest that is stable for every trainer, which they then tell.
        local_steps: gradient steps an owner takes in a round; costs nothing extra.
        key_bits: length of the Paillier modulus.
        scheme: "paillier", or "plain" for the same integers without encryption. "ckks" and "mpc" (secret sharing) trust everybody to
            follow the protocol: nothing is proven, `metrics` and `key_bits` do not count, and they need an extra (docs/schemes.md).
        metrics: how errors are measured, "noise".
        evaluate_every: rounds between measurements; the first and last are always measured.
        contributions: how shares are found, "leave_one_out".
        robust: leave out a trainer whose update raises the error of every coalition it joins by more than a third; costs a Gram
            matrix a round, and needs `metrics="verifiable"`.
        seed: fixes the draw of validators and of the test rows, and nothing else: keys and masks are never drawn from it.
        penalty: of large weights (`objectives.Objective`); by default 0.01 for ridge regression, else 0.
        solver: "descent", or "normal_equations": one exchange, after which the buyer knows the trainers' pooled X'X and X'y as well,
            with no proofs and no contributions (`pooled.py`).
        standardise: train on features in units of their own spread, from pooled moments (`standardisation.py`), which everybody then
            knows; the weights returned are for features as they are.
        test_share: share of every owner's rows held out, and measured once after the training.
        on_round: called with (round, mse) after every measurement.
        epsilon: every owner, validators included, adds noise to its statistics before anything else, so that the whole training is
            (epsilon, delta) differentially private for each row replaced by another within the declared ranges (`privacy.py`,
            docs/privacy.md); None adds none. Errors are then those of the noisy statistics.
        delta: goes with epsilon.
        sigmoid: what stands for the logistic function, "linear", or "cubic" for schemes that multiply ("ckks", "mpc", "plain"); its
            errors are mean squared differences between the labels 0 and 1 and the cubic, and it is semi-honest under any scheme.
        parties: with `scheme="mpc"`, where computing parties that run elsewhere are reached, "host:port" each, their token in
            `DELTAML_MPC_TOKEN`; by default three are started on this machine.
        privacy: "model" trains an encrypted model that no owner sees; "updates" trains a visible one of any kind and encrypts what each
            owner adds to it. That one has its own settings (`updates.train_updates`); `step`, `metrics`, `contributions`, `robust`,
            `penalty`, `solver`, `standardise` and `test_share` are not among them, nor `sigmoid`, `parties` and `epsilon`.

    Returns:
        A `TrainingResult`, or with `privacy="updates"` an `UpdatesResult`.

    Raises:
        DataError: shards that do not fit together, or values that are not finite numbers.
        TermsError: terms out of range, or nobody left to train or to validate.
        DivergentStepError: the step is too long for a trainer's data; it carries the largest stable step.
        ScaleBudgetError: the key is too small for the rounds asked.
        MissingExtraError: the scheme, or epsilon, needs a package that is not installed.
        ComputingPartyError: with `scheme="mpc"`, a party cannot be reached or ended.
        PrivacyError: an epsilon or delta that cannot be meant, or that a shard has too many rows for.

    Warns:
        NoiseMetricWarning: with `metrics="noise"`.
        VisibleModelWarning: with `privacy="updates"`.
        InsecureKeyWarning: for a Paillier key below 2048 bits.
        SemiHonestSchemeWarning: where nothing is proven.
        WeakPrivacyWarning: for an epsilon above 10.
    """
    if privacy == "updates":
        unused = (step, metrics, contributions, robust, penalty, solver, standardise, test_share, sigmoid, tuple(parties), epsilon)
        if unused != (1.5, "verifiable", "shapley", False, None, "descent", False, 0.0, "linear", (), None):
            raise TermsError(
                'privacy="updates" has no step, metrics, contributions, robust, penalty, solver, standardise, test_share, sigmoid, '
                "parties or epsilon: set learning rates in the model"
            )
        return train_updates(
            shards,
            model,
            validators=validators,
            rounds=rounds,
            local_steps=local_steps,
            evaluate_every=evaluate_every,
            scheme=scheme,
            key_bits=key_bits,
            seed=seed,
            on_round=on_round,
        )
    if privacy != "model" or not isinstance(model, str):
        raise TermsError(f'privacy={privacy!r} with model={model!r} is not known: an estimator or module is trained with privacy="updates"')
    wall, cpu = time.perf_counter(), time.process_time()
    datasets = _datasets(shards)
    judges = deal_validators(validators, len(datasets), seed)
    objective = Objective(model, (DEFAULT_PENALTY if model == "ridge" else 0.0) if penalty is None else penalty)
    if isinstance(parties, str):
        raise TermsError(f"parties is a list of addresses, one a party, not the text {parties!r}")
    way = Way(scheme, solver, sigmoid, tuple(parties))
    way.check(objective, metrics=metrics, robust=robust, tested=bool(test_share), private=epsilon is not None)
    if epsilon is not None and (metrics == "noise" or standardise or test_share or step is None):
        raise TermsError(
            'epsilon needs metrics="verifiable", a stated step, and neither standardise nor test_share: what these tell of the rows, noise '
            "on statistics does not hide"
        )
    key = schemes.generate(way.sums_scheme, key_bits) if standardise or test_share or not way.unproven else None
    ranges, moments, tests = declared_ranges(datasets), None, []
    if standardise:
        assert key is not None
        moments = secure_moments(datasets, key, ranges.features, owners=[f"shard {index}" for index in range(len(datasets))])
        datasets = [replace(dataset, X=moments.apply(dataset.X)) for dataset in datasets]
        ranges = declared_ranges(datasets)
    if test_share:
        datasets, tests = map(list, zip(*(hold_out(dataset, test_share, seed) for dataset in datasets), strict=True))
    objective = Objective() if way.cubic else objective  # a cubic's rows are trained on as they are
    terms = TrainingTerms(
        requirements=ranges,
        model=objective.model,
        rounds=rounds,
        step=_longest_step(datasets, judges, objective) if step is None else step,
        local_steps=local_steps,
        evaluate_every=evaluate_every,
        metrics=metrics,
        contributions=contributions,
        robust=robust,
        scheme=way.market_scheme,
        key_bits=key_bits,
        penalty=objective.penalty,
    )
    noisy = {} if epsilon is None else _noisy(datasets, judges, terms, Guarantee(epsilon, delta))
    learned = way.learn(terms, key, Owners(datasets, judges, noisy), on_round)
    weights = objective.read(learned.trained)
    coef, intercept = (weights[:-1], weights[-1]) if moments is None else moments.apply_weights(weights[:-1], weights[-1])
    measured = [objective.prepare(Statistics.of(dataset)) for dataset in tests]
    return TrainingResult(
        coef_=np.asarray(coef),
        intercept_=float(intercept),
        mse_initial=learned.history[0][1],
        mse_final=learned.history[-1][1],
        mse_history=learned.history,
        contributions=learned.contributions,
        contribution_errors=learned.contribution_errors,
        roles={index: "validator" if index in judges else "trainer" for index in range(len(datasets))},
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.perf_counter() - wall,
        transcript=learned.transcript,
        mse_test=pooled.mean_squared_error(key, learned.trained, measured, target_range=terms.target_range) if key and tests else None,
    )


def _longest_step(datasets: Sequence[Dataset], judges: Collection[int], objective: Objective) -> float:
    trainers = [Statistics.of(dataset) for index, dataset in enumerate(datasets) if index not in judges]
    return min(objective.largest_stable_step(statistics) for statistics in trainers) / 2


def _noisy(datasets: Sequence[Dataset], judges: Collection[int], terms: TrainingTerms, guarantee: Guarantee) -> dict[int, Statistics]:
    """What takes the place of every owner's statistics."""
    guarantee.warn()
    found, asked = {}, terms.requirements
    for index, dataset in enumerate(datasets):
        scanned = Statistics.of(dataset)
        terms.objective.check(scanned)
        release = Release.of(scanned, asked, guarantee)
        found[index] = release.for_measuring(asked) if index in judges else release.for_training(asked, terms.step, terms.objective)
    return found


def declared_ranges(datasets: Sequence[Dataset]) -> Requirements:
    """Requirements that these data sets meet exactly: their common columns, and the ranges of all rows together."""
    X = np.vstack([dataset.X for dataset in datasets])
    y = np.concatenate([dataset.y for dataset in datasets])
    features = tuple(
        Column(name, float(low), float(high)) for name, low, high in zip(datasets[0].features, X.min(axis=0), X.max(axis=0), strict=True)
    )
    return Requirements(features, Column(datasets[0].target, float(y.min()), float(y.max())))


def _datasets(shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]]) -> list[Dataset]:
    if not isinstance(shards, Sequence):
        raise DataError(f"shards must be a list of pairs (X, y), one an owner, not {type(shards).__name__}")
    datasets = []
    for index, shard in enumerate(shards):
        try:
            X, y = shard
        except (TypeError, ValueError) as error:
            raise DataError(f"shard {index} is not a pair (X, y)") from error
        try:
            datasets.append(Dataset.of(X, y))
        except DataError as error:
            raise DataError(f"shard {index}: {error}") from error
    if len(datasets) < 2:
        raise TermsError(f"{len(datasets)} owner(s) cannot train and validate: at least 2 shards are needed")
    for index, dataset in enumerate(datasets):
        if len(dataset.features) != len(datasets[0].features):
            raise DataError(f"shard {index} has {len(dataset.features)} features, but shard 0 has {len(datasets[0].features)}")
    return datasets
