"""How much each trainer contributed, from the errors of coalitions' models (T§7.5; protocol.md §8).

Every trainer trains once alone, from the same initial weights; a coalition's model is the average of its members' solo models,
the empty coalition's is the trainers' mean target. A gain is how much a trainer lowers the error of the coalitions it joins:

    shapley          the mean over all orders of joining; exact up to 15 trainers, sampled above
    leave_one_out    MSE(all without i) - MSE(all), what the 2019 system meant; its code had the sign inverted and paid most
                     to the owner whose absence helped most

Limits: a duplicated owner's pair earns about 1.7 times the single share, so sybils pay off; and a solo model is not bound to the
updates the same trainer sends (`robust=True` looks at those).
"""

from __future__ import annotations

import hashlib
import itertools
import math
import random
import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from fractions import Fraction

from deltaml_core.errors import TermsError
from deltaml_core.measurement import Measurement, Metric, pairs

RULES = ("shapley", "leave_one_out")
EXACT_TRAINERS = 15
SAMPLED_ORDERS = 2000
HARM = Fraction(4, 3)
"""A trainer that raises the error of every coalition it joins by more than this factor is left out (`robust`)."""

Coalition = tuple[str, ...]
ErrorOf = Callable[[Coalition], Metric]


class GramErrors:
    """The error of every coalition's averaged model, from the Gram matrix of its members' errors.

    `MSE(S) = sum_{i,k in S} G_ik / |S|**2 / rows`, exactly.
    """

    def __init__(self, trainers: Sequence[str], gram: Measurement, mean: Metric | None = None) -> None:
        """`gram` measures the trainers' models in this order, `mean` the mean predictor, which stands for nobody's."""
        self._places = {trainer: place for place, trainer in enumerate(trainers)}
        self._gram = dict(zip(pairs(len(trainers)), gram.plaintexts, strict=True))
        self._scale, self._rows, self._mean = gram.scale, gram.rows, mean

    def __call__(self, coalition: Coalition) -> Metric:
        """The coalition's error; members in any order."""
        if not coalition:
            if self._mean is None:
                raise TermsError("the mean predictor was not measured")
            return self._mean
        places = sorted(self._places[member] for member in coalition)
        products = (self._gram[i, k] * (1 if i == k else 2) for number, i in enumerate(places) for k in places[number:])
        return Metric(sum(products), self._scale, self._rows * len(places) ** 2)

    def joining(self, order: Sequence[str]) -> Iterator[Metric]:
        """The errors of the coalitions that grow in this order, each from the one before it."""
        total, members = 0, list[int]()
        for trainer in order:
            place = self._places[trainer]
            total += self._gram[place, place] + 2 * sum(self._gram[min(place, other), max(place, other)] for other in members)
            members.append(place)
            yield Metric(total, self._scale, self._rows * len(members) ** 2)


def coalitions(rule: str, trainers: Sequence[str]) -> list[Coalition]:
    """The coalitions that have to be measured one by one where no Gram matrix is to be had.

    Raises:
        TermsError: the rule needs too many.
    """
    if rule != "leave_one_out":
        raise TermsError(f'contributions="{rule}" needs the error of every coalition; choose metrics="verifiable" or "leave_one_out"')
    return [tuple(trainers), *_without_each(trainers)]


def gains(rule: str, trainers: Sequence[str], error: ErrorOf, left_out: Collection[str] = (), dropped: Collection[str] = ()) -> list[int]:
    """Each trainer's gain in units of 10**-18 of squared target units, rounded down; negative when it does harm.

    Args:
        rule: one of `RULES`.
        trainers: in the contract's order.
        error: of each coalition; asked for those the rule needs.
        left_out: trainers whose updates were not used in the end; they gained nothing.
        dropped: trainers that vanished; nothing of theirs was measured, and they gained nothing.

    Raises:
        TermsError: no rule of that name, or more coalitions than are measured.
    """
    return gains_with_errors(rule, trainers, error, left_out, dropped)[0]


def gains_with_errors(
    rule: str, trainers: Sequence[str], error: ErrorOf, left_out: Collection[str] = (), dropped: Collection[str] = ()
) -> tuple[list[int], list[float]]:
    """`gains`, and the standard error of each in the same unit: 0 unless they were sampled."""
    remaining = [trainer for trainer in trainers if trainer not in dropped]
    values, deviations = _found(rule, remaining, error)
    gained = [min(0, gain) if trainer in left_out else gain for trainer, gain in zip(remaining, values, strict=True)]
    found, errors = dict(zip(remaining, gained, strict=True)), dict(zip(remaining, deviations, strict=True))
    return [found.get(trainer, 0) for trainer in trainers], [errors.get(trainer, 0.0) for trainer in trainers]


def _found(rule: str, trainers: Sequence[str], error: ErrorOf) -> tuple[list[int], list[float]]:
    if rule not in RULES:
        raise TermsError(f"contributions={rule!r} is not known; choose one of {', '.join(RULES)}")
    exact = [0.0] * len(trainers)
    if rule == "leave_one_out":
        everybody = error(tuple(trainers)).units
        return [error(without).units - everybody for without in _without_each(trainers)], exact
    if len(trainers) <= EXACT_TRAINERS:
        return exact_shapley(trainers, error), exact
    if isinstance(error, GramErrors):
        return sampled_shapley(trainers, error)
    raise TermsError(f"Shapley values of {len(trainers)} trainers are sampled from a Gram matrix, which was not measured")


def exact_shapley(trainers: Sequence[str], error: ErrorOf) -> list[int]:
    """Shapley values of the drop in error, over all 2**k coalitions (L. S. Shapley, 1953), rounded down to a unit."""
    k = len(trainers)
    units = [error(tuple(trainer for place, trainer in enumerate(trainers) if members >> place & 1)).units for members in range(1 << k)]
    weights = [math.factorial(size) * math.factorial(k - size - 1) for size in range(k)]
    totals = [0] * k
    for members, value in enumerate(units):
        weight = weights[members.bit_count()] if members.bit_count() < k else 0
        for place in range(k):
            if not members >> place & 1:
                totals[place] += weight * (value - units[members | 1 << place])
    return [total // math.factorial(k) for total in totals]


def sampled_shapley(trainers: Sequence[str], error: GramErrors, orders: int = SAMPLED_ORDERS) -> tuple[list[int], list[float]]:
    """Shapley values from random orders of joining, with their standard errors, both in units of 10**-18.

    The orders are drawn from a hash of the opened errors, so that everybody draws the same and nobody chooses them. The standard
    error falls with the square root of `orders`.
    """
    nobody = error(())
    seed = f"{error(tuple(trainers)).squared_error}|{nobody.squared_error}|{','.join(trainers)}"
    draw = random.Random(hashlib.sha256(seed.encode()).digest())
    marginals: dict[str, list[int]] = {trainer: [] for trainer in trainers}
    for _ in range(orders):
        order = draw.sample(list(trainers), len(trainers))
        before = nobody.units
        for trainer, metric in zip(order, error.joining(order), strict=True):
            marginals[trainer].append(before - metric.units)
            before = metric.units
    values = [sum(marginals[trainer]) // orders for trainer in trainers]
    return values, [statistics.stdev(map(float, marginals[trainer])) / math.sqrt(orders) for trainer in trainers]


def worst_harm(trainers: Sequence[str], error: GramErrors) -> str | None:
    """The trainer whose update raises the error of every coalition it joins by more than a third, the most harmful of several; or None.

    Up to 15 trainers all coalitions are tried, above each other trainer alone and all of them together. A trainer that merely makes
    them worse stays: the updates of a round begin at the same weights and differ little, so the weakest honest one makes every average
    a little worse, and once it had gone the next weakest would. Measured: honest owners raise every coalition's error by at most 17 %
    (the paper's, in round 3) or 27 % (rows dealt by the order of their targets), an update scaled by 2 or 3 by 48 or 118 %.

    Not caught: an update scaled by less, one with its sign turned (it mends an average that overshoots), and poisoners that resemble
    each other (each is no worse than the other alone).
    """
    harmed = {}
    for left, others in zip(trainers, _without_each(trainers), strict=True):
        if not others:
            continue
        tried = _subsets(others) if len(trainers) <= EXACT_TRAINERS else [*((other,) for other in others), others]
        if all(error((*coalition, left)).exact > HARM * error(coalition).exact for coalition in tried):
            harmed[left] = error(tuple(trainers)).exact - error(others).exact
    return max(harmed, key=lambda trainer: harmed[trainer]) if harmed else None


def shares(gained: Sequence[int]) -> list[float]:
    """Gains as shares of what is paid for contribution: negative ones count nothing, the sum is 1, or 0 when nobody gained."""
    positive = [max(0, gain) for gain in gained]
    total = sum(positive)
    return [gain / total if total else 0.0 for gain in positive]


def _without_each(trainers: Sequence[str]) -> list[Coalition]:
    return [tuple(other for other in trainers if other != left) for left in trainers]


def _subsets(members: Coalition) -> list[Coalition]:
    return [subset for size in range(1, len(members) + 1) for subset in itertools.combinations(members, size)]
