"""An aggregator that cheats: validators, the buyer, or the contract's rules stop it, and the error names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from adversaries import Table, final_model, only
from helpers import oracle

from deltaml_core.errors import MessageError, MetricError
from deltaml_core.messages import (
    Evaluate,
    LeaveOut,
    MaskedErrors,
    Measured,
    Message,
    OpenedSums,
    OpenMasked,
    OpenSums,
    Products,
    ProposeResult,
    SentErrors,
    SentModel,
    SquaredErrors,
    Subject,
    Train,
    TrainAlone,
    ZeroTest,
)
from deltaml_core.metrics.verifiable.opened import range_fault

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


def check_stopped(table: Table, why: str) -> None:
    """The run ends in an error that names the aggregator, without a result a majority stands for."""
    with pytest.raises(MessageError, match=why) as failure:
        table.run()
    assert failure.value.sender == table.aggregator_name
    assert not table.aggregator.done


def cheat(kind: type[Message], change: Callable[[Any], Any], when: Callable[[Any], bool] = lambda message: True, **terms: Any) -> Table:
    """A table whose aggregator rewrites its own messages of a kind."""
    table = Table(**terms)
    return table.meddle({table.aggregator_name: only(kind, change, when=when)})


def test_without_a_meddler_the_run_ends_well() -> None:
    table = Table().run()
    assert table.aggregator.done
    assert table.settle() == pytest.approx(oracle(table.shards, [1, 2], 4, 0.5)[0].tolist(), rel=1e-7)


# --- what it tells of a measurement -------------------------------------------------------------------------------------


def without_the_second(measured: Measured) -> Measured:
    keep = len(measured.values) // 2
    return replace(measured, validators=measured.validators[:1], rows=measured.rows[:1], values=measured.values[:keep])


def with_the_first_twice(measured: Measured) -> Measured:
    half = len(measured.values) // 2
    validators, rows = (measured.validators[0], *measured.validators), (measured.rows[0], *measured.rows)
    return replace(measured, validators=validators, rows=rows, values=measured.values[:half] + measured.values)


def with_an_invented_one(measured: Measured) -> Measured:
    half = len(measured.values) // 2
    validators, rows = (*measured.validators, "0x" + "0" * 40), (*measured.rows, 1_000_000)
    return replace(measured, validators=validators, rows=rows, values=measured.values + (1,) * half)


def swapped(measured: Measured) -> Measured:
    return replace(measured, values=measured.values[::-1])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_the_second, "others than all the validators"),
        (with_the_first_twice, "others than all the validators"),
        (with_an_invented_one, "others than all the validators"),
        (swapped, "holds something else than this validator sent"),
        (lambda m: replace(m, rows=(m.rows[0] + 1, m.rows[1])), "holds something else than this validator sent"),
        (lambda m: replace(m, scale=m.scale + 1), "announced at another scale"),
        (lambda m: replace(m, scale=m.scale - 1), "announced at another scale|would exceed"),
        (lambda m: replace(m, plaintexts=(m.plaintexts[0] + 1,)), "opening of measurement 1 does not hold"),
        (lambda m: replace(m, randomness=(m.randomness[0] + 1,)), "opening of measurement 1 does not hold"),
        (lambda m: replace(m, plaintexts=(), randomness=()), "is incomplete"),
        (lambda m: replace(m, models=0), "0 models are not a measurement"),
        (lambda m: replace(m, models=1 << 50), "models are not a measurement"),
        (lambda m: replace(m, models=2), "is incomplete"),
        (lambda m: replace(m, evaluation=0), "holds something else|does not hold|not measured here"),
        (lambda m: replace(m, evaluation=9), "without this validator's part"),
        (lambda m: replace(m, round=0), "was not measured here"),
    ],
)
def test_a_false_announcement(change: Callable[[Measured], Measured], why: str) -> None:
    check_stopped(cheat(Measured, change, lambda m: m.evaluation == 1), why)


@pytest.mark.parametrize("drop", [0, 1])
def test_a_sum_without_one_validator_is_refused_by_that_one(drop: int) -> None:
    """The buyer opens what it is shown; the validator that was left out does not stand for it, nor do the others."""
    table = Table()

    def shift(asked: OpenSums) -> OpenSums:
        kept = [m for m in table.heard(SquaredErrors) if m.evaluation == asked.evaluation][1 - drop]
        return replace(asked, sums=kept.values)

    with pytest.raises(MetricError, match="its opening of measurement 0 does not hold"):
        table.meddle({table.aggregator_name: only(OpenSums, shift)}).run()


@pytest.mark.parametrize("alone", [without_the_second, with_the_first_twice])
def test_a_consistent_story_about_fewer_or_more_validators(alone: Callable[[Measured], Measured]) -> None:
    """Opened honestly by the buyer, told consistently, and still refused: the contract names all who measure."""
    table = Table()
    table.until(OpenSums)
    answers = [m for m in table.heard(SquaredErrors) if m.evaluation == 0]
    key = table.seat("anybody").key
    parts = [answers[0].values] if alone is without_the_second else [answers[0].values, *(m.values for m in answers)]
    total = parts[0]
    for part in parts[1:]:
        total = key.add(total, part)

    def told(measured: Measured) -> Measured:
        opened = table.heard(OpenedSums)[0]
        return replace(alone(measured), plaintexts=opened.plaintexts, randomness=opened.randomness)

    asked = table.until(OpenSums)
    table._waiting.clear()
    table.say([replace(asked, sums=total)])
    table.step()
    opened = table.heard(OpenedSums)[0]
    for validator in table.validators:
        honest = Measured(
            request=asked.request,
            round=asked.round,
            sender=table.aggregator_name,
            recipient=validator,
            evaluation=asked.evaluation,
            scale=asked.scale,
            models=1,
            validators=table.validators,
            rows=tuple(m.rows for m in answers),
            values=tuple(v for m in answers for v in m.values),
            plaintexts=opened.plaintexts,
            randomness=opened.randomness,
        )
        with pytest.raises(MetricError, match=r"others than all the validators|without this validator's part") as refusal:
            table.owners[validator].handle(told(honest))
        assert refusal.value.sender == table.aggregator_name


def test_a_different_story_to_each_validator() -> None:
    """Each finds its own part in what it is told, and the same opened sum; what the other one told it gives the shift away."""
    table = Table()
    asked = table.until(OpenSums)
    key = table.seat("anybody").key
    shift = key.encrypt([1 << 110])
    table._waiting.popleft()
    table.say([replace(asked, sums=key.add(asked.sums, shift))])
    table.step()
    (opened,) = table.heard(OpenedSums)
    answers = {m.sender: m for m in table.heard(SquaredErrors)}
    for validator in table.validators:
        values = [m.values if m.sender == validator else key.add(m.values, shift) for m in answers.values()]
        story = Measured(
            request=asked.request,
            round=asked.round,
            sender=table.aggregator_name,
            recipient=validator,
            evaluation=asked.evaluation,
            scale=asked.scale,
            models=1,
            validators=tuple(answers),
            rows=tuple(m.rows for m in answers.values()),
            values=tuple(value for part in values for value in part),
            plaintexts=opened.plaintexts,
            randomness=opened.randomness,
        )
        with pytest.raises(MetricError, match="is announced with other errors than 0x") as refusal:
            table.owners[validator].handle(story)
        assert refusal.value.sender == table.aggregator_name


@pytest.mark.parametrize("by", [1, -1])
def test_other_rows_than_a_validator_told_of(by: int) -> None:
    """With more rows, told to each of the others, the mean would be smaller."""
    table = Table()

    def misreport(measured: Measured) -> Measured:
        other = 1 - measured.validators.index(measured.recipient)
        rows = tuple(count + by * (place == other) for place, count in enumerate(measured.rows))
        return replace(measured, rows=rows)

    check_stopped(table.meddle({table.aggregator_name: only(Measured, misreport)}), "is announced with other errors than 0x")


def test_it_does_not_speak_for_a_validator() -> None:
    table = Table()
    told = table.until(SentErrors)
    with pytest.raises(MessageError, match="may say that to") as refusal:
        table.owners[told.recipient].handle(replace(told, sender=table.aggregator_name))
    assert refusal.value.sender == table.aggregator_name
    assert table.run().aggregator.done


# --- what it has measured -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("last", [0, 4])
def test_other_weights_are_evaluated(both: bool, last: int) -> None:
    """At the start they are not the zeros everybody knows; at the end not those of the proposed result."""
    table = Table()
    other = table.seat("anybody").key.encrypt([1 << 40] * table.terms.weights)
    chosen = table.validators if both else table.validators[:1]
    meddler = only(
        Evaluate, lambda m: replace(m, weights=other), when=lambda m: m.subject == "model" and m.round == last and m.recipient in chosen
    )
    check_stopped(table.meddle({table.aggregator_name: meddler}), "starts from zeros" if last == 0 else "final weights does not follow")


@pytest.mark.parametrize(("kind", "when"), [(Train, lambda m: m.round == 1), (TrainAlone, lambda m: True)])
def test_replaced_initial_weights_are_not_trained(kind: type[Message], when: Callable[[Any], bool]) -> None:
    check_stopped(cheat(kind, lambda m: replace(m, weights=(2, *m.weights[1:])), when), "starts from zeros")


def test_a_round_is_measured_once() -> None:
    """More measurements of weights of its choice would tell it the validators' statistics."""
    table = Table()
    asked = table.until(Evaluate, skip=2)
    assert asked.round == 2
    table.step()
    validator = table.owners[asked.recipient]
    for number in (7, 1 << 40):
        with pytest.raises(MessageError, match="was measured before") as refusal:
            validator.handle(replace(asked, evaluation=number))
        assert refusal.value.sender == table.aggregator_name
    assert table.run().aggregator.done


@pytest.mark.parametrize("subject", [Subject.SOLO_MODELS, Subject.COALITION])
def test_solo_models_are_measured_once(subject: Subject) -> None:
    table = Table().run()
    asked = next(m for m in table.heard(Evaluate) if m.subject == subject)
    with pytest.raises(MessageError, match="was measured before"):
        table.owners[asked.recipient].handle(replace(asked, evaluation=asked.evaluation + 10))


@pytest.mark.parametrize(
    "changes", [{"models": 65}, {"models": 0}, {"numerator": 65}, {"denominator": 0}, {"subject": "rows"}, {"scale": 3}]
)
def test_what_is_not_on_the_schedule_is_not_measured(changes: dict[str, Any]) -> None:
    table = Table()
    asked = table.until(Evaluate)
    with pytest.raises(MessageError, match=r"is not on the schedule|there is no subject"):
        table.owners[asked.recipient].handle(replace(asked, **changes))
    assert table.run().aggregator.done


# --- the buyer is no oracle ---------------------------------------------------------------------------------------------


def test_a_second_sum_of_a_round_stays_closed() -> None:
    table = Table()
    asked = table.until(OpenSums)
    table.step()
    weights = table.aggregator._weights
    for number in (0, 1, 7):
        table.say([replace(asked, evaluation=number, sums=weights[:1])])
        with pytest.raises(MessageError, match=r"was answered before|not on the schedule") as refusal:
            table.run()
        assert refusal.value.sender == table.aggregator_name
    assert len(table.heard(OpenedSums)) == 1


@pytest.mark.parametrize("shift", [320, 360])
def test_weights_in_place_of_a_sum_are_out_of_range(shift: int) -> None:
    """What can be a squared error is opened, and nothing beyond."""
    table = Table()
    asked = table.until(OpenSums, skip=1)
    key = table.seat("anybody").key
    planted = key.scale(table.aggregator._weights[:1], [1 << shift])
    table.meddle({table.aggregator_name: only(OpenSums, lambda m: replace(m, sums=planted))})
    table._waiting.popleft()
    table.say([asked])
    with pytest.raises(MetricError, match="measurement 1 stays closed: it is no squared error of a sensible model") as refusal:
        table.run()
    assert refusal.value.sender == table.aggregator_name
    assert len(table.heard(OpenedSums)) == 1


@pytest.mark.parametrize("changes", [{"models": 0}, {"models": 65}, {"models": 1 << 50}, {"rows": 0}, {"rows": 1 << 50}])
def test_sums_of_nonsense_stay_closed(changes: dict[str, int]) -> None:
    check_stopped(cheat(OpenSums, lambda m: replace(m, **changes)), "are not a measurement")


def test_a_negative_sum_stays_closed() -> None:
    table = Table()
    key = table.seat("anybody").key
    check_stopped(table.meddle({table.aggregator_name: only(OpenSums, lambda m: replace(m, sums=key.encrypt([-1])))}), "stays closed")


def test_it_has_no_products_taken_and_no_zeros_proven() -> None:
    """Both are answered to validators only, or it could compare what it cannot read."""
    table = Table()
    masked = table.until(MaskedErrors)
    for kind, changes in ((masked, {}), (ZeroTest(**base(masked), evaluation=0, attempt=1, ciphertext=(1,)), {})):
        table.say([replace(kind, sender=table.aggregator_name, **changes)])
    with pytest.raises(MessageError, match="the aggregator measures nothing") as refusal:
        table.run()
    assert refusal.value.sender == table.aggregator_name
    assert not [m for m in table.heard(Products) if m.recipient == table.aggregator_name]


def base(message: Message) -> dict[str, Any]:
    return {"request": message.request, "round": message.round, "sender": message.sender, "recipient": message.recipient}


def test_masked_weights_are_opened_once_a_refresh() -> None:
    table = Table(rounds=12)
    asked = table.until(OpenMasked)
    table.step()
    table.say([replace(asked, packed=table.seat("anybody").key.rerandomise(asked.packed))])
    with pytest.raises(MessageError, match="is not on the schedule, or was done before") as refusal:
        table.run()
    assert refusal.value.sender == table.aggregator_name


# --- what it proposes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda m: replace(m, initial=m.initial + 1), "initial error"),
        (lambda m: replace(m, final=m.final - 1), "final error"),
        (lambda m: replace(m, final=m.initial), "final error"),
        (lambda m: replace(m, gains=(m.gains[1], m.gains[0], m.gains[2])), "gains"),
        (lambda m: replace(m, gains=(m.gains[0] + 1, *m.gains[1:])), "gains"),
        (lambda m: replace(m, weights_hash="00" * 32), "final weights"),
        (lambda m: replace(m, metric_hash="00" * 32), "metric"),
        (lambda m: replace(m, scale=m.scale + 1), "scale"),
        (lambda m: replace(m, rows=m.rows + 1), "rows"),
    ],
)
def test_a_result_that_does_not_follow_is_not_signed(change: Callable[[ProposeResult], ProposeResult], name: str) -> None:
    table = cheat(ProposeResult, change)
    check_stopped(table, f"the proposed result's {name} does not follow from the measurements")
    assert table.aggregator.approvals == []


@pytest.mark.parametrize("change", [lambda t: t[1:], lambda t: t[::-1], lambda t: (*t[:-1], t[0])])
def test_a_result_for_other_trainers_than_the_contract_dealt(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
    """Their order is what the contract pays by."""
    table = cheat(ProposeResult, lambda m: replace(m, trainers=change(m.trainers), gains=m.gains[: len(change(m.trainers))]))
    check_stopped(table, "its trainers are not those that the contract dealt, in its order")


def test_solo_models_under_each_others_names() -> None:
    """Consistently, to every validator: each trainer has told them which model is its own."""
    table = cheat(Evaluate, lambda m: replace(m, weights=(*m.weights[3:6], *m.weights[:3], *m.weights[6:])), of(Subject.SOLO_MODELS))
    check_stopped(table, "compared another model than 0x")


def test_one_solo_model_under_two_names() -> None:
    table = cheat(Evaluate, lambda m: replace(m, weights=(*m.weights[:3], *m.weights[:3], *m.weights[6:])), of(Subject.SOLO_MODELS))
    check_stopped(table, "compared another model than 0x")


@pytest.mark.parametrize("subject", [Subject.SOLO_MODELS, Subject.COALITION])
@pytest.mark.parametrize("factor", [{"numerator": 2}, {"denominator": 2}])
def test_models_made_larger_or_smaller(subject: Subject, factor: dict[str, int]) -> None:
    """It would move every coalition's error against the mean predictor's, and so the shares."""
    check_stopped(cheat(Evaluate, lambda m: replace(m, **factor), of(subject)), f"{subject} is measured times 1, and nothing else")


def test_another_mean_predictor() -> None:
    """A better one would make every trainer worth less."""
    table = Table()
    key = table.seat("anybody").key
    twice = only(Evaluate, lambda m: replace(m, weights=m.weights[:-1] + key.scale(m.weights[-1:], [2])), when=of(Subject.COALITION))
    check_stopped(table.meddle({table.aggregator_name: twice}), "measured another mean than the trainers told of")


def test_a_trainer_that_tells_two_stories_of_its_solo_model_is_named() -> None:
    table = Table()
    told = table.until(SentModel)
    table.step()
    with pytest.raises(MetricError, match="another solo model before: both are evidence") as refusal:
        table.owners[told.recipient].handle(replace(told, digest="0" * 64))
    assert refusal.value.sender == told.sender
    assert table.run().aggregator.done


def of(subject: Subject) -> Callable[[Evaluate], bool]:
    return lambda m: m.subject == subject


def test_a_result_before_the_last_measurement_is_not_signed() -> None:
    table = Table()
    table.until(Measured, skip=2)
    validator = table.owners[table.validators[0]]
    content = {"trainers": table.trainers, "gains": (0, 0, 0), "weights_hash": "", "metric_hash": "", "transcript_hash": ""}
    early = ProposeResult(
        request="request-1",
        round=4,
        sender=table.aggregator_name,
        recipient=table.validators[0],
        initial=0,
        final=0,
        scale=0,
        rows=0,
        **content,
    )
    with pytest.raises(MessageError, match="the first or the last measurement is missing"):
        validator.handle(early)


def test_a_trainer_is_left_out_only_if_that_follows_from_its_update() -> None:
    table = Table(robust=True)
    table.until(Train, skip=3)
    gram = next(m for m in table.heard(Evaluate) if m.subject == Subject.UPDATES)
    for left in (*table.trainers, "nobody"):
        notice = LeaveOut(
            request="request-1",
            round=gram.round,
            sender=table.aggregator_name,
            recipient=table.validators[0],
            evaluation=gram.evaluation,
            trainers=table.trainers,
            left=left,
        )
        with pytest.raises(MessageError, match="does not follow from the measured updates") as refusal:
            table.owners[table.validators[0]].handle(notice)
        assert refusal.value.sender == table.aggregator_name


# --- after settlement ---------------------------------------------------------------------------------------------------


def test_another_model_after_settlement_is_refused_and_anybody_else_serves_the_right_one() -> None:
    table = Table().run()
    key = table.seat("anybody").key
    assert table.aggregator.proposal is not None
    table.buyer.settled(bytes.fromhex(table.aggregator.proposal.weights_hash))
    right = table.aggregator._weights
    wrong = [key.encrypt([1, 2, 3]), key.rerandomise(right), (*right[1:], right[0])]
    for weights in wrong:
        table.say([final_model(table, table.aggregator_name, weights, table.aggregator._scale)])
        with pytest.raises(MessageError, match="is not the one the validators signed for") as refusal:
            table.run()
        assert refusal.value.sender == table.aggregator_name
    table.say([final_model(table, table.aggregator_name, right, table.aggregator._scale + 1)])
    with pytest.raises(MessageError, match="is not the one the validators signed for"):
        table.run()
    assert table.buyer.model() is None
    for server in (table.trainers[1], table.validators[0]):
        assert table.settle(served_by=server) == pytest.approx(oracle(table.shards, [1, 2], 4, 0.5)[0].tolist(), rel=1e-7)


def test_the_range_of_a_squared_error_is_the_declared_one() -> None:
    """Zero and the bound itself are opened; a unit less or more is not."""
    terms = Table().terms
    scale, rows = terms.base_scale, 3
    bound = round(terms.error_bound**2 * rows * 2 ** (2 * (scale + terms.row_bits)))
    assert range_fault(terms, (0,), scale, 1, rows) is None
    assert range_fault(terms, (bound // 2,), scale, 1, rows) is None
    assert range_fault(terms, (-1,), scale, 1, rows) is not None
    assert range_fault(terms, (bound + bound // 1000,), scale, 1, rows) is not None
    assert range_fault(terms, (0, -bound * 255, 0), scale, 2, rows) is None
    assert range_fault(terms, (0, -bound * 257, 0), scale, 2, rows) is not None
    assert range_fault(terms, (0, 0, -1), scale, 2, rows) is not None
