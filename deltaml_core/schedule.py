"""The steps of a run and the scale of the weights at each, fixed before the first one (protocol.md §3).

Every round adds F fractional bits to the encrypted weights. The schedule says when the scale must come down and proves that
nothing on the way can wrap around: what fits is decided here, from the terms' bounds, and nowhere else. All participants
derive the same schedule and refuse a message that is not on it.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from enum import Enum

from deltaml_core.errors import ScaleBudgetError
from deltaml_core.fixedpoint import Slots, bits_for
from deltaml_core.messages import Subject
from deltaml_core.terms import TrainingTerms

MASK_BITS = 80
"""A mask is so much longer than what it hides: 2**-80 is the distance to a perfect one (protocol.md §5)."""

SECRET_BITS = 80
"""Length of the secret factor by which a validator tests the buyer's products; a lie passes with probability 2**-79."""

MAXIMUM_ROWS_BITS = 40
"""No validator has more than 2**40 rows."""

MAXIMUM_PARTIES = 64
"""Owners of a request, as in the contract."""

_PARTIES_BITS = MAXIMUM_PARTIES.bit_length() - 1
_MASKS_BITS = MASK_BITS + _PARTIES_BITS + 2


class Kind(Enum):
    """What happens in a step."""

    TRAIN = "train"
    REFRESH = "refresh"
    EVALUATE = "evaluate"
    CONTRIBUTIONS = "contributions"


@dataclass(frozen=True)
class Step:
    """One step of the run.

    Attributes:
        kind: what happens.
        round: the round it belongs to; 0 before the first.
        scale: fractional bits of the weights when it begins.
    """

    kind: Kind
    round: int
    scale: int


def schedule(terms: TrainingTerms, capacity: int) -> tuple[Step, ...]:
    """All steps of a run, in order.

    Args:
        terms: the request's terms.
        capacity: bits of a signed integer the key holds.

    Raises:
        ScaleBudgetError: the key is too small for these terms; says which size or how many rounds fit.
    """
    _check_capacity(terms, capacity)
    scale = terms.base_scale
    steps = [Step(Kind.EVALUATE, 0, scale)]
    for number in range(1, terms.rounds + 1):
        updates_fit = not terms.robust or _evaluation_fits(terms, capacity, scale + terms.map_bits)
        if _round_bits(terms, scale) > capacity or not updates_fit:
            steps.append(Step(Kind.REFRESH, number - 1, scale))
            scale = terms.base_scale
        steps.append(Step(Kind.TRAIN, number, scale))
        scale += terms.map_bits
        if number % terms.evaluate_every == 0 or number == terms.rounds:
            if not _evaluation_fits(terms, capacity, scale):
                steps.append(Step(Kind.REFRESH, number, scale))
                scale = terms.base_scale
            steps.append(Step(Kind.EVALUATE, number, scale))
    steps.append(Step(Kind.CONTRIBUTIONS, terms.rounds, terms.base_scale))
    return tuple(steps)


def final_scale(steps: tuple[Step, ...]) -> int:
    """Fractional bits of the final weights: those of the last evaluation."""
    return [step.scale for step in steps if step.kind is Kind.EVALUATE][-1]


def measurements(terms: TrainingTerms, steps: tuple[Step, ...]) -> dict[Subject, frozenset[tuple[int, int]]]:
    """(round, scale) of all weights that are measured, by what they are."""
    solo = frozenset({(terms.rounds, terms.base_scale + terms.map_bits)})
    updates = frozenset((step.round, step.scale + terms.map_bits) for step in steps if step.kind is Kind.TRAIN and terms.robust)
    return {
        Subject.MODEL: frozenset((step.round, step.scale) for step in steps if step.kind is Kind.EVALUATE),
        Subject.COALITION: solo,
        Subject.SOLO_MODELS: solo,
        Subject.UPDATES: updates,
    }


def most_measurements(terms: TrainingTerms) -> dict[Subject, int]:
    """How many measurements of each kind a round has at most; whoever asks for more wants to learn more than the run needs."""
    one_by_one = terms.metrics == "noise"
    return {
        Subject.MODEL: 1,
        Subject.COALITION: MAXIMUM_PARTIES + 1 if one_by_one else 1,
        Subject.SOLO_MODELS: 1,
        Subject.UPDATES: MAXIMUM_PARTIES,
    }


def rests_on(terms: TrainingTerms, subject: Subject, round_number: int) -> bool:
    """Whether a result rests on this measurement, so that it is made once more on the rows of the others when a validator is dropped."""
    return subject in (Subject.COALITION, Subject.SOLO_MODELS) or (subject is Subject.MODEL and round_number in (0, terms.rounds))


def residual_slots(terms: TrainingTerms, capacity: int, scale: int) -> Slots:
    """How residuals of weights at `scale` share a plaintext under the aggregator's noise (`metrics="noise"`)."""
    bits = _error_bits(terms, scale)
    return _slots(capacity, bits, bits + MASK_BITS + 2)


def error_slots(terms: TrainingTerms, capacity: int, scale: int) -> Slots:
    """How the entries of error vectors share a plaintext under a validator's masks, scaled by its secret or not (protocol.md §5)."""
    bits = _error_bits(terms, scale)
    return _slots(capacity, bits, bits + SECRET_BITS + MASK_BITS + 2)


def weight_slots(terms: TrainingTerms, capacity: int, scale: int) -> Slots:
    """How weights at `scale` share a plaintext, bare."""
    bits = _weight_bits(terms) + scale
    return _slots(capacity, bits, bits + 1)


def masked_weight_slots(terms: TrainingTerms, capacity: int, scale: int) -> Slots:
    """How weights at `scale` share a plaintext under every owner's masks (protocol.md §6)."""
    bits = _weight_bits(terms) + scale
    return _slots(capacity, bits, bits + _MASKS_BITS)


def high_mask_bits(terms: TrainingTerms, scale: int) -> int:
    """Length of an owner's mask of weights that are brought from `scale` to the base scale."""
    return _weight_bits(terms) + terms.base_scale + MASK_BITS if scale > terms.base_scale else 0


def _slots(capacity: int, value_bits: int, width: int) -> Slots:
    return Slots(value_bits, width, max(1, capacity // width))


def _weight_bits(terms: TrainingTerms) -> int:
    return bits_for(terms.weight_bound) + 1  # a bit for the roundings on the way


def _error_bits(terms: TrainingTerms, scale: int) -> int:
    """Of a residual, and of an error vector's entry, which is no longer than the root mean square of all residuals."""
    return bits_for(terms.residual_bound) + 1 + scale + terms.row_bits


def _round_bits(terms: TrainingTerms, scale: int) -> int:
    """What a round that begins at `scale` needs, the masks of a refresh after it included."""
    masks = 0 if terms.metrics == "noise" else _MASKS_BITS
    return _weight_bits(terms) + scale + terms.map_bits + 1 + masks


def _evaluation_bits(terms: TrainingTerms, scale: int) -> int:
    """Width of a slot of a measurement of weights at `scale`."""
    return (residual_slots if terms.metrics == "noise" else error_slots)(terms, 0, scale).width


def _result_bits(terms: TrainingTerms, scale: int) -> int:
    """What a measurement's result needs: the validators' squared errors, summed over entries and rows."""
    if terms.metrics == "noise":
        return 0  # squared in the clear
    return 2 * _error_bits(terms, scale) + bits_for(terms.weights) + MAXIMUM_ROWS_BITS + _PARTIES_BITS + 2


def _evaluation_fits(terms: TrainingTerms, capacity: int, scale: int) -> bool:
    """Also False when a refresh before would halve the ciphertexts."""
    width = min(capacity, 2 * _evaluation_bits(terms, terms.base_scale))
    return _evaluation_bits(terms, scale) <= width and _result_bits(terms, scale) <= capacity


def _needed(terms: TrainingTerms) -> int:
    solo_scale = terms.base_scale + terms.map_bits  # of the coalitions' models
    return max(_round_bits(terms, terms.base_scale), _evaluation_bits(terms, solo_scale), _result_bits(terms, solo_scale))


def _check_capacity(terms: TrainingTerms, capacity: int) -> None:
    lacking = _needed(terms) - capacity
    if lacking <= 0:
        return
    rounds = bisect_right(range(1, terms.rounds + 1), capacity, key=lambda fewer: _needed(replace(terms, rounds=fewer)))
    fewer = f", or at most {rounds} rounds" if rounds else ""
    raise ScaleBudgetError(
        f"a {terms.key_bits}-bit key is too small for {terms.rounds} rounds on these ranges: use one of at least "
        f"{terms.key_bits + lacking + lacking % 2} bits{fewer}"
    )
