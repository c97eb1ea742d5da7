"""The thesis's own measurement (T§7.6, fig. 7.4; protocol.md §4), kept for teaching and comparison.

    validator    sends [[y - X w]]                   aggregator adds noise
    buyer        decrypts what it cannot read        aggregator takes the noise off, computes the error, reveals the noise
    buyer        takes the noise off as well and confirms the error

Who learns what: the buyer and the aggregator both end with every validator's residuals in the clear. After about d + 1
measurements the buyer, who also sees the weights at every refresh, can solve for the validators' rows. Hence the
`NoiseMetricWarning`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from fractions import Fraction

from deltaml_core import fixedpoint
from deltaml_core.errors import MetricError
from deltaml_core.fixedpoint import Slots
from deltaml_core.messages import Evaluate, Message, MetricConfirmed, OpenedResiduals, OpenResiduals, Residuals, RevealNoise
from deltaml_core.metrics.base import Evaluation, Metric
from deltaml_core.party import Party
from deltaml_core.schedule import MASK_BITS, measurements, residual_slots
from deltaml_core.schemes.base import Ciphertexts, LinearMap, PrivateKey
from deltaml_core.statistics import Dataset


class NoiseValidator:
    """The validator's part."""

    def __init__(self, party: Party, dataset: Dataset) -> None:
        """`dataset`: already in the request's column order."""
        self._party = party
        self._rows = dataset.design()
        self._y = dataset.y
        self._maps: dict[Fraction, LinearMap] = {}

    def measure(self, asked: Evaluate) -> list[Message]:
        """Answer with the packed encrypted residuals."""
        terms, key = self._party.terms, self._party.key
        weights = key.check(asked.weights, terms.weights, asked.sender)
        slots = residual_slots(terms, key.capacity, asked.scale)
        predictions = key.pack(key.combine(self._map(Fraction(asked.numerator, asked.denominator)), weights), slots)
        targets = fixedpoint.encode_array(self._y, asked.scale + terms.row_bits)
        packed = key.add_plain(predictions, slots.join_all([target + slots.offset for target in targets]))
        return [
            self._party.say(Residuals, asked.sender, asked.round, evaluation=asked.evaluation, rows=len(self._y), packed=packed),
        ]

    def _map(self, factor: Fraction) -> LinearMap:
        if factor not in self._maps:
            scale = self._party.terms.row_bits
            matrix = [[-fixedpoint.encode(Fraction(x) * factor, scale) for x in row.tolist()] for row in self._rows]
            self._maps[factor] = self._party.key.prepare(matrix)
        return self._maps[factor]


class NoiseAggregator:
    """The aggregator's part: one measurement at a time.

    Attributes:
        opened: the ciphertexts the latest measurement was opened from.
    """

    def __init__(self, party: Party, buyer: str, validators: Sequence[str]) -> None:
        """`validators`: everybody who measures."""
        self._party = party
        self._buyer = buyer
        self._validators = tuple(validators)
        self._evaluation: Evaluation | None = None
        self._residuals: dict[str, Residuals] = {}
        self._noise: list[int] = []
        self.opened: Ciphertexts = ()
        self._metric: Metric | None = None

    def begin(self, evaluation: Evaluation) -> list[Message]:
        """Ask every validator."""
        self._evaluation, self._residuals, self._noise, self._metric = evaluation, {}, [], None
        return [
            self._party.say(
                Evaluate,
                validator,
                evaluation.round,
                evaluation=evaluation.number,
                scale=evaluation.scale,
                numerator=evaluation.numerator,
                denominator=evaluation.denominator,
                weights=evaluation.weights,
            )
            for validator in self._validators
        ]

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
        if len(self._residuals) < len(self._validators):
            return []
        packed: list[int] = []
        for validator in self._validators:
            residuals = self._residuals[validator]
            noise = [secrets.randbits(slots.value_bits + MASK_BITS) for _ in range(residuals.rows)]
            packed += self._party.key.add_plain(residuals.packed, slots.join_all(noise))
            self._noise += noise
        self.opened = tuple(packed)
        message = self._party.say(
            OpenResiduals,
            self._buyer,
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
        if len(answer.digits) != len(self._noise):
            raise MetricError(f"expected {len(self._noise)} opened residuals, got {len(answer.digits)}", answer.sender)
        error = squared_error(answer.digits, self._noise, self._slots(evaluation), answer.sender)
        self._metric = Metric(error, evaluation.scale + self._party.terms.row_bits, len(self._noise))
        noise = tuple(self._noise)
        return [self._party.say(RevealNoise, answer.sender, answer.round, evaluation=evaluation.number, noise=noise, squared_error=error)]

    def finish(self, confirmation: MetricConfirmed) -> tuple[Evaluation, Metric]:
        """The confirmed measurement."""
        evaluation = self._current(confirmation, confirmation.evaluation)
        if self._metric is None:
            raise self._party.unexpected(confirmation, "nothing was opened yet")
        self._evaluation = None
        return evaluation, self._metric

    def _current(self, message: Message, number: int) -> Evaluation:
        if self._evaluation is None or self._evaluation.number != number or self._evaluation.round != message.round:
            raise self._party.unexpected(message, f"measurement {number} is not under way")
        return self._evaluation

    def _slots(self, evaluation: Evaluation) -> Slots:
        return residual_slots(self._party.terms, self._party.key.capacity, evaluation.scale)


class NoiseBuyer:
    """The buyer's part."""

    def __init__(self, party: Party, key: PrivateKey) -> None:
        """`key`: what the residuals are encrypted under."""
        self._party = party
        self._key = key
        self._due = measurements(party.terms, party.steps)
        self._asked: OpenResiduals | None = None
        self._digits: tuple[int, ...] = ()

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

    def confirm(self, revealed: RevealNoise) -> list[Message]:
        """Recompute the error from what was opened.

        Raises:
            MetricError: the aggregator reported another one.
        """
        if self._asked is None or self._asked.evaluation != revealed.evaluation:
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
