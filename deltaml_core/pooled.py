"""Sums over owners that the buyer may know once it knows its model: a held-out error, and the normal equations.

    party        sends                                              learns
    owner        [[its own sum]], freshly randomised                 nothing (of the weights: they come encrypted)
    aggregator   the product of what owners send                    nothing
    buyer        [[w_i]], [[w_i w_j]]                               the sum over all owners, and nothing of a single one

Semi-honest: nobody proves anything here.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.errors import ScaleBudgetError, TermsError
from deltaml_core.fixedpoint import Slots
from deltaml_core.objectives import Objective
from deltaml_core.schemes.base import Ciphertexts, PrivateKey, PublicKey
from deltaml_core.statistics import Array, Requirements, Statistics

_BITS = 60
"""Fractional bits beyond the largest value's own: more than a float has."""
_BLUR_BITS = 30
"""A sum is blurred below 2**-30 of its own bound: an exact one would publish the low digits of every owner's statistics."""


def mean_squared_error(key: PrivateKey, weights: Array, owners: Sequence[Statistics], *, target_range: float) -> float:
    """The error of weights that the buyer knows, pooled over the owners' rows: each owner is asked once.

    Args:
        key: the buyer's.
        weights: (d,), as they were trained, intercept last.
        owners: where there is one only, its own error is what is told.
        target_range: width of the declared target; the blur is below `2**-30 * target_range**2`.

    Returns:
        In squared target units; negative only by the blur.

    Raises:
        ScaleBudgetError: the key is too short for these numbers.
    """
    rows, columns = np.triu_indices(len(weights))
    asked = np.concatenate([weights[rows] * weights[columns], weights])
    largest = float(np.abs(asked).max(initial=1.0))
    scale = _BITS - fixedpoint.bits_for(largest)
    vector = key.encrypt(fixedpoint.encode_array(asked, scale))
    forms = [np.concatenate([one.A[rows, columns] * np.where(rows == columns, 1, 2), -2 * one.b]) for one in owners]
    total = sum(float(np.abs(form).sum()) * largest + abs(one.c) for form, one in zip(forms, owners, strict=True))
    _check_room(key.public, fixedpoint.bits_for(total) + scale + _BITS)
    answers = []
    for form, one in zip(forms, owners, strict=True):
        blur = fixedpoint.encode(target_range**2 * one.rows, scale + _BITS - _BLUR_BITS)
        offset = fixedpoint.encode(one.c, scale + _BITS) + secrets.randbelow(max(1, blur))
        answers.append(key.public.affine(key.public.prepare([fixedpoint.encode_array(form, _BITS)]), [offset], vector))
    (error,) = key.decrypt(_sum(key.public, answers))
    return fixedpoint.decode(error, scale + _BITS) / sum(one.rows for one in owners)


def normal_equations(key: PrivateKey, trainers: Sequence[Statistics], objective: Objective, requirements: Requirements) -> Array:
    """The weights that minimise the objective over all trainers' rows, in one exchange (the buyer solves `A w = b`).

    What it costs in privacy: the buyer learns the trainers' pooled `X'X` and `X'y`, that is every mean, variance and covariance of their
    rows together. With descent it learns the model alone.

    Args:
        key: the buyer's.
        trainers: of two owners at least, as `Objective.prepare` left their rows.
        objective: adds its penalty.
        requirements: bound what an owner may send.

    Returns:
        (d,), as they would be trained, intercept last; of least norm where the rows leave some open.

    Raises:
        TermsError: fewer than two trainers.
        ScaleBudgetError: the key is too short for these numbers.
    """
    if len(trainers) < 2:
        raise TermsError("a sum over one trainer hides nobody: two at least are needed")
    d, rows = len(trainers[0].b), sum(one.rows for one in trainers)
    largest = max(1.0, *(column.magnitude for column in (*requirements.features, requirements.target)))
    value_bits = fixedpoint.bits_for(largest**2 * rows) + _BITS
    slots = Slots(value_bits, value_bits + 1 + len(trainers).bit_length(), 1)
    _check_room(key.public, slots.width)
    slots = Slots(slots.value_bits, slots.width, key.public.capacity // slots.width)
    upper = np.triu_indices(d)
    sent = []
    for one in trainers:
        digits = [value + slots.offset for value in fixedpoint.encode_array(np.concatenate([one.A[upper], one.b]), _BITS)]
        sent.append(key.public.encrypt(slots.join_all(digits)))
    count = len(upper[0]) + d
    opened = slots.split_all(key.decrypt(_sum(key.public, sent)), count)
    sums = fixedpoint.decode_array([value - len(trainers) * slots.offset for value in opened], _BITS)
    A = np.zeros((d, d))
    A[upper] = sums[:-d]
    A = A + np.triu(A, 1).T
    pooled = objective.penalised(Statistics(A, sums[-d:], 0.0, rows))
    return np.asarray(np.linalg.lstsq(pooled.A, pooled.b, rcond=None)[0])


def _sum(key: PublicKey, sent: Sequence[Ciphertexts]) -> Ciphertexts:
    """The aggregator's part."""
    total, *others = sent
    for ciphertexts in others:
        total = key.add(total, ciphertexts)
    return total


def _check_room(key: PublicKey, bits: int) -> None:
    if bits >= key.capacity:
        raise ScaleBudgetError(f"this takes integers of {bits} bits, and a {key.bits}-bit key holds {key.capacity}: use a longer key")
