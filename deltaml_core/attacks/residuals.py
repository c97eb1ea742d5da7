"""A validator's rows and labels out of the noise metric (T§7.6; protocol.md §4).

    who attacks     the Model Buyer, who answers honestly throughout
    what it holds   its secret key, and the terms, which it chose itself
    what it sees    the weights at every refresh; every residual r = y - x.w, once the aggregator has revealed its noise
    what it learns  all rows of every validator, features and target, to the resolution of the fixed-point numbers

Each measurement at known weights is a linear equation in a row's d + 1 unknowns (its target and d features, the intercept's one
among them), so d + 1 measurements suffice: 12 on the paper's data. Gradient descent moves along nearly the same line all the time,
and floats would drown in the equations' condition; but weights and residuals are exact integers, and so is the solution.

The buyer knows the weights of a measurement that follows a refresh. Of the paper's own terms that are 17 of 51 measurements; and
since it is the buyer who posts the request, it may ask for measurements no closer than the key has room for: then all are.

Under `metrics="verifiable"` the buyer is sent no residual and no weight, and there is nothing to solve.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.attacks.captured import AttackFailed, BuyersView, of_kind
from deltaml_core.messages import OpenResiduals, Refresh, RevealNoise
from deltaml_core.schedule import Kind, residual_slots, schedule, weight_slots
from deltaml_core.statistics import Array
from deltaml_core.terms import TrainingTerms

Weights = tuple[int, ...]
_Known = dict[tuple[int, int], Weights]


@dataclass(frozen=True)
class RecoveredRows:
    """What one validator believed to be its own.

    Attributes:
        X: (m, d - 1), without the intercept's column.
        y: (m,).
        measurements: how many the solution took.
    """

    X: Array
    y: Array
    measurements: int


def known_evaluations(terms: TrainingTerms, capacity: int) -> int:
    """How many measurements of the model will be of weights that the buyer knows; for posting a request."""
    steps = schedule(terms, capacity)
    refreshed = {step.round for step in steps if step.kind is Kind.REFRESH} | {0}
    return sum(step.kind is Kind.EVALUATE and step.scale == terms.base_scale and step.round in refreshed for step in steps)


def recover_rows(view: BuyersView) -> list[RecoveredRows]:
    """Every validator's rows, in the order the aggregator names the validators.

    Raises:
        AttackFailed: the buyer was not shown enough.
    """
    equations = _equations(view)
    scale, chosen = max(equations.items(), key=lambda item: len(item[1]), default=(0, []))
    needed = view.terms.weights + 1
    basis = _independent([(1, *(-weight for weight in weights)) for weights, _ in chosen])
    if len(basis) < needed:
        raise AttackFailed(
            f"the rows have {needed} unknowns each, but the buyer saw residuals at {len(basis)} known weights: "
            f"of its {len(view.received)} messages none shows more"
        )
    coefficients = [[Fraction(1), *(Fraction(-weight) for weight in chosen[place][0])] for place in basis]
    owners = len(chosen[0][1])
    recovered = []
    for owner in range(owners):
        solution = _solve(coefficients, [[Fraction(r) for r in chosen[place][1][owner]] for place in basis])
        targets = [fixedpoint.decode(round(entry), scale + view.terms.row_bits) for entry in solution[0]]
        columns = [[float(entry / (1 << view.terms.row_bits)) for entry in column] for column in solution[1:]]
        if set(columns[-1]) != {1.0}:
            raise AttackFailed("the intercept's column does not come out as ones: the residuals are not of these weights")
        recovered.append(RecoveredRows(np.array(columns[:-1]).T, np.array(targets), len(basis)))
    return recovered


def residuals_shown(view: BuyersView) -> list[float]:
    """Every residual at known weights that the buyer has once the aggregator's noise is off; none with the verifiable metric."""
    return [
        fixedpoint.decode(residual, scale + view.terms.row_bits)
        for scale, measured in _equations(view).items()
        for _, owners in measured
        for rows in owners
        for residual in rows
    ]


def _equations(view: BuyersView) -> dict[int, list[tuple[Weights, list[list[int]]]]]:
    """By scale: known weights, and the residuals of every validator's rows under them."""
    known = _known_weights(view)
    noise = {revealed.evaluation: revealed.noise for revealed in of_kind(RevealNoise, view.received)}
    found = defaultdict(list)
    for asked in of_kind(OpenResiduals, view.received):
        weights = known.get((asked.round, asked.scale))
        if weights is None or asked.evaluation not in noise:
            continue
        slots = residual_slots(view.terms, view.capacity, asked.scale)
        plaintexts, masks = view.key.decrypt(asked.packed), list(noise[asked.evaluation])
        owners = []
        for rows in asked.rows:
            size = slots.plaintexts(rows)
            digits = slots.split_all(plaintexts[:size], rows)
            owners.append([digit - mask - slots.offset for digit, mask in zip(digits, masks[:rows], strict=True)])
            plaintexts, masks = plaintexts[size:], masks[rows:]
        found[asked.scale].append((weights, owners))
    return found


def _known_weights(view: BuyersView) -> _Known:
    """By round and scale: the zeros it began with, and what it decrypted and rounded at each refresh."""
    terms = view.terms
    known: _Known = {(0, terms.base_scale): (0,) * terms.weights}
    for asked in of_kind(Refresh, view.received):
        slots = weight_slots(terms, view.capacity, asked.scale)
        weights = [digit - slots.offset for digit in slots.split_all(view.key.decrypt(asked.packed), terms.weights)]
        known[asked.round, asked.scale] = tuple(weights)
        drop = asked.scale - terms.base_scale
        known[asked.round, terms.base_scale] = tuple(fixedpoint.round_shift(weight, drop) for weight in weights)
    return known


def _independent(rows: Sequence[Sequence[int]]) -> list[int]:
    """Places of rows that do not follow from those before them."""
    reduced: list[tuple[int, list[Fraction]]] = []
    places = []
    for place, row in enumerate(rows):
        rest = [Fraction(entry) for entry in row]
        for pivot, other in reduced:
            factor = rest[pivot] / other[pivot]
            rest = [a - factor * b for a, b in zip(rest, other, strict=True)]
        lead = next((column for column, entry in enumerate(rest) if entry), None)
        if lead is not None:
            reduced.append((lead, rest))
            places.append(place)
    return places


def _solve(coefficients: list[list[Fraction]], right: list[list[Fraction]]) -> list[list[Fraction]]:
    """`coefficients^-1 right`, exactly; one row an unknown."""
    size = len(coefficients)
    table = [[*left, *known] for left, known in zip(coefficients, right, strict=True)]
    for column in range(size):
        pivot = next(row for row in range(column, size) if table[row][column])
        table[column], table[pivot] = table[pivot], table[column]
        lead = table[column][column]
        table[column] = [entry / lead for entry in table[column]]
        for row in range(size):
            if row != column and (factor := table[row][column]):
                table[row] = [a - factor * b for a, b in zip(table[row], table[column], strict=True)]
    return [row[size:] for row in table]
