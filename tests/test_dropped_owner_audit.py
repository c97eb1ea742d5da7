"""The audit of runs that went on without an owner: a drop that is not on record, or not told, or not kept to, is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from test_dropped_owner import Market

from deltaml_core.audit import audit
from deltaml_core.messages import (
    Evaluate,
    Measured,
    Message,
    MetricAnnounced,
    OpenSums,
    OwnerDropped,
    ProposeResult,
    SoloModel,
    SquaredErrors,
    Train,
    TrainAlone,
    Update,
    decode,
)
from deltaml_core.signatures import SignedMessage
from deltaml_core.transcript import Transcript

each_part = pytest.mark.parametrize("public", [False, True], ids=["full", "public"])


def failure(market: Market, entries: list[bytes], public: bool = False) -> tuple[str, str]:
    """The check that fails, and the kind of the message at fault."""
    transcript = Transcript(market.aggregator.transcript.header, entries, market.aggregator.transcript.seed)
    found = audit(transcript.public() if public else transcript).failure
    assert found is not None
    return found.check, found.kind or ""


def place_of(market: Market, kind: type[Message], when: Callable[[Any], bool] = lambda message: True) -> int:
    return next(place for place, message in enumerate(market.messages) if isinstance(message, kind) and when(message))


def without_a_trainer() -> Market:
    market = Market()
    market.vanish(4, Update, 2)
    return market.run()


def without_a_validator() -> Market:
    market = Market()
    market.vanish(2, SquaredErrors, 3)
    return market.run()


def signed(market: Market, message: Message) -> bytes:
    return SignedMessage.of(message, market.transport._signers[message.sender]).encode()


def without(market: Market, *gone: int) -> list[bytes]:
    return [line for place, line in enumerate(market.aggregator.transcript.entries) if place not in gone]


@each_part
def test_a_drop_that_is_not_on_record(public: bool) -> None:
    market = without_a_trainer()
    order = place_of(market, OwnerDropped)
    notice = market.messages[order + 1]
    spoken = [*market.aggregator.transcript.entries[:order], signed(market, replace(notice, answers=notice.answers))]
    check, kind = failure(market, spoken, public)
    assert (check, kind) == ("order", "owner-dropped")  # what it answers is not there
    answered = market.messages[order - 1]
    while answered.recipient != notice.sender:
        answered = market.messages[market.messages.index(answered) - 1]
    line = SignedMessage.decode(market.aggregator.transcript.entries[market.messages.index(answered)])
    spoken[-1] = signed(market, replace(notice, answers=line.digest.hex()))
    assert failure(market, spoken, public) == ("dropped", "owner-dropped")


@each_part
def test_a_drop_that_not_everybody_is_told_of(public: bool) -> None:
    market = without_a_trainer()
    notices = [place for place, message in enumerate(market.messages) if isinstance(message, OwnerDropped)]
    for place in notices[1:]:
        assert failure(market, without(market, place), public)[0] == "dropped"


def test_a_drop_of_an_owner_nobody_waited_for() -> None:
    market = without_a_trainer()
    order = place_of(market, OwnerDropped)
    other = market.names[0]
    entries = market.aggregator.transcript.entries[:order]
    posted = SignedMessage.of(replace(market.messages[order], owner=other), market.transport._signers[market.messages[order].sender])
    notice = replace(market.messages[order + 1], owner=other, answers=posted.digest.hex())
    assert failure(market, [*entries, posted.encode(), signed(market, notice)]) == ("dropped", "owner-dropped")


@pytest.mark.parametrize(
    ("kind", "when", "check"),
    [
        (Train, lambda m: m.round == 4, "order"),
        (TrainAlone, lambda m: True, "order"),
        (MetricAnnounced, lambda m: m.round == 4, "announcement"),
    ],
)
def test_a_trainer_that_was_dropped_is_asked_or_told_all_the_same(kind: type[Message], when: Callable[[Any], bool], check: str) -> None:
    market = without_a_trainer()
    place = place_of(market, kind, when)
    lied = signed(market, replace(market.messages[place], recipient=market.names[4]))
    assert failure(market, [*market.aggregator.transcript.entries[:place], lied]) == (check, kind.kind)


def test_a_round_that_is_divided_by_the_number_from_before_the_drop() -> None:
    market = without_a_trainer()
    place = place_of(market, Train, lambda m: m.round == 4)
    lied = signed(market, replace(market.messages[place], trainers=4))
    assert failure(market, [*market.aggregator.transcript.entries[:place], lied]) == ("round", "train")


def test_a_validator_that_was_dropped_is_asked_all_the_same_or_its_error_summed() -> None:
    market = without_a_validator()
    place = place_of(market, Evaluate, lambda m: m.subject == "coalition")
    lied = signed(market, replace(market.messages[place], recipient=market.names[2]))
    assert failure(market, [*market.aggregator.transcript.entries[:place], lied]) == ("measurement", "evaluate")
    place = place_of(market, Measured, lambda m: len(m.validators) == 2)
    story = replace(market.messages[place], validators=tuple(market.names[1:4]))
    assert failure(market, [*market.aggregator.transcript.entries[:place], signed(market, story)]) == ("announcement", "measured")


@each_part
def test_rows_of_a_validator_that_was_dropped(public: bool) -> None:
    market = without_a_validator()
    first = place_of(market, OwnerDropped)
    place = next(p for p, m in enumerate(market.messages) if p > first and isinstance(m, OpenSums))
    message = market.messages[place]
    assert isinstance(message, OpenSums)
    lied = signed(market, replace(message, rows=message.rows + 12))
    assert failure(market, [*market.aggregator.transcript.entries[:place], lied], public) == ("measurement", "open-sums")


@each_part
def test_measuring_again_without_a_drop(public: bool) -> None:
    market = Market().run()
    place = place_of(market, ProposeResult)
    kind = OpenSums if public else Evaluate
    again = next(m for m in market.messages if isinstance(m, kind) and m.round == 0)
    number = 1 + max(m.evaluation for m in market.messages if isinstance(m, Evaluate))
    lied = signed(market, replace(again, evaluation=number))
    assert failure(market, [*market.aggregator.transcript.entries[:place], lied], public) == ("schedule", kind.kind)


@each_part
def test_a_result_without_measuring_again(public: bool) -> None:
    """The record of a run, cut where measuring again begins, with a proposal of what was measured before."""
    market = without_a_validator()
    again = place_of(market, OpenSums if public else Evaluate, lambda m: m.round == 0 and m.evaluation > 0)
    answered = SignedMessage.decode(market.aggregator.transcript.entries[again - 1])
    asker = decode(answered.message)
    proposal = market.messages[place_of(market, ProposeResult)]
    lines = market.aggregator.transcript.entries[:again]
    while asker.recipient != proposal.sender:
        answered = SignedMessage.decode(lines[lines.index(answered.encode()) - 1])
        asker = decode(answered.message)
    lied = signed(market, replace(proposal, answers=answered.digest.hex()))
    assert failure(market, [*lines, lied], public) == ("schedule", "propose-result")


def test_a_solo_model_of_the_rows_before_the_drop() -> None:
    market = Market()
    market.vanish(4, SoloModel)
    market.run()
    dropped = place_of(market, OwnerDropped)
    place = next(p for p, m in enumerate(market.messages) if p > dropped and isinstance(m, SoloModel))
    message = market.messages[place]
    assert isinstance(message, SoloModel)
    lied = signed(market, replace(message, rows=message.rows + 4))
    assert failure(market, [*market.aggregator.transcript.entries[:place], lied]) == ("rows", "solo-model")
