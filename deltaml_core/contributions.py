"""How much each trainer contributed, from the errors of coalitions' models (T§7.5; protocol.md §8).

Every trainer trains once alone, from the same initial weights; a coalition's model is the average of its members' solo models,
the empty coalition's is the trainers' mean target. A gain is how much a trainer lowers the error of the coalitions it joins.

`leave_one_out` is what the 2019 system meant: `gain_i = MSE(all without i) - MSE(all)`. Its code had the sign inverted and paid
most to the owner whose absence helped most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deltaml_core.errors import TermsError
from deltaml_core.metrics.base import Metric

Coalition = tuple[str, ...]


def coalitions(rule: str, trainers: Sequence[str]) -> list[Coalition]:
    """The coalitions a rule has to measure, members in the order of `trainers`.

    Raises:
        TermsError: no rule of that name.
    """
    if rule != "leave_one_out":
        raise TermsError(f"there is no contributions rule {rule!r}")
    return [tuple(trainers), *(tuple(other for other in trainers if other != left) for left in trainers)]


def gains(rule: str, trainers: Sequence[str], errors: Mapping[Coalition, Metric]) -> list[int]:
    """Each trainer's gain in units of 10**-18 of squared target units; negative when it does harm.

    Args:
        rule: the request's `contributions`.
        trainers: in the contract's order.
        errors: the measured coalitions.

    Raises:
        TermsError: no rule of that name, or a coalition it needs was not measured.
    """
    everybody, *others = coalitions(rule, trainers)
    missing = [coalition for coalition in (everybody, *others) if coalition not in errors]
    if missing:
        raise TermsError(f"the error of {len(missing)} coalitions was not measured, the first of them {missing[0]}")
    return [errors[without].units - errors[everybody].units for without in others]


def shares(gained: Sequence[int]) -> list[float]:
    """Gains as shares of what is paid for contribution: negative ones count nothing, the sum is 1, or 0 when nobody gained."""
    positive = [max(0, gain) for gain in gained]
    total = sum(positive)
    return [gain / total if total else 0.0 for gain in positive]
