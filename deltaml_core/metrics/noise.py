"""The thesis's own measurement (T§7.6, fig. 7.4; protocol.md §4), kept for teaching and comparison.

    validator    sends [[y - X w]]                   aggregator adds noise
    buyer        decrypts what it cannot read        aggregator takes the noise off, computes the error, reveals the noise
    buyer        takes the noise off as well and confirms the error

Who learns what: the buyer and the aggregator both end with every validator's residuals in the clear. After about d + 1
measurements the buyer, who also sees the weights at every refresh, can solve for the validators' rows. Hence the
`NoiseMetricWarning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

from deltaml_core import fixedpoint
from deltaml_core.errors import MetricError
from deltaml_core.fixedpoint import Slots
from deltaml_core.measurement import Measurement, Metric
from deltaml_core.messages import (
    Evaluate,
    Message,
    MetricAnnounced,
    MetricConfirmed,
    OpenedResiduals,
    OpenResiduals,
    Residuals,
    RevealNoise,
)
from deltaml_core.metrics.base import MAPS, Evaluation, Finished, announcement
from deltaml_core.party import Party
from deltaml_core.recent import Recent
from deltaml_core.schedule import MASK_BITS, measurements, residual_slots
from deltaml_core.schemes.base import Ciphertexts, LinearMap, Opening, PrivateKey
from deltaml_core.statistics import Dataset


class NoiseValidator:
    """The validator's part."""

    kinds: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, party: Party, dataset: Dataset) -> None:
        """`dataset`: already in the request's column order."""
        self._party = party
        self._rows = dataset.design()
        self._y = dataset.y
        self._maps: Recent[tuple[Fraction, Slots], LinearMap] = Recent(MAPS)

    def measure(self, asked: Evaluate) -> list[Message]:
        """Answer with the packed encrypted residuals."""
        terms, key = self._party.terms, self._party.key
        weights = key.check(asked.weights, terms.weights, asked.sender)
        slots = residual_slots(terms, key.capacity, asked.scale)
        predictions = key.combine(self._map(Fraction(asked.numerator, asked.denominator), slots), weights)
        targets = fixedpoint.encode_array(self._y, asked.scale + terms.row_bits)
        packed = key.add_plain(predictions, slots.join_all([target + slots.offset for target in targets]))
        return [
            self._party.say(Residuals, asked.sender, asked.round, evaluation=asked.evaluation, rows=len(self._y), packed=packed),
        ]

    def handle(self, message: Message) -> list[Message]:
        """Nothing is said to it after its answer."""
        raise self._party.unexpected(message)

    def check(self, measured: Message) -> Measurement | None:
        """Only whether the numbers can be a measurement's: residuals are the buyer's and the aggregator's to check.

        Raises:
            MetricError: they cannot.
        """
        if not isinstance(measured, MetricAnnounced):
            return None
        if measured.squared_error < 0 or measured.rows < len(self._y) or measured.scale > self._party.key.capacity:
            raise MetricError("its squared error, rows and scale cannot be those of a measurement", measured.sender)
        return Measurement((measured.squared_error,), measured.scale, measured.rows)

    def stand(self, sender: str) -> None:
        """There is nothing more to check: this protocol proves nothing."""

    def _map(self, factor: Fraction, slots: Slots) -> LinearMap:
        return self._maps.get((factor, slots), lambda: self._prepared(factor, slots))

    def _prepared(self, factor: Fraction, slots: Slots) -> LinearMap:
        scale = self._party.terms.row_bits
        matrix = [[-fixedpoint.encode(Fraction(x) * factor, scale) for x in row.tolist()] for row in self._rows]
        return self._party.key.prepare(slots.join_rows(matrix))


class NoiseAggregator:
    """The aggregator's part: one measurement at a time.

    Attributes:
        opened: the ciphertexts the latest measurement was opened from.
        openings: none, the buyer proves nothing.
        failed: nothing is proven, so nothing is seen to fail.
    """

    kinds: ClassVar[tuple[type[Message], ...]] = (Residuals, OpenedResiduals, MetricConfirmed)
    openings: tuple[Opening, ...] = ()
    failed: str | None = None

    def __init__(self, party: Party, validators: Sequence[str]) -> None:
        """`validators`: everybody who measures."""
        self._party = party
        self._validators = tuple(validators)
        self._evaluation: Evaluation | None = None
        self._residuals: dict[str, Residuals] = {}
        self._noise: list[int] = []
        self.opened: Ciphertexts = ()
        self._metric: Metric | None = None

    @property
    def busy(self) -> bool:
        """Whether a measurement is under way."""
        return self._evaluation is not None

    @property
    def awaited(self) -> frozenset[str]:
        """The validators whose residuals are missing."""
        return frozenset(self._validators) - self._residuals.keys() if self._evaluation is not None else frozenset()

    def begin(self, evaluation: Evaluation) -> list[Message]:
        """Ask every validator."""
        self._evaluation, self._residuals, self._noise, self._metric = evaluation, {}, [], None
        return [self._party.say(Evaluate, validator, evaluation.round, **evaluation.content()) for validator in self._validators]

    def handle(self, message: Message) -> tuple[list[Message], Finished | None]:
        """Take the protocol's next step."""
        match message:
            case Residuals():
                return self.collect(message), None
            case OpenedResiduals():
                return self.unmask(message), None
            case MetricConfirmed():
                return self.finish(message)
        raise self._party.unexpected(message)

    def collect(self, answer: Residuals) -> list[Message]:
        """Keep a validator's residuals; with the last of them, add noise and send all to the buyer."""
        evaluation = self._current(answer, answer.evaluation)
        if answer.sender not in self._validators or answer.sender in self._residuals:
            raise self._party.unexpected(answer, "it is not a validator, or has answered")
        if answer.rows < 1:
            raise MetricError("a validator without rows measures nothing", answer.sender)
        slots = self._slots(evaluation)
        self._party.key.check(answer.packed, slots.plaintexts(answer.rows), answer.sender)
        self._residuals[answer.sender] = answer
        return [] if self.awaited else self._mask(evaluation)

    def drop(self, validator: str) -> list[Message]:
        """Go on without a validator."""
        was_awaited = validator in self.awaited
        self._validators = tuple(other for other in self._validators if other != validator)
        if not was_awaited or self.awaited or not self._validators or self._evaluation is None:
            return []
        return self._mask(self._evaluation)

    def _mask(self, evaluation: Evaluation) -> list[Message]:
        """With all residuals there, add noise and send them to the buyer."""
        slots = self._slots(evaluation)
        packed: list[int] = []
        for validator in self._validators:
            residuals = self._residuals[validator]
            noise = [self._party.randomness.randbits(slots.value_bits + MASK_BITS) for _ in range(residuals.rows)]
            packed += self._party.key.add_plain(residuals.packed, slots.join_all(noise))
            self._noise += noise
        self.opened = tuple(packed)
        message = self._party.say(
            OpenResiduals,
            self._party.buyer,
            evaluation.round,
            evaluation=evaluation.number,
            scale=evaluation.scale,
            rows=tuple(self._residuals[validator].rows for validator in self._validators),
            packed=self.opened,
        )
        return [message]

    def unmask(self, answer: OpenedResiduals) -> list[Message]:
        """Take the noise off, compute the error, reveal the noise."""
        evaluation = self._current(answer, answer.evaluation)
        if self._metric is not None:
            raise self._party.unexpected(answer, "it was opened before, and the noise is revealed")
        if self.awaited:
            raise self._party.unexpected(answer, "nothing was to be opened yet")
        if len(answer.digits) != len(self._noise):
            raise MetricError(f"expected {len(self._noise)} opened residuals, got {len(answer.digits)}", answer.sender)
        error = squared_error(answer.digits, self._noise, self._slots(evaluation), answer.sender)
        self._metric = Metric(error, evaluation.scale + self._party.terms.row_bits, len(self._noise))
        noise = tuple(self._noise)
        return [self._party.say(RevealNoise, answer.sender, answer.round, evaluation=evaluation.number, noise=noise, squared_error=error)]

    def finish(self, confirmation: MetricConfirmed) -> tuple[list[Message], Finished]:
        """The confirmed measurement, announced to the validators."""
        evaluation = self._current(confirmation, confirmation.evaluation)
        if self._metric is None:
            raise self._party.unexpected(confirmation, "nothing was opened yet")
        self._evaluation = None
        measurement = Measurement((self._metric.squared_error,), self._metric.scale, self._metric.rows)
        finished = Finished(evaluation, measurement)
        return [announcement(self._party, validator, finished) for validator in self._validators], finished

    def _current(self, message: Message, number: int) -> Evaluation:
        if self._evaluation is None or self._evaluation.number != number or self._evaluation.round != message.round:
            raise self._party.unexpected(message, f"measurement {number} is not under way")
        return self._evaluation

    def _slots(self, evaluation: Evaluation) -> Slots:
        return residual_slots(self._party.terms, self._party.key.capacity, evaluation.scale)


class NoiseBuyer:
    """The buyer's part."""

    kinds: ClassVar[tuple[type[Message], ...]] = (OpenResiduals, RevealNoise)

    def __init__(self, party: Party, key: PrivateKey) -> None:
        """`key`: what the residuals are encrypted under."""
        self._party = party
        self._key = key
        self._due = frozenset().union(*measurements(party.terms, party.steps).values())
        self._asked: OpenResiduals | None = None
        self._digits: tuple[int, ...] = ()

    def handle(self, message: Message) -> list[Message]:
        """Take the protocol's next step."""
        match message:
            case OpenResiduals():
                return self.open(message)
            case RevealNoise():
                return self.confirm(message)
        raise self._party.unexpected(message)

    def open(self, asked: OpenResiduals) -> list[Message]:
        """Decrypt what the noise hides."""
        if (asked.round, asked.scale) not in self._due:
            raise self._party.unexpected(asked, f"a measurement at {asked.scale} bits is not on the schedule")
        if min(asked.rows, default=0) < 1:
            raise MetricError("a validator without rows measures nothing", asked.sender)
        slots = residual_slots(self._party.terms, self._party.key.capacity, asked.scale)
        sizes = [slots.plaintexts(rows) for rows in asked.rows]
        plaintexts = self._key.decrypt(self._party.key.check(asked.packed, sum(sizes), asked.sender))
        digits: list[int] = []
        for rows, size in zip(asked.rows, sizes, strict=True):
            try:
                digits += slots.split_all(plaintexts[:size], rows)
            except ValueError as error:
                raise MetricError("what it sent to be opened does not hold masked residuals", asked.sender) from error
            plaintexts = plaintexts[size:]
        self._asked, self._digits = asked, tuple(digits)
        return [self._party.say(OpenedResiduals, asked.sender, asked.round, evaluation=asked.evaluation, digits=self._digits)]

    def drop_validator(self) -> None:
        """It counts no measurements: nothing to allow."""

    def confirm(self, revealed: RevealNoise) -> list[Message]:
        """Recompute the error from what was opened.

        Raises:
            MetricError: the aggregator reported another one.
        """
        if self._asked is None or (self._asked.evaluation, self._asked.round) != (revealed.evaluation, revealed.round):
            raise self._party.unexpected(revealed, "no residuals of that measurement were opened")
        if len(revealed.noise) != len(self._digits):
            raise MetricError(f"it revealed noise for {len(revealed.noise)} of {len(self._digits)} residuals", revealed.sender)
        slots = residual_slots(self._party.terms, self._party.key.capacity, self._asked.scale)
        error = squared_error(self._digits, revealed.noise, slots, revealed.sender)
        if error != revealed.squared_error:
            raise MetricError("it reports another squared error than the residuals give", revealed.sender)
        self._asked = None
        return [self._party.say(MetricConfirmed, revealed.sender, revealed.round, evaluation=revealed.evaluation)]


def squared_error(digits: Sequence[int], noise: Sequence[int], slots: Slots, sender: str) -> int:
    """The sum of squares of the residuals under masked digits.

    Raises:
        MetricError: a residual beyond the terms' bound, so digits and noise do not belong together.
    """
    total = 0
    for position, (digit, mask) in enumerate(zip(digits, noise, strict=True)):
        residual = digit - mask - slots.offset
        if abs(residual) >> slots.value_bits:
            raise MetricError(f"residual {position} is beyond what the terms allow, so it was not opened or masked honestly", sender)
        total += residual * residual
    return total
