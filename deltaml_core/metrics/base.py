"""A measurement: what is measured, and what comes of it, whatever the protocol between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

from deltaml_core.measurement import Measurement
from deltaml_core.messages import Evaluate, Message, MetricAnnounced, Subject
from deltaml_core.party import Party
from deltaml_core.schemes.base import Ciphertexts, Opening

MAPS = 4
"""Recoded maps that a validator keeps: the model's, at the scales that follow each other, and one of several models."""


@dataclass(frozen=True)
class Evaluation:
    """Weights to be measured on all validators' rows.

    Attributes:
        number: counts the measurements of a run.
        round: the round it belongs to.
        subject: what the weights are.
        weights: encrypted, (models * d,).
        scale: their fractional bits.
        models: how many models the weights are, one after the other; with several, the Gram matrix of their errors is measured.
        coalition: the trainers of a coalition.
        numerator, denominator: what the weights are to be multiplied by.
    """

    number: int
    round: int
    subject: Subject
    weights: Ciphertexts
    scale: int
    models: int = 1
    coalition: tuple[str, ...] = ()
    numerator: int = 1
    denominator: int = 1

    def content(self) -> Mapping[str, Any]:
        """What a validator is told of it."""
        names = ("scale", "models", "numerator", "denominator", "weights")
        return {"evaluation": self.number, "subject": str(self.subject), **{name: getattr(self, name) for name in names}}


class Finished(NamedTuple):
    """A measurement that was asked for, and what came of it."""

    evaluation: Evaluation
    measurement: Measurement


class ValidatorPart(Protocol):
    """A validator's part of a protocol."""

    kinds: ClassVar[tuple[type[Message], ...]]

    def measure(self, asked: Evaluate) -> list[Message]:
        """Begin a measurement."""

    def handle(self, message: Message) -> list[Message]:
        """Answer one of `kinds`."""

    def check(self, measured: Message) -> Measurement | None:
        """The measurement an announcement holds, after checking what can be checked at once; None for what announces nothing."""

    def stand(self, sender: str) -> None:
        """Check whatever else there is to check of the announced measurements before standing for them.

        Raises:
            MetricError: something does not hold; `sender` is who announced it.
        """


class BuyerPart(Protocol):
    """The buyer's part of a protocol."""

    kinds: ClassVar[tuple[type[Message], ...]]

    def handle(self, message: Message) -> list[Message]:
        """Answer one of `kinds`."""

    def drop_validator(self) -> None:
        """One validator less: what a result rests on may be measured once more, on the rows of the others."""


class AggregatorPart(Protocol):
    """The aggregator's part of a protocol.

    Attributes:
        opened: the ciphertexts the latest measurement was opened from.
        openings: their openings, where the protocol proves them.
        failed: why no measurement can be had any more; None while it can.
    """

    kinds: ClassVar[tuple[type[Message], ...]]
    opened: Ciphertexts
    openings: tuple[Opening, ...]
    failed: str | None

    @property
    def busy(self) -> bool:
        """Whether a measurement is under way."""

    @property
    def awaited(self) -> frozenset[str]:
        """The validators whose own answer the measurement under way still lacks."""

    def begin(self, evaluation: Evaluation) -> list[Message]:
        """Ask every validator."""

    def handle(self, message: Message) -> tuple[list[Message], Finished | None]:
        """Answer one of `kinds`; the measurement, once it is finished."""

    def drop(self, validator: str) -> list[Message]:
        """Go on without a validator, whose answer is awaited or who is asked nothing now."""


def announcement(party: Party, recipient: str, finished: Finished) -> MetricAnnounced:
    """What an owner is told of a single model's measurement."""
    evaluation, metric = finished.evaluation, finished.measurement.metric
    return party.say(
        MetricAnnounced,
        recipient,
        evaluation.round,
        evaluation=evaluation.number,
        subject=str(evaluation.subject),
        coalition=evaluation.coalition,
        squared_error=metric.squared_error,
        scale=metric.scale,
        rows=metric.rows,
    )
