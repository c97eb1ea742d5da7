"""One whole training in one process: every role with its own objects, talking through a local transport.

`train` is the library's front door. `Session` is what it and the in-process market run: it seats the roles and lets the
messages flow.
"""

from __future__ import annotations

import random
import secrets
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import numpy.typing as npt

from deltaml_core import contributions as contribution_rules
from deltaml_core import schemes
from deltaml_core.aggregator import Aggregator
from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.errors import DataError, DivergentStepError, InsecureKeyWarning, MessageError, NoiseMetricWarning, TermsError
from deltaml_core.measurement import Metric
from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.signatures import LocalSigner, Signer
from deltaml_core.statistics import Array, Column, Dataset, Requirements
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.transcript import Header, Transcript
from deltaml_core.transport.local import LocalTransport

VALIDATORS_SHARE = 0.3
SECURE_KEY_BITS = 2048

OnRound = Callable[[int, float], None]


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
        transcript: every message of the run, signed; `deltaml audit` replays it.
        contribution_errors: the standard error of each share: 0, unless more than 15 trainers made sampling necessary.
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
    transcript: Transcript
    contribution_errors: dict[int, float]


def train(
    shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    validators: Sequence[int] | None = None,
    model: str = "linear",
    rounds: int = 100,
    step: float = 1.5,
    local_steps: int = 1,
    key_bits: int = 2048,
    scheme: str = "paillier",
    metrics: str = "verifiable",
    evaluate_every: int = 2,
    contributions: str = "shapley",
    robust: bool = False,
    seed: int | None = None,
    on_round: OnRound | None = None,
) -> TrainingResult:
    """Train a model over several owners' data that none of them shows.

    Args:
        shards: each owner's `(X, y)`: X of shape (m, d - 1) without an intercept column, y of shape (m,). The declared ranges,
            which on a market the request states, are taken from all shards together.
        validators: indices of the owners that measure instead of training; by default 30 %, at least one, drawn at random.
        model: kind of model, "linear".
        rounds: rounds of training.
        step: length of a gradient step.
        local_steps: gradient steps an owner takes in a round; costs nothing extra.
        key_bits: length of the Paillier modulus.
        scheme: "paillier", or "plain" for the same integers without encryption.
        metrics: how errors are measured, "noise".
        evaluate_every: rounds between measurements; the first and last are always measured.
        contributions: how shares are found, "leave_one_out".
        robust: leave out a trainer whose update raises the error of every coalition it joins by more than a third; costs a Gram
            matrix a round, and needs `metrics="verifiable"`.
        seed: fixes the draw of validators, and nothing else: keys and masks are never drawn from it.
        on_round: called with (round, mse) after every measurement.

    Returns:
        A `TrainingResult`.

    Raises:
        DataError: shards that do not fit together, or values that are not finite numbers.
        TermsError: terms out of range, or nobody left to train or to validate.
        DivergentStepError: the step is too long for a trainer's data; it carries the largest stable step.
        ScaleBudgetError: the key is too small for the rounds asked.

    Warns:
        NoiseMetricWarning: with `metrics="noise"`.
        InsecureKeyWarning: for a Paillier key below 2048 bits.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    datasets = _datasets(shards)
    judges = _validators(validators, len(datasets), seed)
    terms = TrainingTerms(
        requirements=declared_ranges(datasets),
        model=model,
        rounds=rounds,
        step=step,
        local_steps=local_steps,
        evaluate_every=evaluate_every,
        metrics=metrics,
        contributions=contributions,
        robust=robust,
        scheme=scheme,
        key_bits=key_bits,
    )
    buyer, aggregator, *owners = (LocalSigner() for _ in range(2 + len(datasets)))
    names = {owner.address: index for index, owner in enumerate(owners)}
    session = Session(
        f"local-{secrets.token_hex(8)}",
        terms,
        schemes.generate(scheme, key_bits),
        {name: datasets[index] for name, index in names.items()},
        validators=[name for name, index in names.items() if index in judges],
        buyer=buyer,
        aggregator=aggregator,
        signers=owners,
        labels={name: f"shard {index}" for name, index in names.items()},
    )
    session.run(on_round)
    session.deliver_model()
    weights = session.buyer.model
    assert weights is not None  # deliver_model raises otherwise
    history = [(number, metric.mse) for number, metric in session.aggregator.history]
    gained = session.aggregator.gains
    all_gained = sum(gain for gain in gained.values() if gain > 0) or 1
    return TrainingResult(
        coef_=weights[:-1],
        intercept_=float(weights[-1]),
        mse_initial=history[0][1],
        mse_final=history[-1][1],
        mse_history=history,
        contributions={
            names[trainer]: share for trainer, share in zip(gained, contribution_rules.shares(list(gained.values())), strict=True)
        },
        contribution_errors={names[trainer]: error / all_gained for trainer, error in session.aggregator.gain_errors.items()},
        roles={index: "validator" if index in judges else "trainer" for index in range(len(datasets))},
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.perf_counter() - wall,
        transcript=session.aggregator.transcript,
    )


class Session:
    """The roles of one training, seated in one process.

    Attributes:
        buyer: the Model Buyer's role; its `model` is set by `deliver_model`.
        aggregator: the Federated Aggregator's role, with history, gains and transcript.
        validators: their roles, by address.
        transport: what carries their messages, with counts and bytes.
        modulus: of the buyer's key.
    """

    def __init__(
        self,
        request: str,
        terms: TrainingTerms,
        key: PrivateKey,
        owners: Mapping[str, Dataset],
        *,
        validators: Sequence[str],
        buyer: Signer,
        aggregator: Signer,
        signers: Iterable[Signer],
        initial_hash: bytes | None = None,
        marketplace: tuple[int, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Seat everybody; each checks the terms against what it knows before the first message.

        Args:
            request: identifies the request.
            terms: what was agreed.
            key: the buyer's.
            owners: each owner's data, by address.
            validators: which of them measure; the others train, in the order of `owners`.
            buyer: the buyer's key for messages.
            aggregator: the aggregator's.
            signers: at least the owners'.
            initial_hash: what the request states of the initial weights.
            marketplace: the chain's id and the contract's address, for the transcript; None where no contract stands behind the run.
            labels: what errors found before the run call an owner; by default its address.

        Raises:
            DivergentStepError: for the trainers' data together.
            RequirementsError, ScaleBudgetError: as the roles find.
        """
        warn_of(terms)
        document = RequestDocument(terms, key.public.modulus, key.prove_modulus())

        def seat(name: str) -> Party:
            return Party.take(request, name, document, buyer.address, aggregator.address)

        self.modulus = key.public.modulus
        by_address = {signer.address: signer for signer in (buyer, aggregator, *signers)}
        self.buyer = ModelBuyer(seat(buyer.address), key, initial_weights(terms, key), validators)
        trainers = _seat_trainers(
            {name: (seat(name), data) for name, data in owners.items() if name not in validators}, validators, labels or {}
        )
        self.validators = {name: Validator(seat(name), owners[name], validators=validators, trainers=list(trainers)) for name in validators}
        chain_id, contract = marketplace or (None, None)
        header = Header(request, document, buyer.address, aggregator.address, tuple(trainers), tuple(validators), chain_id, contract)
        transcript = Transcript(header)
        self.aggregator = Aggregator(seat(aggregator.address), list(trainers), validators, transcript, initial_hash)
        self.transport = LocalTransport(transcript)
        self.transport.join(buyer, self.buyer)
        self.transport.join(aggregator, self.aggregator)
        owners_at_work: dict[str, Trainer | Validator] = {**trainers, **self.validators}
        for name, owner in owners_at_work.items():
            self.transport.join(by_address[name], owner)
            self.transport.send([owner.ready()])
        self.transport.send([self.buyer.start()])

    def run(self, on_round: OnRound | None = None, on_metric: Callable[[int, Metric], None] | None = None) -> None:
        """Let the messages flow until the validators stand for a result.

        Args:
            on_round: called with (round, mse) after every measurement of the federated model.
            on_metric: the same with the exact metric.

        Raises:
            MessageError: a role refused a message; it names the sender.
        """
        reported = 0
        while self.transport.deliver():
            for number, metric in self.aggregator.history[reported:]:
                reported += 1
                if on_round:
                    on_round(number, metric.mse)
                if on_metric:
                    on_metric(number, metric)
        if not self.aggregator.done:
            raise MessageError("the run stopped before the validators approved a result")

    def deliver_model(self, weights_hash: bytes | None = None) -> None:
        """Hand the final model to the buyer, as after settlement.

        Args:
            weights_hash: what the contract settled on; where there is none, what the validators stand for.

        Raises:
            MessageError: the aggregator serves another model.
        """
        self.buyer.settled(weights_hash or self.aggregator.weights_hash)
        self.transport.send([self.aggregator.deliver()])
        while self.transport.deliver():
            pass


def warn_of(terms: TrainingTerms) -> None:
    """Warn of terms under which somebody learns more than by default.

    Warns:
        NoiseMetricWarning: with `metrics="noise"`.
        InsecureKeyWarning: for a Paillier key below 2048 bits.
    """
    if terms.metrics == "noise":
        warnings.warn(" ".join(str(NoiseMetricWarning.__doc__).split()), NoiseMetricWarning, stacklevel=4)
    if terms.scheme == "paillier" and terms.key_bits < SECURE_KEY_BITS:
        warnings.warn(f"a {terms.key_bits}-bit key can be broken: use {SECURE_KEY_BITS} bits", InsecureKeyWarning, stacklevel=4)


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


def _validators(chosen: Sequence[int] | None, owners: int, seed: int | None) -> set[int]:
    if chosen is None:
        count = max(1, int(VALIDATORS_SHARE * owners))
        draw = random.SystemRandom() if seed is None else random.Random(seed)
        return set(draw.sample(range(owners), count))
    if not all(isinstance(index, Integral) for index in chosen):
        raise TermsError(f"validators are named by the index of their shard, a whole number, not {list(chosen)}")
    judges = {int(index) for index in chosen}
    if unknown := [index for index in chosen if not 0 <= index < owners]:
        raise TermsError(f"validators {unknown} are not among the shards 0 to {owners - 1}")
    if not judges:
        raise TermsError("no validator is left: name at least one shard, or pass validators=None to draw them")
    if len(judges) == owners:
        raise TermsError(f"all {owners} owners would validate and nobody train: leave at least one to train")
    return judges


def _seat_trainers(seats: Mapping[str, tuple[Party, Dataset]], validators: Sequence[str], labels: Mapping[str, str]) -> dict[str, Trainer]:
    trainers, diverging = {}, {}
    for name, (party, dataset) in seats.items():
        try:
            trainers[name] = Trainer(party, dataset, validators)
        except DivergentStepError as error:
            diverging[labels.get(name, name)] = error.largest_stable_step
    if diverging:
        step, stable = next(iter(seats.values()))[0].terms.step, min(diverging.values())
        raise DivergentStepError(
            f"a step of {step:g} diverges on the data of {', '.join(diverging)}; the largest step stable for all trainers is {stable:.6g}",
            stable,
        )
    return trainers
