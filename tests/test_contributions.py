"""Gains and shares from coalitions' errors."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.contributions import coalitions, gains, shares
from deltaml_core.errors import TermsError
from deltaml_core.measurement import UNITS, Metric

RULE = "leave_one_out"


def errors(**mse: int) -> dict[tuple[str, ...], Metric]:
    """Coalitions named by their members' letters, measured on two rows at a scale of 4 bits."""
    return {tuple(name.strip("_")): Metric(value * 2 << 8, 4, 2) for name, value in mse.items()}


def test_a_metric_is_exact() -> None:
    metric = Metric(squared_error=3 << 8, scale=4, rows=2)
    assert metric.mse == 1.5
    assert metric.units == 3 * UNITS // 2
    assert Metric(1, 0, 3).units == UNITS // 3
    assert Metric(1, 0, 3).exact.denominator == 3


def test_leave_one_out_measures_everybody_and_everybody_but_one() -> None:
    assert coalitions(RULE, "abc") == [("a", "b", "c"), ("b", "c"), ("a", "c"), ("a", "b")]
    assert coalitions(RULE, ["a"]) == [("a",), ()]


def test_whose_absence_raises_the_error_gains() -> None:
    """The right sign: the 2019 system had it inverted."""
    found = gains(RULE, "abc", errors(abc=100, bc=130, ac=90, ab=100).__getitem__)
    assert found == [30 * UNITS, -10 * UNITS, 0]
    assert shares(found) == [1, 0, 0]


def test_a_trainer_alone_is_compared_with_the_mean() -> None:
    assert gains(RULE, "a", errors(a=60, _=100).__getitem__) == [40 * UNITS]


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(TermsError, match="contributions='equal' is not known; choose one of shapley, leave_one_out"):
        gains("equal", "ab", errors(ab=1).__getitem__)
    with pytest.raises(TermsError, match="needs the error of every coalition"):
        coalitions("shapley", "ab")


@given(st.lists(st.integers(0, 10**6), min_size=4, max_size=4))
def test_gains_are_differences_of_errors(values: list[int]) -> None:
    names = "abc"
    groups = [tuple(names), *combinations(names, 2)]
    measured = {group: Metric(value, 0, 1) for group, value in zip(groups, values, strict=True)}
    everybody, without_c, without_b, without_a = values
    assert gains(RULE, names, measured.__getitem__) == [(value - everybody) * UNITS for value in (without_a, without_b, without_c)]


@given(st.lists(st.integers(-(10**30), 10**30), max_size=12))
def test_shares_are_proportional_to_positive_gains_and_sum_to_one_or_nothing(gained: list[int]) -> None:
    found = shares(gained)
    assert len(found) == len(gained)
    assert all(share >= 0 for share in found)
    assert all((share == 0) == (gain <= 0) for share, gain in zip(found, gained, strict=True))
    assert sum(found) == pytest.approx(1 if max(gained, default=0) > 0 else 0)
    assert sorted(found) == [found[i] for i in sorted(range(len(found)), key=lambda i: max(0, gained[i]))]
