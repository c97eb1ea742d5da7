"""The validator's part: masks its error vectors, and tests the buyer's products before it uses them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import ClassVar

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.errors import MetricError
from deltaml_core.fixedpoint import Slots
from deltaml_core.measurement import Measurement, pairs
from deltaml_core.messages import (
    Evaluate,
    MaskedErrors,
    Measured,
    MeasurementFailed,
    Message,
    Products,
    SquaredErrors,
    ZeroTest,
    ZeroTestAnswer,
)
from deltaml_core.metrics.base import MAPS
from deltaml_core.metrics.verifiable.opened import ATTEMPTS, Announced, announced, slots_of, verify_openings
from deltaml_core.party import Party
from deltaml_core.recent import Recent
from deltaml_core.schedule import MASK_BITS, SECRET_BITS
from deltaml_core.schemes.base import Ciphertexts, LinearMap, Opening
from deltaml_core.schemes.levelling import public_matrix
from deltaml_core.statistics import Selection, Statistics

BLUR_BITS = 30
"""The blur of a squared error stays below 2**-30 (about 1e-9) of the squared target range, a row."""

MOST_UNVERIFIED = 64
"""Announced openings that wait to be checked: the aggregator checks each at once, a validator needs them when it signs, and many cost
little more than one."""

Vector = list[int]


@dataclass(frozen=True)
class _Attempt:
    """What a validator keeps of one attempt at a measurement; all of it fresh.

    Attributes:
        asked: what is measured.
        number: 1 or 2.
        alpha: the secret factor.
        masks: s, a vector a model.
        scaled_masks: s', likewise.
        offset: u at the measurement's scale.
    """

    asked: Evaluate
    number: int
    alpha: int
    masks: list[Vector]
    scaled_masks: list[Vector]
    offset: Vector

    @property
    def both(self) -> list[tuple[Vector, Vector]]:
        """s and s' of every model."""
        return list(zip(self.masks, self.scaled_masks, strict=True))


@dataclass(frozen=True)
class _Tested:
    """What follows from the buyer's products: `[[m V]]` of every pair, and the ciphertext that must hold 0."""

    squared: Ciphertexts
    zero: Ciphertexts


class VerifiableValidator:
    """The validator's part of the measurement."""

    kinds: ClassVar[tuple[type[Message], ...]] = (Products, ZeroTestAnswer)

    def __init__(self, party: Party, dataset: Selection, statistics: Statistics | None = None) -> None:
        """`dataset`: already in the request's column order; `statistics`: what to measure on instead."""
        self._party = party
        self._rows = dataset.rows
        folded = dataset.folded() if statistics is None else np.asarray(np.linalg.qr(statistics.as_rows(), mode="r"), dtype=np.float64)
        folded = folded / math.sqrt(dataset.rows)
        d = party.terms.weights
        folded[:, d] -= party.terms.objective.middle * folded[:, d - 1]  # the rows' last column but one is the intercept's
        self._R = [fixedpoint.encode_array(row, party.terms.row_bits) for row in folded[:d, :d]]
        self._u = [Fraction(entry) for entry in folded[:d, d].tolist()]
        self._rest = Fraction(float(folded[d, d])) ** 2 if len(folded) > d else Fraction(0)  # rho / m
        self._maps: Recent[tuple[int, Slots], LinearMap] = Recent(MAPS)
        self._attempts: dict[int, _Attempt] = {}
        self._tested: dict[int, _Tested] = {}
        self._sent: dict[int, Ciphertexts] = {}
        self._unverified: dict[int, Announced] = {}

    def measure(self, asked: Evaluate) -> list[Message]:
        """Begin: send the masked error vectors to the buyer."""
        if asked.evaluation in self._attempts or asked.evaluation in self._sent:
            raise self._party.unexpected(asked, f"measurement {asked.evaluation} was begun before")
        self._party.key.check(asked.weights, asked.models * self._party.terms.weights, asked.sender)
        return [self._mask(asked, 1)]

    def handle(self, message: Message) -> list[Message]:
        """Take the protocol's next step."""
        match message:
            case Products():
                return self.test(message)
            case ZeroTestAnswer():
                return self.conclude(message)
        raise self._party.unexpected(message)

    def test(self, answer: Products) -> list[Message]:
        """Take the masks off the buyer's products, and have it prove that they were honest."""
        attempt = self._current(answer, answer.evaluation, answer.attempt)
        if answer.evaluation in self._tested:
            raise MetricError(f"it answered measurement {answer.evaluation} twice: both answers are evidence", answer.sender)
        key, count = self._party.key, len(pairs(attempt.asked.models))
        products = key.check(answer.products, count, answer.sender) + key.check(answer.scaled, count, answer.sender)
        rows, constants = self._unmasking(attempt)
        linear = key.prepare(rows, self._public_unmasking(attempt))
        unmasked = key.shift(key.combine(linear, attempt.asked.weights + products), constants)
        kappa = self._party.randomness.randbelow(key.modulus - 1) + 1
        zero = key.rerandomise(key.scale(unmasked[-1:], [kappa]))
        self._tested[answer.evaluation] = _Tested(unmasked[:-1], zero)
        return [self._to_buyer(ZeroTest, attempt, ciphertext=zero)]

    def conclude(self, answer: ZeroTestAnswer) -> list[Message]:
        """Send the squared errors on if the zero test held; repeat it once, unpacked, if it did not."""
        attempt = self._current(answer, answer.evaluation, answer.attempt)
        if answer.evaluation not in self._tested:
            raise self._party.unexpected(answer, "no zero test was asked for")
        tested = self._tested.pop(answer.evaluation)
        key, asked = self._party.key, attempt.asked
        if len(answer.randomness) != 1 or not key.verify(tested.zero[0], Opening(0, answer.randomness[0])):
            if attempt.number < ATTEMPTS:
                return [self._mask(asked, attempt.number + 1)]
            del self._attempts[asked.evaluation]
            self._sent[asked.evaluation] = ()
            return [self._party.say(MeasurementFailed, asked.sender, asked.round, evaluation=asked.evaluation)]
        scale = 2 * (asked.scale + self._party.terms.row_bits)
        rest = fixedpoint.encode(self._rest * self._rows / _factor(asked) ** 2, scale)
        blur = max(1, fixedpoint.encode(Fraction(self._party.terms.target_range) ** 2 * self._rows, scale - BLUR_BITS))
        values = key.add_plain(tested.squared, [rest + self._party.randomness.randbelow(blur) for _ in tested.squared])
        self._sent[asked.evaluation] = values
        del self._attempts[asked.evaluation]
        return [self._party.say(SquaredErrors, asked.sender, asked.round, evaluation=asked.evaluation, rows=self._rows, values=values)]

    def check(self, measured: Message) -> Measurement | None:
        """Check that this validator's own part is in an announced measurement; `stand` checks that its opening holds.

        Raises:
            MetricError: it is not, or an opening among the latest does not hold.
        """
        if not isinstance(measured, Measured):
            return None
        own = self._sent.get(measured.evaluation, ())
        opened = announced(self._party, measured)
        if not own or self._party.name not in measured.validators:
            raise MetricError(f"measurement {measured.evaluation} was announced without this validator's part", measured.sender)
        position = measured.validators.index(self._party.name)
        found = measured.values[position * len(own) : (position + 1) * len(own)]
        if found != own or measured.rows[position] != self._rows:
            raise MetricError(f"measurement {measured.evaluation} holds something else than this validator sent", measured.sender)
        self._unverified[measured.evaluation] = opened
        if len(self._unverified) >= MOST_UNVERIFIED:
            self.stand(measured.sender)
        return opened.measurement

    def stand(self, sender: str) -> None:
        """Check the openings of all announced measurements, before standing for what follows from them."""
        verify_openings(self._party.key, self._unverified.values(), sender)
        self._unverified.clear()

    def _mask(self, asked: Evaluate, number: int) -> Message:
        """`[[v + s]]` and `[[alpha v + s']]` of every model, straight from the encrypted weights: v = R w - u / factor."""
        key, models, draw = self._party.key, range(asked.models), self._party.randomness.randbits
        slots = slots_of(self._party, asked.scale, number)
        offset = [fixedpoint.encode(entry / _factor(asked), asked.scale + self._party.terms.row_bits) for entry in self._u]
        attempt = _Attempt(
            asked,
            number,
            alpha=draw(SECRET_BITS) | 1,
            masks=[[draw(slots.value_bits + MASK_BITS) for _ in offset] for _ in models],
            scaled_masks=[[draw(slots.value_bits + SECRET_BITS + MASK_BITS) for _ in offset] for _ in models],
            offset=offset,
        )
        self._attempts[asked.evaluation] = attempt
        packed = key.combine(self._packing_map(asked.models, slots), asked.weights)
        ciphertexts = []
        for factor, masks, lift in ((1, attempt.masks, slots.offset), (attempt.alpha, attempt.scaled_masks, slots.offset << SECRET_BITS)):
            digits = [mask + lift - factor * u for vector in masks for mask, u in zip(vector, offset, strict=True)]
            ciphertexts.append(key.add_plain(key.scale(packed, [factor] * len(packed)), slots.join_all(digits)))
        content = {"scale": asked.scale, "models": asked.models, "entries": len(offset)}
        return self._to_buyer(MaskedErrors, attempt, **content, masked=ciphertexts[0], scaled=ciphertexts[1])

    def _packing_map(self, models: int, slots: Slots) -> LinearMap:
        """R for each of several models' weights, its products packed."""
        return self._maps.get((models, slots), lambda: self._prepared(models, slots))

    def _prepared(self, models: int, slots: Slots) -> LinearMap:
        d = self._party.terms.weights
        secret, public = (
            [[0] * (d * model) + row + [0] * (d * (models - 1 - model)) for model in range(models) for row in factor]
            for factor in (self._R, self._public_factor())
        )
        return self._party.key.prepare(slots.join_rows(secret), slots.join_rows(public))

    def _public_factor(self) -> list[Vector]:
        """As long as R at most: the squares of a column's entries sum to the mean of the feature's squares."""
        scales = [length / math.sqrt(min(column + 1, len(self._R))) for column, length in enumerate(self._column_lengths)]
        return public_matrix([[scale if column >= row else 0.0 for column, scale in enumerate(scales)] for row in range(len(self._R))])

    @cached_property
    def _column_lengths(self) -> list[float]:
        """What the columns of R, encoded, have as norms at most."""
        largest = [column.magnitude for column in self._party.terms.requirements.features] + [1.0]
        return [2.0**self._party.terms.row_bits * magnitude for magnitude in largest]

    def _unmasking(self, attempt: _Attempt) -> tuple[list[Vector], Vector]:
        """What to do to `[[w]], [[Q]], [[Q']]`: rows of exponents and constants; one for `m V` of each pair, the last for the test.

        V_ik = Q_ik - s_i.v_k - s_k.v_i - s_i.s_k and, over the pairs, sum of weights * (V'_ik - alpha**2 V_ik) with the same of V'.
        """
        models, alpha = attempt.asked.models, attempt.alpha
        couples = pairs(models)
        folded = [self._fold([alpha * alpha * s - alpha * t for s, t in zip(*both, strict=True)], attempt.offset) for both in attempt.both]
        masks = [self._fold(vector, attempt.offset) for vector in attempt.masks]
        d, width = self._party.terms.weights, models * self._party.terms.weights
        rows, constants, test, test_constant = [], [], [0] * (width + 2 * len(couples)), 0
        for number, (i, k) in enumerate(couples):
            weight = 1 if number == 0 else self._party.randomness.randbits(SECRET_BITS) | 1
            row, constant = [0] * len(test), -self._rows * _dot(attempt.masks[i], attempt.masks[k])
            for one, other in ((i, k), (k, i)):
                for j in range(d):
                    row[one * d + j] -= self._rows * masks[other][0][j]
                    test[one * d + j] += weight * folded[other][0][j]
                constant += self._rows * masks[other][1]
                test_constant -= weight * folded[other][1]
            row[width + number] = self._rows
            test[width + number], test[width + len(couples) + number] = -weight * alpha * alpha, weight
            own, scaled = _dot(attempt.masks[i], attempt.masks[k]), _dot(attempt.scaled_masks[i], attempt.scaled_masks[k])
            test_constant += weight * (alpha * alpha * own - scaled)
            rows.append(row)
            constants.append(constant)
        return [*rows, test], [*constants, test_constant]

    def _public_unmasking(self, attempt: _Attempt) -> list[Vector]:
        """Exponents as long as those of `_unmasking`, at most: masks as long as they can be, and R's columns."""
        models, couples = attempt.asked.models, pairs(attempt.asked.models)
        mask = 1 << slots_of(self._party, attempt.asked.scale, attempt.number).value_bits + MASK_BITS
        weight = 1 << SECRET_BITS if len(couples) > 1 else 1
        spans = [math.ceil(length * math.sqrt(min(column + 1, len(self._R)))) for column, length in enumerate(self._column_lengths)]
        rows = []
        for number, couple in enumerate(couples):
            folded = [self._rows * mask * span if model in couple else 0 for model in range(models) for span in spans]
            rows.append([*folded, *(self._rows if column == number else 0 for column in range(2 * len(couples)))])
        test = [weight * mask * span << 2 * SECRET_BITS for span in spans * models]
        rows.append([*test, *[weight << 2 * SECRET_BITS] * len(couples), *[weight] * len(couples)])
        return public_matrix(rows)

    def _fold(self, mask: Vector, offset: Vector) -> tuple[Vector, int]:
        """`mask . v = (R' mask) . w - mask . u`: the exponents of w, and what is to be subtracted."""
        return [_dot(mask, column) for column in zip(*self._R, strict=True)], _dot(mask, offset)

    def _current(self, message: Message, evaluation: int, number: int) -> _Attempt:
        attempt = self._attempts.get(evaluation)
        if attempt is None or attempt.number != number or attempt.asked.round != message.round:
            raise self._party.unexpected(message, f"attempt {number} of measurement {evaluation} is not under way")
        return attempt

    def _to_buyer(self, kind: type[MaskedErrors] | type[ZeroTest], attempt: _Attempt, **content: object) -> Message:
        asked = attempt.asked
        return self._party.say(kind, self._party.buyer, asked.round, evaluation=asked.evaluation, attempt=attempt.number, **content)


def _factor(asked: Evaluate) -> Fraction:
    """What the weights lack: v is computed so much smaller, and the products so much smaller squared."""
    return Fraction(asked.numerator, asked.denominator)


def _dot(first: Sequence[int], second: Sequence[int]) -> int:
    return sum(a * b for a, b in zip(first, second, strict=True))
