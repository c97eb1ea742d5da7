"""One whole training with a visible model in one process: the roles, talking through a local transport."""

from __future__ import annotations

import copy
import secrets
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltaml_core import schemes
from deltaml_core.dealing import deal_validators, warn_of_few
from deltaml_core.errors import DataError, LocalTrainingError, TermsError, VisibleModelWarning
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.signatures import LocalSigner
from deltaml_core.transport.local import LocalTransport
from deltaml_core.updates.aggregator import UpdateAggregator
from deltaml_core.updates.buyer import UpdateBuyer
from deltaml_core.updates.local_model import LocalModel, Rows, flat, with_parameters
from deltaml_core.updates.owner import UpdateTrainer, UpdateValidator
from deltaml_core.updates.partial_fit import PartialFitModel
from deltaml_core.updates.terms import UpdateSeat, UpdateTerms

OnRound = Callable[[int, float], None]


@dataclass(frozen=True)
class UpdatesResult:
    """What a training with a visible model leaves.

    Attributes:
        model: the fitted global model: the scikit-learn estimator, the torch module, or what else `LocalModel.unwrap` gives.
        metric: what was measured: "accuracy", "mean_squared_error", "loss".
        history: (round, metric pooled over the validators' rows), round 0 first.
        answered: for each round the shards whose updates are in it.
        clipped: for each trainer's shard the rounds in which its update was shortened; many of them ask for a larger `clip_norm`.
        roles: "trainer" or "validator" by the shard's index.
        bytes_per_round: for each round, bytes by kind of message, signatures included; the last entry is the final measurement's.
        parameters: numbers in the model.
        ciphertexts: that an update takes.
        cpu_seconds: of all roles together, keys included, in this process.
        wall_seconds: from call to return.
    """

    model: Any
    metric: str
    history: list[tuple[int, float]]
    answered: list[tuple[int, ...]]
    clipped: dict[int, int]
    roles: dict[int, str]
    bytes_per_round: list[dict[str, int]]
    parameters: int
    ciphertexts: int
    cpu_seconds: float
    wall_seconds: float


class UpdateSession:
    """The roles of one training with a visible model, seated in one process.

    Attributes:
        buyer, aggregator: their roles.
        trainers, validators: theirs, by name.
        transport: what carries their messages.
        bytes_per_round: see `UpdatesResult`.
    """

    def __init__(
        self,
        terms: UpdateTerms,
        model: LocalModel,
        data: Mapping[str, tuple[Rows, Rows]],
        key: PrivateKey,
        *,
        buyer: LocalSigner,
        aggregator: LocalSigner,
        owners: Sequence[LocalSigner],
    ) -> None:
        """Seat everybody; each checks terms and key.

        Args:
            terms: what was agreed.
            model: with the parameters to start from.
            data: each owner's rows, by address.
            key: the buyer's.
            buyer: its key for messages.
            aggregator: likewise.
            owners: likewise, at least those that the terms name.

        Raises:
            PublicKeyError, ScaleBudgetError, DataError: as the roles find.
        """
        request, proof = f"local-{secrets.token_hex(8)}", key.prove_modulus()

        def seat(name: str) -> UpdateSeat:
            return UpdateSeat.take(request, name, terms, key.public.modulus, proof, buyer=buyer.address, aggregator=aggregator.address)

        self.buyer = UpdateBuyer(seat(buyer.address), key, flat(model))
        self.aggregator = UpdateAggregator(seat(aggregator.address))
        self.trainers = {name: UpdateTrainer(seat(name), model, *data[name]) for name in terms.trainers}
        self.validators = {name: UpdateValidator(seat(name), model, *data[name]) for name in terms.validators}
        self.transport = LocalTransport()
        self.transport.join(buyer, self.buyer)
        self.transport.join(aggregator, self.aggregator)
        signers = {signer.address: signer for signer in owners}
        for name, trainer in self.trainers.items():
            self.transport.join(signers[name], trainer)
        for name, validator in self.validators.items():
            self.transport.join(signers[name], validator)
        self.bytes_per_round: list[dict[str, int]] = []

    def run(self, on_round: OnRound | None = None) -> None:
        """Let the messages flow until the final model was measured. A round nobody answers any more goes on with who did.

        Raises:
            MessageError: a role refused a message; it names the sender.
            LocalTrainingError: an owner's training diverges.
            TooFewOwnersError: fewer than two trainers answered in a round.
        """
        reported = 0
        counted: Counter[str] = Counter()
        self.transport.send(self.buyer.start())
        while not self.buyer.done:
            waited = self.aggregator.round
            if not self.transport.deliver():
                self.transport.send(self.aggregator.close_round())
            if self.aggregator.round > waited:
                self.bytes_per_round.append(dict(self.transport.bytes - counted))
                counted = self.transport.bytes.copy()
            for number, metric in self.buyer.history[reported:]:
                reported += 1
                if on_round:
                    on_round(number, metric)


def train_updates(
    shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    model: object,
    *,
    validators: Sequence[int] | None = None,
    rounds: int = 100,
    local_steps: int = 1,
    evaluate_every: int = 2,
    clip_norm: float = 10.0,
    fractional_bits: int = 24,
    weighting: str = "rows",
    scheme: str = "paillier",
    key_bits: int = 2048,
    seed: int | None = None,
    on_round: OnRound | None = None,
) -> UpdatesResult:
    """Federated averaging of a visible model, with encrypted updates.

    Args:
        shards: each owner's `(X, y)`: X of shape (m, features), for a `LocalModel` of your own of any shape (m, ...); y of shape (m,).
        model: a scikit-learn estimator with `partial_fit` whose parameters are `coef_`/`intercept_` or `coefs_`/`intercepts_`; a
            `TorchModel`; or another `LocalModel`. It stays as it is. Give it an integer `random_state` for runs that repeat.
        validators: indices of the shards that measure instead of training; by default 30 %, at least one, drawn at random. At least two
            have to be left to train.
        rounds: rounds of training.
        local_steps: passes over its rows that a trainer makes in a round.
        evaluate_every: rounds between measurements; the first and last are always measured.
        clip_norm: updates longer than this (Euclidean norm over all parameters) are shortened to it.
        fractional_bits: of an update's entries.
        weighting: "rows" or "equal".
        scheme: "paillier", or "plain" for the same integers without encryption.
        key_bits: length of the Paillier modulus.
        seed: fixes the draw of validators, and nothing else.
        on_round: called with (round, metric) after every measurement.

    Returns:
        An `UpdatesResult`.

    Raises:
        DataError: shards that do not fit together, or values that are not finite.
        TermsError: terms out of range, a model that cannot be trained this way, or too few owners.
        LocalTrainingError: training diverges at an owner.

    Warns:
        VisibleModelWarning: always.
        FewOwnersWarning: with two trainers.
        InsecureKeyWarning: for a Paillier key below 2048 bits.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    rows = _rows(shards)
    judges = deal_validators(validators, len(rows), seed)
    start = _local_model(model, rows)
    buyer, aggregator, *owners = (LocalSigner() for _ in range(2 + len(rows)))
    index_of = {owner.address: index for index, owner in enumerate(owners)}
    terms = UpdateTerms(
        trainers={name: len(rows[index][0]) for name, index in index_of.items() if index not in judges},
        validators={name: len(rows[index][0]) for name, index in index_of.items() if index in judges},
        parameters=len(flat(start)),
        rounds=rounds,
        local_steps=local_steps,
        evaluate_every=evaluate_every,
        clip_norm=clip_norm,
        fractional_bits=fractional_bits,
        weighting=weighting,
        scheme=scheme,
        key_bits=key_bits,
    )
    _warn_of(terms)
    data = {name: rows[index] for name, index in index_of.items()}
    key = schemes.generate(scheme, key_bits)
    session = UpdateSession(terms, start, data, key, buyer=buyer, aggregator=aggregator, owners=owners)
    try:
        session.run(on_round)
    except LocalTrainingError as error:
        raise LocalTrainingError(f"shard {index_of[error.owner]}", error.reason) from error
    return UpdatesResult(
        model=with_parameters(start, session.buyer.parameters).unwrap(),
        metric=start.metric,
        history=session.buyer.history,
        answered=[tuple(sorted(index_of[name] for name in names)) for names in session.buyer.answered],
        clipped={index_of[name]: trainer.clipped for name, trainer in session.trainers.items()},
        roles={index: "validator" if index in judges else "trainer" for index in range(len(rows))},
        bytes_per_round=session.bytes_per_round,
        parameters=terms.parameters,
        ciphertexts=terms.packing.ciphertexts,
        cpu_seconds=time.process_time() - cpu,
        wall_seconds=time.perf_counter() - wall,
    )


def _rows(shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]]) -> list[tuple[Rows, Rows]]:
    if not isinstance(shards, Sequence):
        raise DataError(f"shards must be a list of pairs (X, y), one an owner, not {type(shards).__name__}")
    found: list[tuple[Rows, Rows]] = []
    for index, shard in enumerate(shards):
        try:
            given_X, given_y = shard
            X, y = np.asarray(given_X, dtype=np.float64), np.asarray(given_y)
        except (TypeError, ValueError) as error:
            raise DataError(f"shard {index} is not a pair (X, y) with numbers in X: {error}") from error
        if X.ndim < 2 or X.size == 0 or len(X) != len(y):
            raise DataError(f"shard {index} has X of shape {X.shape} and {len(y)} targets: it takes a row of numbers for every target")
        if found and X.shape[1:] != found[0][0].shape[1:]:
            raise DataError(f"shard {index} has rows of shape {X.shape[1:]}, but shard 0 of {found[0][0].shape[1:]}")
        for name, values in (("X", X), ("y", y)):
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                count = int((~np.isfinite(values)).sum())
                raise DataError(f"shard {index}: {count} values of {name} are missing or infinite: drop or fill them first")
        found.append((X, y))
    return found


def _local_model(model: object, rows: Sequence[tuple[Rows, Rows]]) -> LocalModel:
    if isinstance(model, LocalModel):
        return copy.deepcopy(model)
    if isinstance(model, type) or not hasattr(model, "get_params"):
        raise TermsError(
            f'privacy="updates" trains a scikit-learn estimator with partial_fit, a TorchModel(module, loss=..., optimiser=...), or '
            f"another LocalModel, not {model!r}"
        )
    return PartialFitModel.of(model, rows)


def _warn_of(terms: UpdateTerms) -> None:
    warnings.warn(" ".join(str(VisibleModelWarning.__doc__).split()), VisibleModelWarning, stacklevel=3)
    warn_of_few(len(terms.trainers), "trainers", stacklevel=4)
    schemes.warn_of_short_key(terms.scheme, terms.key_bits, stacklevel=4)
