"""Refreshing: the weights come out as they went in, nobody reads them on the way, and no opening but the right one is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adversaries import Table, final_model, only
from helpers import oracle

from deltaml_core.errors import MessageError
from deltaml_core.fixedpoint import decode_array
from deltaml_core.messages import AskMasks, Evaluate, FinalModel, Masks, OpenedMasked, OpenMasked, Train, Update
from deltaml_core.schedule import MASK_BITS, Kind, high_mask_bits, masked_weight_slots
from deltaml_core.schemes.base import Opening

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

LONG: dict[str, Any] = {"rounds": 12}
"""Two refreshes under a 512-bit key: one on the way, one before the last measurement."""


def refreshes(table: Table) -> list[tuple[int, int]]:
    return [(step.round, step.scale) for step in table.seat("anybody").steps if step.kind is Kind.REFRESH]


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
@pytest.mark.parametrize(("rounds", "evaluate_every"), [(12, 2), (12, 12), (13, 5), (30, 1)])
def test_a_run_with_refreshes_equals_the_oracle(scheme: str, rounds: int, evaluate_every: int) -> None:
    table = Table(scheme=scheme, rounds=rounds, evaluate_every=evaluate_every).run()
    assert len(table.heard(OpenedMasked)) == len(refreshes(table)) >= 1
    weights, history = oracle(table.shards, [1, 2], rounds, 0.5, evaluate_every=evaluate_every)
    assert [number for number, _ in table.aggregator.history] == [number for number, _ in history]
    for (_, metric), (_, expected) in zip(table.aggregator.history, history, strict=True):
        assert metric.mse == pytest.approx(expected, rel=1e-6)
    assert table.settle() == pytest.approx(weights.tolist(), rel=1e-6)


def test_weights_lose_their_low_bits_and_nothing_else() -> None:
    """The new weights are the old ones rounded down, plus at most one unit for every trainer."""
    table = Table(scheme="plain", **LONG)
    asked = table.until(AskMasks)
    before = table.aggregator._weights
    table.until(Evaluate if (asked.round, asked.scale) == refreshes(table)[-1] else Train)
    after = table.aggregator._weights
    drop = asked.scale - table.terms.base_scale
    for old, new in zip(before, after, strict=True):
        assert (old >> drop) <= new <= (old >> drop) + len(table.trainers)


def test_what_is_opened_does_not_tell_the_weights() -> None:
    """Masks are 80 bits longer than what they hide, those of two refreshes have nothing in common, and low bits are hidden too."""
    table = Table(**LONG, key_bits=512).run()
    party = table.seat("anybody")
    opened = []
    for asked, answer in zip(table.heard(OpenMasked), table.heard(OpenedMasked), strict=True):
        slots = masked_weight_slots(table.terms, party.key.capacity, asked.scale)
        digits = [digit - slots.offset for digit in slots.split_all(answer.plaintexts, table.terms.weights)]
        assert all(digit.bit_length() > slots.value_bits + MASK_BITS - 20 for digit in digits)
        drop = asked.scale - table.terms.base_scale
        opened += [digit & ((1 << drop) - 1) for digit in digits]
        opened += [digit >> drop for digit in digits]
        weights = oracle(table.shards, [1, 2], asked.round, 0.5)[0]
        assert not np.isclose(decode_array(digits, asked.scale), weights, rtol=1e-3).any()
    assert len(set(opened)) == len(opened)


def test_owners_masks_are_long_and_never_used_again() -> None:
    table = Table(scheme="plain", **LONG).run()
    masks = table.heard(Masks)
    assert len(masks) == len(table.names) * len(refreshes(table))
    high = [value for mask in masks for value in mask.high]
    low = [value for mask in masks for value in mask.low]
    assert len(set(high)) == len(high)
    assert len(set(low)) == len(low) == len(table.trainers) * len(refreshes(table)) * table.terms.weights
    for number, scale in refreshes(table):
        longest = high_mask_bits(table.terms, scale)
        drop = scale - table.terms.base_scale
        of_round = [mask for mask in masks if mask.round == number]
        assert {len(mask.low) for mask in of_round if mask.sender in table.validators} == {0}
        assert longest - 20 < max(value for mask in of_round for value in mask.high).bit_length() <= longest
        assert all(0 <= value < 1 << drop for mask in of_round for value in mask.low)


def test_the_opening_is_proven_and_every_part_of_it_counts() -> None:
    table = Table(**LONG)
    answer = table.until(OpenedMasked)
    (asked,) = table.heard(OpenMasked)
    key = table.seat("anybody").key
    assert all(key.verify(c, Opening(m, r)) for c, m, r in zip(asked.packed, answer.plaintexts, answer.randomness, strict=True))
    spoilt = [
        {"plaintexts": (answer.plaintexts[0] + (1 << 100), *answer.plaintexts[1:])},
        {"plaintexts": answer.plaintexts[::-1] if len(answer.plaintexts) > 1 else (0,)},
        {"plaintexts": answer.plaintexts[:-1], "randomness": answer.randomness[:-1]},
        {"randomness": (0, *answer.randomness[1:])},
        {"plaintexts": (), "randomness": ()},
    ]
    for changes in spoilt:
        with pytest.raises(MessageError, match=r"opening of the masked weights does not hold|masked weights") as refusal:
            table.aggregator.handle(replace(answer, **changes))
        assert refusal.value.sender == table.buyer.address
    assert table.run().aggregator.done


@pytest.mark.parametrize("changes", [{"scale": 49}, {"scale": 300}, {"round": 3}])
def test_a_refresh_that_is_not_on_the_schedule(changes: dict[str, int]) -> None:
    table = Table(**LONG)
    asked, opened = table.until(AskMasks), None
    with pytest.raises(MessageError, match="is not on the schedule"):
        table.roles[asked.recipient].handle(replace(asked, **changes))
    opened = table.until(OpenMasked)
    table.meddle({table.aggregator_name: only(OpenMasked, lambda m: m)})
    table.say([replace(opened, **changes)])
    with pytest.raises(MessageError, match="is not on the schedule") as refusal:
        table.run()
    assert refusal.value.sender == table.aggregator_name


def test_masks_are_taken_once_and_from_owners_only() -> None:
    table = Table(**LONG)
    masks = table.until(Masks)
    with pytest.raises(MessageError, match=r"is not expected|no refresh"):
        table.aggregator.handle(replace(masks, round=masks.round + 1))
    table.step()
    with pytest.raises(MessageError, match="has sent its masks") as refusal:
        table.aggregator.handle(masks)
    assert refusal.value.sender == masks.sender
    assert table.run().aggregator.done


def test_every_weight_is_masked_before_it_is_opened() -> None:
    """The aggregator waits for the last owner: an opening without one's masks would be weaker than it says."""
    table = Table(**LONG)
    table.until(Masks)
    for _ in table.names[:-1]:
        assert not table.heard(OpenMasked)
        table.step()
    assert not table.heard(OpenMasked)
    table.step()
    assert len(table.heard(OpenMasked)) == 1


# --- the final model ----------------------------------------------------------------------------------------------------


def test_the_final_model_is_refused_before_settlement_and_taken_from_anybody_after() -> None:
    table = Table(**LONG).run()
    weights, scale = table.aggregator._weights, table.aggregator._scale
    for server in (table.aggregator_name, table.trainers[0], table.validators[0]):
        table.say([final_model(table, server, weights, scale)])
        with pytest.raises(MessageError, match="the contract has not settled yet"):
            table.run()
        assert table.buyer.model() is None
    expected = oracle(table.shards, [1, 2], 12, 0.5)[0]
    for server in (table.trainers[2], table.validators[1], table.aggregator_name):
        assert table.settle(served_by=server) == pytest.approx(expected.tolist(), rel=1e-6)


def test_a_wrong_model_from_an_owner_is_refused_by_its_hash() -> None:
    table = Table(**LONG).run()
    assert table.aggregator.proposal is not None
    table.buyer.settled(bytes.fromhex(table.aggregator.proposal.weights_hash))
    update = table.heard(Update)[-1]
    for weights in (update.weights, table.aggregator._initial):
        table.say([final_model(table, table.trainers[0], weights, table.aggregator._scale)])
        with pytest.raises(MessageError, match="is not the one the validators signed for") as refusal:
            table.run()
        assert refusal.value.sender == table.trainers[0]
    assert table.buyer.model() is None


def test_every_owner_is_handed_the_final_model_once_a_majority_stands_for_it() -> None:
    table = Table(**LONG).run()
    handed = table.heard(FinalModel)
    assert sorted(m.recipient for m in handed) == sorted(table.names)
    assert {m.weights for m in handed} == {table.aggregator._weights}
