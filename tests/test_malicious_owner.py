"""Owners that cheat: a validator that plants something for decryption or answers garbage, a trainer whose update is oversized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adversaries import Table, only
from helpers import Array, Shard, descend, oracle, pooled_mse, random_shards

from deltaml_core.errors import MessageError, MetricError
from deltaml_core.messages import (
    AskMasks,
    Evaluate,
    MaskedErrors,
    Masks,
    MeasurementFailed,
    Message,
    OpenedSums,
    Products,
    SentErrors,
    SoloModel,
    SquaredErrors,
    Update,
    ZeroTest,
    ZeroTestAnswer,
)
from deltaml_core.schedule import Kind

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


def latest(table: Table, kind: type[Evaluate]) -> Evaluate:
    return table.heard(kind)[-1]


def random_ciphertexts(table: Table, count: int) -> tuple[int, ...]:
    """Of random plaintexts."""
    key = table.seat("anybody").key
    rng = np.random.default_rng(count)
    return key.encrypt([int.from_bytes(rng.bytes(key.bits // 8 - 1), "big") for _ in range(count)])


# --- a validator that makes the buyer its oracle ------------------------------------------------------------------------


@pytest.mark.parametrize("measurement", [1, 2])
def test_packed_weights_in_place_of_an_error_stay_closed(measurement: int) -> None:
    table = Table()
    key = table.seat("anybody").key

    def plant(answer: SquaredErrors) -> SquaredErrors:
        weights = latest(table, Evaluate).weights
        packed = key.combine(key.prepare([[1 << (160 * place) for place in range(len(weights))]]), weights)
        return replace(answer, values=key.add_plain(packed, [1 << 330]))

    table.meddle({table.validators[0]: only(SquaredErrors, plant, when=lambda m: m.evaluation == measurement)})
    with pytest.raises(MetricError, match=f"measurement {measurement} stays closed: it is no squared error of a sensible model"):
        table.run()
    assert {opened.evaluation for opened in table.heard(OpenedSums)} == set(range(measurement))


def test_a_weight_in_the_gram_matrix_stays_closed() -> None:
    table = Table()
    key = table.seat("anybody").key

    def plant(answer: SquaredErrors) -> SquaredErrors:
        planted = key.scale(latest(table, Evaluate).weights[:1], [1 << 300])
        return replace(answer, values=(answer.values[0], *key.rerandomise(planted), *answer.values[2:]))

    table.meddle({table.validators[1]: only(SquaredErrors, plant, when=lambda m: len(m.values) > 1)})
    with pytest.raises(MetricError, match="stays closed"):
        table.run()


def test_weights_in_place_of_a_zero_test_stay_closed_and_the_measurement_fails() -> None:
    table = Table()

    def plant(asked: ZeroTest) -> ZeroTest:
        key = table.seat("anybody").key
        return replace(asked, ciphertext=key.rerandomise(latest(table, Evaluate).weights[:1]))

    planter = table.validators[0]
    table.meddle({planter: only(ZeroTest, plant, when=lambda m: m.evaluation == 1)})
    with pytest.raises(MetricError, match=f"did not pass the zero test of {planter}") as failure:
        table.run()
    assert failure.value.sender == planter
    answers = [m for m in table.heard(ZeroTestAnswer) if m.recipient == planter and m.evaluation == 1]
    assert [answer.randomness for answer in answers] == [(), ()]


def test_weights_in_place_of_masked_errors_come_back_under_encryption_only() -> None:
    """Their products mean nothing to the validator, and its measurement fails."""
    table = Table()
    planter = table.validators[0]

    def plant(asked: MaskedErrors) -> MaskedErrors:
        key = table.seat("anybody").key
        lifted = key.add_plain(latest(table, Evaluate).weights, [1 << 200] * table.terms.weights)
        return replace(asked, masked=lifted)

    table.meddle({planter: only(MaskedErrors, plant, when=lambda m: m.evaluation == 1)})
    with pytest.raises(MetricError, match=f"did not pass the zero test of {planter}"):
        table.run()
    products = [m for m in table.heard(Products) if m.recipient == planter and m.evaluation == 1]
    assert len(products) == 2
    n = table.seat("anybody").key.modulus
    assert all(value > n for answer in products for value in (*answer.products, *answer.scaled))


def test_a_number_that_is_no_masked_error_is_refused_by_name() -> None:
    table = Table()
    planter = table.validators[0]
    key = table.seat("anybody").key
    table.meddle({planter: only(MaskedErrors, lambda m: replace(m, masked=key.encrypt([-1] * len(m.masked))))})
    with pytest.raises(MetricError, match="does not hold masked errors") as refusal:
        table.run()
    assert refusal.value.sender == planter


def test_products_are_not_asked_for_more_often_than_there_are_measurements() -> None:
    """Or a validator could ask of any number whether it is negative."""
    table = Table()
    asked = table.until(MaskedErrors, skip=2)
    table.step()
    for number in (0, 1, 7, 1 << 50):
        table.say([replace(asked, evaluation=number)])
        with pytest.raises(MessageError, match=r"was answered before|not on the schedule") as refusal:
            table.run()
        assert refusal.value.sender == asked.sender


@pytest.mark.parametrize(
    "changes", [{"models": 0}, {"models": 65}, {"models": 1 << 50}, {"entries": 0}, {"entries": 4}, {"entries": 1 << 50}]
)
def test_error_vectors_of_an_impossible_size_are_refused(changes: dict[str, int]) -> None:
    table = Table()
    table.meddle({table.validators[0]: only(MaskedErrors, lambda m: replace(m, **changes))})
    with pytest.raises(MetricError, match="are not a measurement") as refusal:
        table.run()
    assert refusal.value.sender == table.validators[0]


@pytest.mark.parametrize("changes", [{"evaluation": 5}, {"attempt": 2}, {"attempt": 3}, {"attempt": 0}])
def test_zeros_are_proven_after_products_only(changes: dict[str, int]) -> None:
    table = Table()
    asked = table.until(ZeroTest)
    table.meddle({asked.sender: lambda message: [message]})
    table.say([replace(asked, **changes)])
    with pytest.raises(MessageError, match="received no products to test") as refusal:
        table.run()
    assert refusal.value.sender == asked.sender


def test_a_zero_is_proven_once() -> None:
    table = Table()
    asked = table.until(ZeroTest)
    table.say([replace(asked, ciphertext=table.seat("anybody").key.rerandomise(asked.ciphertext))])
    with pytest.raises(MessageError, match="was answered before"):
        table.run()


# --- a validator that answers garbage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MaskedErrors, ZeroTest])
def test_garbage_once_is_measured_again(kind: type[Message]) -> None:
    table = Table()

    def spoil(message: Any) -> Message:
        name = "masked" if kind is MaskedErrors else "ciphertext"
        wrong = table.seat("anybody").key.add_plain(getattr(message, name), [1] * len(getattr(message, name)))
        return replace(message, **{name: wrong})

    table.meddle({table.validators[1]: only(kind, spoil, when=lambda m: m.evaluation == 1 and m.attempt == 1)}).run()
    assert [m.attempt for m in table.heard(MaskedErrors) if m.evaluation == 1] == [1, 1, 2]
    history = oracle(table.shards, [1, 2], 4, 0.5)[1]
    assert [metric.mse for _, metric in table.aggregator.history] == pytest.approx([mse for _, mse in history], rel=1e-7)


@pytest.mark.parametrize("kind", [MaskedErrors, ZeroTest])
def test_garbage_twice_fails_the_request_and_the_error_says_who_answered_what(kind: type[Message]) -> None:
    table = Table()
    garbler = table.validators[1]

    def spoil(message: Any) -> Message:
        name = "masked" if kind is MaskedErrors else "ciphertext"
        wrong = table.seat("anybody").key.add_plain(getattr(message, name), [1] * len(getattr(message, name)))
        return replace(message, **{name: wrong})

    table.meddle({garbler: only(kind, spoil, when=lambda m: m.evaluation == 1)})
    with pytest.raises(MetricError) as failure:
        table.run()
    assert failure.value.sender == garbler
    text = str(failure.value)
    assert "measurement 1 failed" in text
    assert f"the products of {table.buyer.address} did not pass the zero test of {garbler}" in text
    assert not table.aggregator.done
    assert table.buyer.model() is None


def test_a_failed_measurement_is_over() -> None:
    """The buyer cannot try other products against the same secret."""
    table = Table(lie=AlwaysOneMore())
    with pytest.raises(MetricError, match="did not pass"):
        table.run()
    (failed, *_) = table.heard(MeasurementFailed)
    validator = table.owners[failed.sender]
    last = [m for m in table.heard(Products) if m.recipient == failed.sender][-1]
    with pytest.raises(MessageError, match="attempt 2 of measurement 0 is not under way"):
        validator.handle(last)
    asked = next(m for m in table.heard(Evaluate) if m.recipient == failed.sender)
    with pytest.raises(MessageError, match="was begun before"):
        validator.handle(asked)


class AlwaysOneMore:
    """A buyer whose products are one too large."""

    def __call__(self, answers: Sequence[Message], asked: Message, key: Any) -> Sequence[Message]:
        return [
            replace(a, products=key.public.add_plain(a.products, [1] * len(a.products))) if isinstance(a, Products) else a for a in answers
        ]


@pytest.mark.parametrize("who", ["trainer", "validator that has answered"])
def test_only_a_validator_that_owes_its_answer_can_report_a_failure(who: str) -> None:
    table = Table()
    answered = table.until(SquaredErrors)
    table.step()
    sender = table.trainers[0] if who == "trainer" else answered.sender
    report = MeasurementFailed(request="request-1", round=0, sender=sender, recipient=table.aggregator_name, evaluation=0)
    with pytest.raises(MessageError, match="it is not a validator, or has answered") as refusal:
        table.aggregator.handle(report)
    assert refusal.value.sender == sender
    assert table.run().aggregator.done


def test_a_validator_of_more_rows_than_it_reported_is_refused() -> None:
    table = Table()
    table.meddle({table.validators[0]: only(SquaredErrors, lambda m: replace(m, rows=m.rows + 1))})
    with pytest.raises(MessageError, match="another number of rows than it reported") as refusal:
        table.run()
    assert refusal.value.sender == table.validators[0]


def test_a_validator_that_tells_another_two_stories_is_named() -> None:
    table = Table()
    told = table.until(SentErrors)
    table.step()
    with pytest.raises(MetricError, match="both are evidence") as refusal:
        table.owners[told.recipient].handle(replace(told, digest="0" * 64))
    assert refusal.value.sender == told.sender
    assert table.run().aggregator.done


# --- a trainer whose update is oversized --------------------------------------------------------------------------------


def poisoned_oracle(shards: Sequence[Shard], judges: Sequence[int], poisoner: int, factor: int, rounds: int) -> tuple[Array, list[float]]:
    """Weights and errors when one trainer's update of round 2 is multiplied."""
    trainers = [index for index in range(len(shards)) if index not in judges]
    weights = np.zeros(shards[0][0].shape[1] + 1)
    errors = [pooled_mse([shards[j] for j in judges], weights)]
    for number in range(1, rounds + 1):
        scales = {index: factor if (index, number) == (poisoner, 2) else 1 for index in trainers}
        weights = np.mean([scales[index] * descend(shards[index], weights, 0.5, 1) for index in trainers], axis=0)
        if number % 2 == 0:
            errors.append(pooled_mse([shards[j] for j in judges], weights))
    return weights, errors


def oversized(factor: int, **terms: Any) -> Table:
    table = Table(**terms)
    key = table.seat("anybody").key

    def inflate(update: Update) -> Update:
        return replace(update, weights=key.rerandomise(key.scale(update.weights, [factor] * len(update.weights))))

    return table.meddle({table.trainers[0]: only(Update, inflate, when=lambda m: m.round == 2)})


def failure_of(table: Table) -> MessageError | None:
    """What the run ends with, if not with a result."""
    try:
        table.run()
    except MessageError as error:
        return error
    return None


EXPONENTS = [0, 1, 2, 4, 8, 20, 40, 60, 75, 79, 80, 81, 85, 90, 100, 120, 160, 200, 250, 300, 350, 400]


@pytest.mark.parametrize(("sign", "evaluate_every"), [(1, 2), (-1, 12)])
@pytest.mark.parametrize("key_bits", [512, 2048])
def test_an_oversized_update_ends_in_an_error_or_in_the_right_result(key_bits: int, sign: int, evaluate_every: int) -> None:
    """Whatever spills, wraps around or grows out of range on the way: a result that a majority signs is the right one."""
    errors = 0
    for exponent in EXPONENTS:
        factor = sign << exponent
        table = oversized(factor, key_bits=key_bits, scheme="plain", rounds=12, evaluate_every=evaluate_every)
        refusal = failure_of(table)
        if refusal is not None:
            errors += 1
            assert refusal.sender in (table.aggregator_name, table.buyer.address, *table.names)
            assert not table.aggregator.done
            continue
        weights, history = poisoned_oracle(table.shards, [1, 2], 0, factor, 12)
        assert table.aggregator.history[-1][1].mse == pytest.approx(history[-1], rel=1e-6, abs=1e-9)
        assert table.settle() == pytest.approx(weights.tolist(), rel=1e-6, abs=1e-9)
    assert errors >= len(EXPONENTS) // 2


@pytest.mark.parametrize("exponent", [8, 90, 300])
def test_an_oversized_update_under_encryption(exponent: int) -> None:
    table = oversized(1 << exponent, rounds=12)
    assert sum(step.kind is Kind.REFRESH for step in table.seat("anybody").steps) >= 2
    with pytest.raises(MessageError, match=r"stays closed|does not hold masked|did not pass the zero test") as failure:
        table.run()
    assert failure.value.sender in (table.aggregator_name, table.buyer.address, *table.validators)


@pytest.mark.parametrize("kind", [Update, SoloModel])
def test_random_weights_from_a_trainer_never_end_in_a_result(kind: type[Message]) -> None:
    table = Table(rounds=12)
    wrong = random_ciphertexts(table, table.terms.weights)
    table.meddle({table.trainers[1]: only(kind, lambda m: replace(m, weights=wrong))})
    with pytest.raises(MessageError, match=r"stays closed|does not hold masked|did not pass the zero test"):
        table.run()
    assert not table.aggregator.done


@pytest.mark.parametrize("field", ["high", "low"])
@pytest.mark.parametrize("exponent", [150, 170, 200, 300, 480])
def test_masks_that_are_too_long_never_end_in_a_wrong_result(field: str, exponent: int) -> None:
    """An owner's mask that spills into the next weight's place is noticed, or cancels as it should.

    A low mask stays in: it moves the weight by what it is, as the trainer's own update could.
    """
    table = Table(rounds=12, scheme="plain", key_bits=512)
    planter = table.trainers[0]
    table.meddle(
        {planter: only(Masks, lambda m: replace(m, **{field: (*getattr(m, field)[:-1], getattr(m, field)[-1] + (1 << exponent))}))}
    )
    weights, _ = oracle(table.shards, [1, 2], 12, 0.5)
    if failure_of(table) is not None:
        assert not table.aggregator.done
        return
    assert table.heard(Masks)
    moved = 2.0 ** (1 + exponent - min(asked.scale for asked in table.heard(AskMasks))) if field == "low" else 0.0
    assert table.settle() == pytest.approx(weights.tolist(), rel=1e-6, abs=max(moved, 1e-8))


def test_the_tables_of_this_file_train_as_the_oracle_says() -> None:
    """What the oversized updates are compared with is itself right where nobody cheats."""
    shards = random_shards(7, (9, 6, 12, 5, 4), 2)
    weights, errors = poisoned_oracle(shards, [1, 2], 0, 1, 4)
    expected, history = oracle(shards, [1, 2], 4, 0.5)
    assert np.allclose(weights, expected, rtol=1e-12)
    assert errors == pytest.approx([mse for _, mse in history])
