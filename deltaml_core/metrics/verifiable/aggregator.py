"""The aggregator's part: sums the validators' encrypted squared errors and has the sum opened, one measurement at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from deltaml_core.errors import MetricError
from deltaml_core.measurement import pairs
from deltaml_core.messages import Evaluate, Measured, MeasurementFailed, Message, OpenedSums, OpenSums, SquaredErrors
from deltaml_core.metrics.base import Evaluation, Finished
from deltaml_core.metrics.verifiable.opened import announced, total, verify_openings
from deltaml_core.party import Party
from deltaml_core.schedule import MAXIMUM_ROWS_BITS
from deltaml_core.schemes.base import Ciphertexts, Opening


class VerifiableAggregator:
    """The aggregator's part of the measurement.

    Attributes:
        opened: the ciphertexts the latest measurement was opened from.
        openings: their openings.
        failed: which measurement failed its zero test twice; None while none did.
    """

    kinds: ClassVar[tuple[type[Message], ...]] = (SquaredErrors, OpenedSums, MeasurementFailed)

    def __init__(self, party: Party, validators: Sequence[str]) -> None:
        """`validators`: everybody who measures."""
        self._party = party
        self._validators = tuple(validators)
        self._evaluation: Evaluation | None = None
        self._answers: dict[str, SquaredErrors] = {}
        self.opened: Ciphertexts = ()
        self.openings: tuple[Opening, ...] = ()
        self.failed: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a measurement is under way."""
        return self._evaluation is not None

    @property
    def awaited(self) -> frozenset[str]:
        """The validators whose squared errors are missing."""
        return frozenset(self._validators) - self._answers.keys() if self._evaluation is not None else frozenset()

    def begin(self, evaluation: Evaluation) -> list[Message]:
        """Ask every validator."""
        self._evaluation, self._answers = evaluation, {}
        return [self._party.say(Evaluate, validator, evaluation.round, **evaluation.content()) for validator in self._validators]

    def handle(self, message: Message) -> tuple[list[Message], Finished | None]:
        """Take the protocol's next step.

        Raises:
            MetricError: a zero test failed twice; `failed` says so from here on.
        """
        match message:
            case SquaredErrors():
                return self.collect(message), None
            case OpenedSums():
                return self.finish(message)
            case MeasurementFailed():
                self.failed = self.failure(message)
                raise MetricError(self.failed, message.sender)
        raise self._party.unexpected(message)

    def collect(self, answer: SquaredErrors) -> list[Message]:
        """Keep a validator's squared errors; with the last of them, have the sums opened."""
        evaluation = self._current(answer, answer.evaluation)
        if answer.sender not in self._validators or answer.sender in self._answers:
            raise self._party.unexpected(answer, "it is not a validator, or has answered")
        if not 1 <= answer.rows < 1 << MAXIMUM_ROWS_BITS:
            raise MetricError(f"a validator has from 1 to 2**{MAXIMUM_ROWS_BITS} - 1 rows, not {answer.rows}", answer.sender)
        count = len(pairs(evaluation.models))
        self._party.key.check(answer.values, count, answer.sender)
        self._answers[answer.sender] = answer
        return [] if self.awaited else self._have_opened(evaluation)

    def drop(self, validator: str) -> list[Message]:
        """Go on without a validator."""
        was_awaited = validator in self.awaited
        self._validators = tuple(other for other in self._validators if other != validator)
        if not was_awaited or self.awaited or not self._validators or self._evaluation is None:
            return []
        return self._have_opened(self._evaluation)

    def _have_opened(self, evaluation: Evaluation) -> list[Message]:
        content = {"evaluation": evaluation.number, "scale": evaluation.scale, "models": evaluation.models, "rows": sum(self._rows)}
        self.opened = sums = total(self._party.key, self._values, len(pairs(evaluation.models)))
        return [self._party.say(OpenSums, self._party.buyer, evaluation.round, **content, sums=sums)]

    def failure(self, failed: MeasurementFailed) -> str:
        """A zero test failed twice, so the request cannot go on; the buyer or the validator answered wrongly.

        Raises:
            MessageError: its sender has no measurement to report.
        """
        self._current(failed, failed.evaluation)
        if failed.sender not in self._validators or failed.sender in self._answers:
            raise self._party.unexpected(failed, "it is not a validator, or has answered")
        return (
            f"measurement {failed.evaluation} failed: the products of {self._party.buyer} did not pass the zero test of "
            f"{failed.sender}, neither packed nor unpacked. One of the two did not compute what it should, so the request fails"
        )

    def finish(self, answer: OpenedSums) -> tuple[list[Message], Finished]:
        """Check the opening, and tell each validator what it needs to check it as well.

        Raises:
            MetricError: the opening does not hold.
        """
        evaluation = self._current(answer, answer.evaluation)
        if self.awaited:
            raise self._party.unexpected(answer, "nothing was to be opened yet")
        content = {
            "evaluation": evaluation.number,
            "scale": evaluation.scale,
            "models": evaluation.models,
            "validators": self._validators,
            "rows": self._rows,
            "values": self._values,
            "plaintexts": answer.plaintexts,
            "randomness": answer.randomness,
        }
        announcements = [self._party.say(Measured, validator, evaluation.round, **content) for validator in self._validators]
        try:
            opened = announced(self._party, announcements[0])
            verify_openings(self._party.key, [opened], answer.sender)
        except MetricError as error:
            raise MetricError(f"its opening of measurement {evaluation.number} does not hold", answer.sender) from error
        self._evaluation = None
        self.openings = opened.openings
        return list(announcements), Finished(evaluation, opened.measurement)

    @property
    def _rows(self) -> tuple[int, ...]:
        return tuple(self._answers[validator].rows for validator in self._validators)

    @property
    def _values(self) -> Ciphertexts:
        return tuple(value for validator in self._validators for value in self._answers[validator].values)

    def _current(self, message: Message, number: int) -> Evaluation:
        if self._evaluation is None or self._evaluation.number != number or self._evaluation.round != message.round:
            raise self._party.unexpected(message, f"measurement {number} is not under way")
        return self._evaluation
