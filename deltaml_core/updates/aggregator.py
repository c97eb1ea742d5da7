"""The Federated Aggregator of a training with a visible model: it adds up updates it cannot read.

Who learns what: who answered in which round, and ciphertexts. (It carries everybody's messages where it runs the relay, and then
may read the global model as all owners do.)
"""

from __future__ import annotations

from typing import ClassVar

from deltaml_core.errors import TooFewOwnersError
from deltaml_core.messages import EncryptedMetric, EncryptedUpdate, Message, RoundSums
from deltaml_core.schemes.base import Ciphertexts
from deltaml_core.updates.terms import MINIMUM_TRAINERS, UpdateSeat


class UpdateAggregator:
    """The role that adds.

    Attributes:
        round: the round whose answers it waits for; one more than the terms state once it is done.
        missing: who has not answered in it.
    """

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, seat: UpdateSeat) -> None:
        """Take the aggregator's seat."""
        self._seat = seat
        self.round = 0
        self._begin()

    @property
    def done(self) -> bool:
        """Whether all rounds were summed."""
        return self.round > self._seat.terms.rounds

    @property
    def missing(self) -> tuple[str, ...]:
        """Who was asked in this round and has not answered."""
        return tuple(name for name in (*self._trainers, *self._validators) if name not in self._updates and name not in self._metrics)

    def handle(self, message: Message) -> list[Message]:
        """Take an answer; the last one of a round brings its sums.

        Raises:
            MessageError: it is not due, or not of the right number of ciphertexts under the buyer's key.
        """
        if isinstance(message, EncryptedUpdate):
            self._admit(message, self._trainers, self._updates)
            count = self._seat.terms.packing.ciphertexts
            self._updates[message.sender] = self._seat.key.check(message.packed, count, message.sender)
        elif isinstance(message, EncryptedMetric):
            self._admit(message, self._validators, self._metrics)
            self._metrics[message.sender] = self._seat.key.check(message.metric, 1, message.sender)
        else:
            raise self._seat.unexpected(message)
        return [] if self.missing else self.close_round()

    def close_round(self) -> list[Message]:
        """End the round with who has answered; for a node whose patience is at its end, or that knows nobody else will answer.

        Raises:
            TooFewOwnersError: fewer than two updates are there: their sum would be one trainer's own. Nothing has changed.
        """
        if self._trainers and len(self._updates) < MINIMUM_TRAINERS:
            raise TooFewOwnersError(
                f"round {self.round}: {len(self._updates)} of {len(self._trainers)} trainers answered; a sum over fewer than "
                f"{MINIMUM_TRAINERS} would show one trainer's update. Wait for {', '.join(set(self._trainers) - set(self._updates))}"
            )
        weights = self._seat.terms.weights
        updates = self._sum([self._seat.key.scale(packed, [weights[name]] * len(packed)) for name, packed in self._updates.items()])
        sums = self._seat.say(
            RoundSums,
            self._seat.buyer,
            self.round,
            trainers=tuple(self._updates),
            updates=updates,
            validators=tuple(self._metrics),
            metrics=self._sum(list(self._metrics.values())),
        )
        self.round += 1
        self._begin()
        return [sums]

    def _begin(self) -> None:
        terms = self._seat.terms
        self._trainers = tuple(terms.trainers) if self.round < terms.rounds else ()
        self._validators = tuple(terms.validators) if self.round <= terms.rounds and terms.measured(self.round) else ()
        self._updates: dict[str, Ciphertexts] = {}
        self._metrics: dict[str, Ciphertexts] = {}

    def _admit(self, message: Message, asked: tuple[str, ...], answered: dict[str, Ciphertexts]) -> None:
        if message.round != self.round or not asked:
            raise self._seat.unexpected(message, f"it waits for answers of round {self.round}")
        self._seat.admit(message, asked)
        if message.sender in answered:
            raise self._seat.unexpected(message, "it has one already")

    def _sum(self, vectors: list[Ciphertexts]) -> Ciphertexts:
        return self._seat.key.rerandomise(self._seat.sum(vectors)) if vectors else ()
