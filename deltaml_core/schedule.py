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
from deltaml_core.terms import TrainingTerms

MASK_BITS = 80
"""A mask is so much longer than what it hides: 2**-80 is the distance to a perfect one (protocol.md §5)."""


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
        if _round_bits(terms, scale) > capacity:
            steps.append(Step(Kind.REFRESH, number - 1, scale))
            scale = terms.base_scale
        steps.append(Step(Kind.TRAIN, number, scale))
        scale += terms.map_bits
        if number % terms.evaluate_every == 0 or number == terms.rounds:
            if _slot_width(terms, scale) > min(capacity, 2 * _slot_width(terms, terms.base_scale)):
                steps.append(Step(Kind.REFRESH, number, scale))
                scale = terms.base_scale
            steps.append(Step(Kind.EVALUATE, number, scale))
    steps.append(Step(Kind.CONTRIBUTIONS, terms.rounds, terms.base_scale))
    return tuple(steps)


def final_scale(steps: tuple[Step, ...]) -> int:
    """Fractional bits of the final weights: those of the last evaluation."""
    return [step.scale for step in steps if step.kind is Kind.EVALUATE][-1]


def measurements(terms: TrainingTerms, steps: tuple[Step, ...]) -> frozenset[tuple[int, int]]:
    """(round, scale) of all weights that are measured: the federated model's, and the coalitions' after the last round."""
    federated = {(step.round, step.scale) for step in steps if step.kind is Kind.EVALUATE}
    return frozenset(federated | {(terms.rounds, terms.base_scale + terms.map_bits)})


def residual_slots(terms: TrainingTerms, capacity: int, scale: int) -> Slots:
    """How masked residuals of weights at `scale` share a plaintext."""
    return _slots(capacity, _residual_bits(terms, scale), _slot_width(terms, scale))


def weight_slots(terms: TrainingTerms, capacity: int, scale: int) -> Slots:
    """How weights at `scale` share a plaintext."""
    bits = _weight_bits(terms) + scale
    return _slots(capacity, bits, bits + 1)


def _slots(capacity: int, value_bits: int, width: int) -> Slots:
    return Slots(value_bits, width, max(1, capacity // width))


def _weight_bits(terms: TrainingTerms) -> int:
    return bits_for(terms.weight_bound) + 1  # a bit for the roundings on the way


def _round_bits(terms: TrainingTerms, scale: int) -> int:
    return _weight_bits(terms) + scale + terms.map_bits + 1


def _residual_bits(terms: TrainingTerms, scale: int) -> int:
    return bits_for(terms.residual_bound) + 1 + scale + terms.row_bits


def _slot_width(terms: TrainingTerms, scale: int) -> int:
    return _residual_bits(terms, scale) + MASK_BITS + 2


def _needed(terms: TrainingTerms) -> int:
    solo_scale = terms.base_scale + terms.map_bits  # of the coalitions' models
    return max(_round_bits(terms, terms.base_scale), _slot_width(terms, solo_scale))


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
