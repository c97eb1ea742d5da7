"""Parts the tests build with: data, keys, a plaintext oracle, and a stage on which real roles exchange messages one at a time.

The oracle works on rows with plain numpy and shares no code with the library.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.datasets import load_diabetes

from deltaml_core import schemes
from deltaml_core.aggregator import Aggregator
from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.errors import CiphertextError, MessageError
from deltaml_core.messages import Message
from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.randomness import SYSTEM, Randomness
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Dataset
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.training import declared_ranges
from deltaml_core.transcript import Header, Transcript

Array = npt.NDArray[np.float64]
Shard = tuple[Array, Array]
M = TypeVar("M", bound=Message)


@cache
def key_pair(scheme: str, bits: int) -> PrivateKey:
    """One key of each kind for the whole run: making one takes longer than most tests."""
    return schemes.generate(scheme, bits)


def paper_shards() -> list[Shard]:
    """Rows 0-49, 50-99, ... 200-249 of the diabetes data."""
    X, y = load_diabetes(return_X_y=True)
    return [(X[start : start + 50], y[start : start + 50]) for start in range(0, 250, 50)]


def random_shards(
    seed: int, rows: Sequence[int], features: int, *, scale: float = 1.0, offset: float = 0.0, spread: float = 1.0, noise: float = 0.1
) -> list[Shard]:
    """Shards of a noisy linear relation; every feature lies within [-scale, scale], the target about `offset`."""
    rng = np.random.default_rng(seed)
    slope = rng.uniform(-1, 1, features) * spread / scale
    shards = []
    for count in rows:
        X = rng.uniform(-scale, scale, (count, features))
        shards.append((X, offset + X @ slope + noise * spread * rng.normal(size=count)))
    return shards


# --- the oracle: gradient descent on rows ------------------------------------------------------------------------


def with_ones(X: Array) -> Array:
    return np.column_stack([X, np.ones(len(X))])


def descend(shard: Shard, weights: Array, step: float, steps: int) -> Array:
    """`steps` gradient steps of least squares on one shard's rows."""
    X, y = with_ones(shard[0]), shard[1]
    for _ in range(steps):
        weights = weights - step * X.T @ (X @ weights - y) / len(y)
    return weights


def pooled_mse(shards: Sequence[Shard], weights: Array) -> float:
    residuals = np.concatenate([y - with_ones(X) @ weights for X, y in shards])
    return float(np.mean(residuals**2))


def oracle(
    shards: Sequence[Shard], validators: Sequence[int], rounds: int, step: float, local_steps: int = 1, evaluate_every: int = 2
) -> tuple[Array, list[tuple[int, float]]]:
    """The weights and the (round, mse) history of a whole training."""
    judges = [shards[j] for j in validators]
    trainers = [shard for index, shard in enumerate(shards) if index not in validators]
    weights = np.zeros(shards[0][0].shape[1] + 1)
    history = [(0, pooled_mse(judges, weights))]
    for number in range(1, rounds + 1):
        weights = np.mean([descend(shard, weights, step, local_steps) for shard in trainers], axis=0)
        if number % evaluate_every == 0 or number == rounds:
            history.append((number, pooled_mse(judges, weights)))
    return weights, history


def stable_step(shards: Sequence[Shard]) -> float:
    """The longest step no shard diverges with."""
    return min(2 / float(np.linalg.norm(with_ones(X), 2)) ** 2 * len(X) for X, _ in shards)


# --- the stage ---------------------------------------------------------------------------------------------------


def terms_for(shards: Sequence[Shard], **changes: Any) -> TrainingTerms:
    """Terms these shards meet exactly, small enough for quick tests."""
    terms = {"rounds": 4, "step": 0.5, "evaluate_every": 2, "scheme": "plain", "key_bits": 512, "metrics": "noise"}
    ranges = declared_ranges([Dataset.of(X, y) for X, y in shards])
    return TrainingTerms(requirements=ranges, contributions="leave_one_out", **{**terms, **changes})


def seat(terms: TrainingTerms, name: str, request: str = "request-1", randomness: Randomness = SYSTEM) -> Party:
    """A party with its own public key object, as every participant has."""
    key = key_pair(terms.scheme, terms.key_bits)
    public = schemes.public_key(terms.scheme, key.public.modulus, randomness)
    return Party(request, name, terms, public, "buyer", "aggregator", randomness)


@dataclass(frozen=True)
class Outcome:
    """What a finished run left, exactly."""

    history: tuple[Any, ...]
    gains: dict[str, int]
    model: tuple[float, ...]


class Stage:
    """Real roles at a table: three trainers, two validators, an aggregator and a buyer; messages wait until a test lets them go.

    Attributes:
        roles: by name.
        delivered: every message so far.
    """

    def __init__(self, shards: Sequence[Shard] | None = None, **terms: Any) -> None:
        self.shards = list(shards or random_shards(7, (9, 6, 12, 5, 4), 2))
        self.terms = terms_for(self.shards, **terms)
        names = [f"owner-{index + 1}" for index in range(len(self.shards))]
        self.validators, self.trainers = names[1:3], [names[0], *names[3:]]
        data = {name: Dataset.of(X, y) for name, (X, y) in zip(names, self.shards, strict=True)}
        key = key_pair(self.terms.scheme, self.terms.key_bits)
        self.buyer = ModelBuyer(self.seat("buyer"), key, initial_weights(self.terms, key), self.validators)
        self.aggregator = Aggregator(self.seat("aggregator"), self.trainers, self.validators, self.record())
        owners: dict[str, Trainer | Validator] = {name: Trainer(self.seat(name), data[name], self.validators) for name in self.trainers}
        owners |= {
            name: Validator(self.seat(name), data[name], validators=self.validators, trainers=self.trainers) for name in self.validators
        }
        self.roles: dict[str, Any] = {**owners, "buyer": self.buyer, "aggregator": self.aggregator}
        self.waiting: deque[Message] = deque(owner.ready() for owner in owners.values())
        self.waiting.append(self.buyer.start())
        self.delivered: list[Message] = []
        self._delivers = False

    def seat(self, name: str) -> Party:
        """A seat at this run."""
        return seat(self.terms, name)

    def record(self) -> Transcript:
        """An empty transcript of this run."""
        document = RequestDocument(self.terms, key_pair(self.terms.scheme, self.terms.key_bits).public.modulus, ())
        return Transcript(Header("request-1", document, "buyer", "aggregator", tuple(self.trainers), tuple(self.validators)))

    def until(self, kind: type[M], skip: int = 0) -> M:
        """Deliver until the next waiting message is the first (after `skip` others) of this kind, and return it, not yet delivered."""
        while True:
            message = self.waiting[0]
            if isinstance(message, kind):
                if skip == 0:
                    return message
                skip -= 1
            self.step()

    def step(self) -> Message:
        """Deliver the next message; after the last, the final model."""
        message = self.waiting.popleft()
        self.waiting.extend(self.roles[message.recipient].handle(message))
        self.delivered.append(message)
        if not self.waiting and not self._delivers:
            self._delivers = True
            self.buyer.settled(self.aggregator.weights_hash)
            self.waiting.append(self.aggregator.deliver())
        return message

    def finish(self) -> Outcome:
        """Let everything flow to the end."""
        while self.waiting:
            self.step()
        assert self.aggregator.done
        assert self.buyer.model is not None
        return Outcome(tuple(self.aggregator.history), dict(self.aggregator.gains), tuple(self.buyer.model.tolist()))

    def sent(self, kind: type[M]) -> list[M]:
        """The delivered messages of a kind."""
        return [message for message in self.delivered if isinstance(message, kind)]


@cache
def undisturbed(**terms: Any) -> Outcome:
    """What a run on the default shards gives when nobody misbehaves; plain numbers are the same in every run."""
    return Stage(**terms).finish()


# --- refusals ----------------------------------------------------------------------------------------------------

RUN: dict[str, Any] = {"rounds": 6, "key_bits": 400}
"""A run with every kind of message in it, a refresh too."""


def changed(message: M, **changes: Any) -> M:
    """The message with other contents; a callable is applied to what is there."""
    return replace(message, **{name: new(getattr(message, name)) if callable(new) else new for name, new in changes.items()})


def check_refused(role: Any, message: Message, why: str) -> None:
    """The role refuses the message: a MessageError that names the sender, and nothing else."""
    with pytest.raises(MessageError, match=why) as refusal:
        role.handle(message)
    assert refusal.value.sender == message.sender


def check_refused_without_trace(kind: type[Message], why: str, changes: dict[str, Any], skip: int = 0) -> None:
    """A wrong message of this kind is refused, and the honest one is then taken: the run ends as if nothing had been."""
    stage = Stage(**RUN)
    honest = stage.until(kind, skip)
    check_refused(stage.roles[honest.recipient], changed(honest, **changes), why)
    assert stage.finish() == undisturbed(**RUN)


def check_refused_when_repeated(kind: type[Message], skip: int = 0, **changes: Any) -> None:
    """The same message once more, or another in its place, is refused after the honest one."""
    stage = Stage(**RUN)
    honest = stage.until(kind, skip)
    stage.step()
    check_refused(stage.roles[honest.recipient], changed(honest, **changes), "is not expected")
    assert stage.finish() == undisturbed(**RUN)


def check_refused_when_malformed(kind: type[Message], field: str) -> None:
    """Ciphertexts that are none, or of the wrong count, are refused under a real key, and the honest ones are then taken."""
    stage = Stage(**RUN, scheme="paillier")
    honest = stage.until(kind)
    n = key_pair("paillier", RUN["key_bits"]).public.modulus
    good = getattr(honest, field)
    spoilt = [(bad, *good[1:]) for bad in (0, -1, n, 7 * n, n * n, n * n + 1, 1 << 10_000)]
    spoilt += [(), good[:-1], (*good, good[0])]
    for values in spoilt:
        with pytest.raises(CiphertextError) as refusal:
            stage.roles[honest.recipient].handle(changed(honest, **{field: values}))
        assert refusal.value.sender == honest.sender
    assert stage.finish() == undisturbed(**RUN)
