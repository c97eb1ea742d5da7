"""The payout reference: the golden vectors that the contract's tests read too, and the rules as properties."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.errors import TermsError
from deltaml_core.payouts import improvement, outcomes, split_escrow

VECTORS = Path(__file__).parent / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "payouts.json").read_text())


def integers(texts: list[str]) -> tuple[int, ...]:
    return tuple(int(text) for text in texts)


def test_there_are_at_least_200_vectors_and_each_sums_to_its_escrow() -> None:
    assert len(CASES) >= 200
    for case in CASES:
        paid = case["payouts_wei"]
        amounts = integers([*paid["trainers"], *paid["validators"], paid["aggregator"], case["refund_wei"]])
        assert sum(amounts) == int(case["escrow_wei"])
        assert min(amounts) >= 0


@pytest.mark.parametrize("number", range(len(CASES)))
def test_the_reference_pays_what_the_vector_says(number: int) -> None:
    case = CASES[number]
    trainers_bps, validators_bps, aggregator_bps = integers(case["shares_bps"])
    paid = split_escrow(
        escrow_wei=int(case["escrow_wei"]),
        initial=int(case["initial"]),
        final=int(case["final"]),
        gains=integers(case["gains"]),
        validators=int(case["validators"]),
        minimum_wei=int(case["minimum_wei"]),
        shares_bps=(trainers_bps, validators_bps, aggregator_bps),
    )
    assert paid.trainers_wei == integers(case["payouts_wei"]["trainers"])
    assert paid.validators_wei == integers(case["payouts_wei"]["validators"])
    assert paid.aggregator_wei == int(case["payouts_wei"]["aggregator"])
    assert paid.refund_wei == int(case["refund_wei"])


def test_the_vectors_are_what_their_generator_writes(tmp_path: Path) -> None:
    script = tmp_path / "make_contract_vectors.py"
    script.write_text((VECTORS / "make_contract_vectors.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True)
    for name in ("payouts.json", "openings.json"):
        assert (tmp_path / name).read_text() == (VECTORS / name).read_text()


amounts = st.integers(0, 2**128 - 1)
errors = st.integers(0, 2**192 - 1)
gain_lists = st.lists(st.integers(-(2**192) + 1, 2**192 - 1), min_size=1, max_size=45)


@given(amounts, errors, errors, gain_lists, st.integers(1, 19), st.integers(0, 2**60))
def test_everything_paid_and_refunded_is_the_escrow_and_owners_get_their_minimum(
    rest: int, initial: int, final: int, gains: list[int], validators: int, minimum: int
) -> None:
    escrow = rest + minimum * (len(gains) + validators)
    paid = split_escrow(escrow_wei=escrow, initial=initial, final=final, gains=gains, validators=validators, minimum_wei=minimum)
    assert sum(paid.trainers_wei) + sum(paid.validators_wei) + paid.aggregator_wei + paid.refund_wei == escrow
    assert min(*paid.trainers_wei, *paid.validators_wei) >= minimum
    assert min(paid.refund_wei, paid.aggregator_wei) >= 0
    assert all(amount == minimum for amount, gain in zip(paid.trainers_wei, gains, strict=True) if gain <= 0)


@given(amounts, errors, errors, gain_lists, st.integers(1, 19))
def test_a_larger_gain_never_earns_less_and_a_common_factor_changes_nothing_but_dust(
    escrow: int, initial: int, final: int, gains: list[int], validators: int
) -> None:
    paid = split_escrow(escrow_wei=escrow, initial=initial, final=final, gains=gains, validators=validators)
    ranked = sorted(zip(gains, paid.trainers_wei, strict=True))
    assert [amount for _, amount in ranked] == sorted(amount for _, amount in ranked)
    scaled = split_escrow(escrow_wei=escrow, initial=initial, final=final, gains=[3 * gain for gain in gains], validators=validators)
    assert scaled == paid


@pytest.mark.parametrize(
    ("initial", "final", "expected"),
    [(0, 0, 0), (0, 5, 0), (5, 5, 0), (5, 6, 0), (5, 0, 10**18), (3, 2, 333333333333333333), (10, 5, 5 * 10**17)],
)
def test_improvement_is_the_part_of_the_error_that_went_away(initial: int, final: int, expected: int) -> None:
    assert improvement(initial, final) == expected


@pytest.mark.parametrize(
    "changes",
    [{"escrow_wei": -1}, {"minimum_wei": 4}, {"shares_bps": (7000, 2000, 1001)}, {"validators": 0}, {"initial": -1}, {"final": -1}],
)
def test_what_no_contract_would_hold_is_refused(changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {"escrow_wei": 10, "initial": 2, "final": 1, "gains": [1, 1], "validators": 1, **changes}
    with pytest.raises(TermsError, match=r"negative|shares|validator|escrow"):
        split_escrow(**values)


def test_what_a_request_would_cost_is_said_for_several_improvements() -> None:
    found = outcomes(1000, 5, [0, 0.25, 0.5, 1])
    assert [(one.trainers_wei, one.validators_wei, one.aggregator_wei, one.refund_wei) for one in found] == [
        (0, 200, 100, 700),
        (172, 200, 100, 528),  # four trainers of 43 each; a wei is lost to each one's division
        (348, 200, 100, 352),
        (700, 200, 100, 0),
    ]


@pytest.mark.parametrize(("owners", "validators"), [(2, 1), (3, 1), (6, 1), (7, 2), (10, 3), (64, 19)])
def test_an_outcome_counts_validators_as_the_contract_deals_them(owners: int, validators: int) -> None:
    (found,) = outcomes(owners, owners, [0], minimum_wei=1)
    assert (found.validators_wei, found.trainers_wei) == (validators, owners - validators)


@given(st.integers(0, 10**20), st.integers(2, 64), st.floats(0, 1))
def test_an_outcome_is_the_whole_escrow(escrow_wei: int, owners: int, share: float) -> None:
    (found,) = outcomes(escrow_wei, owners, [share])
    assert found.trainers_wei + found.validators_wei + found.aggregator_wei + found.refund_wei == escrow_wei
    assert min(found.trainers_wei, found.validators_wei, found.aggregator_wei, found.refund_wei) >= 0


def test_an_escrow_that_pays_no_minimum_has_no_outcome() -> None:
    with pytest.raises(TermsError, match="cannot pay 2 wei to each of 5 owners"):
        outcomes(9, 5, [0.5], minimum_wei=2)
