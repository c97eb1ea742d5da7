"""The owners of a training with a visible model: one trains its copy and encrypts the difference, another measures.

Who learns what: both read the model of each round. What they send is encrypted under the buyer's key and goes to the aggregator,
who cannot open it; the buyer opens sums only.
"""

from __future__ import annotations

import copy
import math
from typing import ClassVar

import numpy as np

from deltaml_core.errors import DataError, LocalTrainingError
from deltaml_core.fixedpoint import encode
from deltaml_core.messages import EncryptedMetric, EncryptedUpdate, GlobalModel, Message
from deltaml_core.statistics import Array
from deltaml_core.updates.local_model import LocalModel, Rows, flat, from_bits, set_flat
from deltaml_core.updates.terms import METRIC_BITS, UpdateSeat


class _Owner:
    """What trainer and validator share: rows that match what was stated, a copy of the model, and one answer a round."""

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, seat: UpdateSeat, stated: int | None, model: LocalModel, X: Rows, y: Rows) -> None:
        if len(X) != stated or len(y) != stated:
            raise DataError(f"{seat.name} stated {stated} rows, but has {len(X)} and {len(y)} targets")
        self._seat = seat
        self._model = copy.deepcopy(model)
        self._X, self._y = X, y
        self._answered = -1

    def _receive(self, message: Message) -> Array:
        """The global model, once for each round and in their order.

        A second model for a round would have a second update, and their difference tells of one owner's rows.
        """
        self._seat.admit(message, {self._seat.buyer})
        if not isinstance(message, GlobalModel):
            raise self._seat.unexpected(message)
        if not self._answered < message.round <= self._seat.terms.rounds:
            raise self._seat.unexpected(message, f"round {self._answered} was answered, and {self._seat.terms.rounds} is the last")
        return from_bits(message.parameters, self._seat.terms.parameters, message.sender)


class UpdateTrainer(_Owner):
    """An owner that trains.

    Attributes:
        clipped: rounds in which its update was longer than the terms allow, and was shortened. Only its owner knows.
    """

    def __init__(self, seat: UpdateSeat, model: LocalModel, X: Rows, y: Rows) -> None:
        """Take a trainer's seat.

        Args:
            seat: the seat.
            model: with the parameters' shapes; the trainer works on a copy of its own.
            X: (m, ...), its inputs; m as the terms state.
            y: (m, ...), its targets.

        Raises:
            DataError: it has other rows than it stated.
        """
        super().__init__(seat, seat.terms.trainers.get(seat.name), model, X, y)
        self.clipped = 0

    def handle(self, message: Message) -> list[Message]:
        """Train from the global model and send what that changes, encrypted, to the aggregator.

        Raises:
            MessageError: it is not due, or its numbers are malformed.
            LocalTrainingError: training diverges.
        """
        start = self._receive(message)
        if message.round == self._seat.terms.rounds:
            raise self._seat.unexpected(message, "that model is final")
        set_flat(self._model, start)
        self._answered = message.round
        try:
            for _ in range(self._seat.terms.local_steps):
                self._model.fit_locally(self._X, self._y)
        except ValueError as error:
            raise LocalTrainingError(self._seat.name, str(error)) from error
        update = flat(self._model) - start
        packing = self._seat.terms.packing
        clipped = packing.clip(update)
        self.clipped += int(clipped is not update)
        packed = self._seat.key.encrypt(packing.pack(clipped, self._seat.name))
        return [self._seat.say(EncryptedUpdate, self._seat.aggregator, message.round, packed=packed)]


class UpdateValidator(_Owner):
    """An owner that measures."""

    def __init__(self, seat: UpdateSeat, model: LocalModel, X: Rows, y: Rows) -> None:
        """Take a validator's seat; arguments and errors as `UpdateTrainer`'s."""
        super().__init__(seat, seat.terms.validators.get(seat.name), model, X, y)

    def handle(self, message: Message) -> list[Message]:
        """Measure the global model and send the metric times the rows, encrypted, to the aggregator.

        Raises:
            MessageError: it is not due, or its numbers are malformed.
            LocalTrainingError: the metric is not finite, or beyond all bounds.
        """
        parameters = self._receive(message)
        if not self._seat.terms.measured(message.round):
            raise self._seat.unexpected(message, "that round is not measured")
        set_flat(self._model, parameters)
        self._answered = message.round
        with np.errstate(over="ignore", invalid="ignore"):  # a metric of a model that diverged is refused below
            total = self._model.measure(self._X, self._y) * len(self._X)
        if not (math.isfinite(total) and abs(total) < self._seat.terms.metric_bound):
            raise LocalTrainingError(
                self._seat.name, f"the model's {self._model.metric} is {total / len(self._X)}; lower the learning rate"
            )
        metric = self._seat.key.encrypt([encode(total, METRIC_BITS)])
        return [self._seat.say(EncryptedMetric, self._seat.aggregator, message.round, metric=metric)]
