"""What everybody checks of a measurement: that an opened sum can be a squared error, and that it is the validators' sum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from deltaml_core import fixedpoint
from deltaml_core.errors import MetricError
from deltaml_core.fixedpoint import Slots
from deltaml_core.measurement import Measurement, pairs
from deltaml_core.messages import Measured
from deltaml_core.party import Party
from deltaml_core.schedule import MAXIMUM_PARTIES, error_slots
from deltaml_core.schemes.base import Ciphertexts, Opening, PublicKey
from deltaml_core.terms import TrainingTerms

SOLO_SLACK = 16
"""A trainer's own model may be so much worse than the federated one: on few rows it fits noise, and still nobody has cheated."""

ATTEMPTS = 2
"""A failed zero test is repeated once, with a ciphertext for every entry."""


def slots_of(party: Party, scale: int, attempt: int) -> Slots:
    """How error vectors share ciphertexts in an attempt."""
    slots = error_slots(party.terms, party.key.capacity, scale)
    return slots if attempt == 1 else replace(slots, per_plaintext=1)


def range_fault(terms: TrainingTerms, plaintexts: Sequence[int], scale: int, models: int, rows: int) -> str | None:
    """Why these cannot be sums of squared errors, or of products of errors, or None.

    Args:
        terms: the request's terms.
        plaintexts: one for each pair of models.
        scale: of the measured weights.
        models: how many.
        rows: of all validators.
    """
    bound = largest_sum(terms, scale, models, rows)
    for (i, k), plaintext in zip(pairs(models), plaintexts, strict=True):
        if (i == k and plaintext < 0) or abs(plaintext) > bound:
            return f"it is no squared error of a sensible model: the root mean square would exceed {_largest_error(terms, models):g}"
    return None


def largest_sum(terms: TrainingTerms, scale: int, models: int, rows: int) -> int:
    """No sum of squared errors, or of products of errors, is larger in magnitude; arguments as of `range_fault`."""
    return fixedpoint.encode(Fraction(_largest_error(terms, models)) ** 2 * rows, 2 * (scale + terms.row_bits))


def _largest_error(terms: TrainingTerms, models: int) -> float:
    return terms.error_bound * (1 if models == 1 else SOLO_SLACK)


def total(key: PublicKey, values: Ciphertexts, count: int) -> Ciphertexts:
    """The sum of several validators' values, `count` of each, one after the other. Not fresh."""
    result = values[:count]
    for start in range(count, len(values), count):
        result = key.add(result, values[start : start + count])
    return result


@dataclass(frozen=True)
class Announced:
    """A measurement as it was announced; whether its opening holds is another question.

    Attributes:
        number: of the measurement.
        measurement: what it says.
        openings: of the measurement's ciphertexts.
    """

    number: int
    measurement: Measurement
    openings: tuple[Opening, ...]


def announced(party: Party, measured: Measured) -> Announced:
    """Read a measurement from what was announced with it, and check all but its opening.

    Raises:
        MetricError: naming what does not hold.
    """
    if not 1 <= measured.models <= MAXIMUM_PARTIES:
        raise MetricError(f"{measured.models} models are not a measurement", measured.sender)
    key, count = party.key, len(pairs(measured.models))
    if len(measured.rows) != len(measured.validators) or len(measured.plaintexts) != count or len(measured.randomness) != count:
        raise MetricError(f"measurement {measured.evaluation} is incomplete", measured.sender)
    sums = total(key, key.check(measured.values, count * len(measured.validators), measured.sender), count)
    rows = sum(measured.rows)
    if fault := range_fault(party.terms, measured.plaintexts, measured.scale, measured.models, rows):
        raise MetricError(f"measurement {measured.evaluation}: {fault}", measured.sender)
    measurement = Measurement(measured.plaintexts, measured.scale + party.terms.row_bits, rows, measured.models, sums)
    openings = tuple(Opening(m, r) for m, r in zip(measured.plaintexts, measured.randomness, strict=True))
    return Announced(measured.evaluation, measurement, openings)


def verify_openings(key: PublicKey, opened: Iterable[Announced], sender: str) -> None:
    """Check the openings of announced measurements, all at the cost of little more than one.

    Raises:
        MetricError: naming the first that does not hold.
    """
    together = list(opened)
    ciphertexts = tuple(ciphertext for one in together for ciphertext in one.measurement.ciphertexts)
    if key.verify_all(ciphertexts, [opening for one in together for opening in one.openings]):
        return
    for one in together:
        if not key.verify_all(one.measurement.ciphertexts, one.openings):
            raise MetricError(f"the opening of measurement {one.number} does not hold", sender)
