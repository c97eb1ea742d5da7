"""The Model Buyer of a training with a visible model: it publishes the model, opens sums of updates and applies their mean.

Who learns what: every round's model, the weighted mean of the updates that made the next one, and the validators' pooled metric.
No single update, unless it works together with all other trainers of a round, or with the aggregator.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from deltaml_core.errors import MessageError, TermsError
from deltaml_core.fixedpoint import decode
from deltaml_core.messages import GlobalModel, Message, RoundSums
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Array
from deltaml_core.updates.local_model import to_bits
from deltaml_core.updates.terms import METRIC_BITS, MINIMUM_TRAINERS, UpdateSeat


class UpdateBuyer:
    """The role that owns the key.

    Attributes:
        parameters: of the global model, (parameters,).
        round: how many rounds made it.
        history: (round, metric) as measured, round 0 first; a round that no validator answered for is missing.
        answered: who trained, a tuple of names for each round.
        done: whether the last model was measured.
    """

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, seat: UpdateSeat, key: PrivateKey, initial: Array) -> None:
        """Take the buyer's seat.

        Args:
            seat: the seat.
            key: it never leaves this object.
            initial: the parameters training starts from, (parameters,).

        Raises:
            TermsError: the key or the model is of another length than the terms state.
        """
        if key.public.bits != seat.terms.key_bits:
            raise TermsError(f"the terms state a key of {seat.terms.key_bits} bits, but it has {key.public.bits}")
        if initial.shape != (seat.terms.parameters,):
            raise TermsError(f"the terms state a model of {seat.terms.parameters} parameters, not {initial.size}")
        self._seat = seat
        self._key = key.drawing_from(seat.randomness)
        self.parameters = initial
        self.round = 0
        self.history: list[tuple[int, float]] = []
        self.answered: list[tuple[str, ...]] = []
        self.done = False

    def start(self) -> list[Message]:
        """Publish the initial model."""
        return self._publish()

    def handle(self, message: Message) -> list[Message]:
        """Open a round's sums, apply the mean update, and publish the next model.

        Raises:
            MessageError: it is not due, sums over unknown or too few owners, or its numbers are no sums of what the terms allow.
        """
        self._seat.admit(message, {self._seat.aggregator})
        if not isinstance(message, RoundSums):
            raise self._seat.unexpected(message)
        if message.round != self.round or self.done:
            raise self._seat.unexpected(message, "all rounds were opened" if self.done else f"it waits for round {self.round}")
        mean = self._mean_update(message)
        metric = self._metric(message)
        if metric is not None:
            self.history.append((self.round, metric))
        if mean is None:
            self.done = True
            return []
        self.parameters = self.parameters + mean
        self.answered.append(message.trainers)
        self.round += 1
        return self._publish()

    def _publish(self) -> list[Message]:
        """To everybody who has to answer: the final model goes to validators only."""
        terms = self._seat.terms
        names = [*(terms.trainers if self.round < terms.rounds else ()), *(terms.validators if terms.measured(self.round) else ())]
        bits = to_bits(self.parameters)
        return [self._seat.say(GlobalModel, name, self.round, parameters=bits) for name in names]

    def _mean_update(self, sums: RoundSums) -> Array | None:
        """None for the final model, which nobody trains."""
        terms = self._seat.terms
        if self.round == terms.rounds:
            _check_names(sums, sums.trainers, (), "trainers")
            self._seat.key.check(sums.updates, 0, sums.sender)
            return None
        _check_names(sums, sums.trainers, terms.trainers, "trainers")
        if len(sums.trainers) < MINIMUM_TRAINERS:
            raise MessageError(f"a sum over {len(sums.trainers)} trainer(s) stays closed: it would show a single update", sums.sender)
        packed = self._seat.key.check(sums.updates, terms.packing.ciphertexts, sums.sender)
        weight = sum(terms.weights[name] for name in sums.trainers)
        return terms.packing.mean(self._key.decrypt(packed), weight, sums.sender)

    def _metric(self, sums: RoundSums) -> float | None:
        """None for a model that is not measured, or that no validator answered for."""
        terms = self._seat.terms
        _check_names(sums, sums.validators, terms.validators if terms.measured(self.round) else (), "validators")
        encrypted = self._seat.key.check(sums.metrics, 1 if sums.validators else 0, sums.sender)
        if not encrypted:
            return None
        total = decode(self._key.decrypt(encrypted)[0], METRIC_BITS)
        if not abs(total) <= len(sums.validators) * terms.metric_bound:
            raise MessageError("the sum of metrics is beyond what validators may send", sums.sender)
        return total / sum(terms.validators[name] for name in sums.validators)


def _check_names(message: Message, names: tuple[str, ...], known: Collection[str], kind: str) -> None:
    if len(set(names)) != len(names):
        raise MessageError(f"{message.kind}: it names {kind} twice", message.sender)
    if unknown := [name for name in names if name not in known]:
        raise MessageError(f"{message.kind}: {', '.join(unknown)} are no {kind} of round {message.round}", message.sender)
