"""Requests from offer to model, between nodes that meet on the chain and at the relay."""

from __future__ import annotations

import pytest
import requests
from helpers import oracle
from hexbytes import HexBytes
from market import ETHER, ROUNDS, Market, close_to, wait_until

from deltaml_core.audit import audit_file
from deltaml_core.chain import GanacheProcess, Marketplace, Status
from deltaml_core.errors import ChainError
from deltaml_core.messages import Train
from deltaml_core.node.aggregator import TakeOnRule
from deltaml_core.node.owner import AnswerRule
from deltaml_core.node.status import status

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

EVERYBODY = ("buyer", "aggregator", "owner-1", "owner-2", "owner-3")


def _open_market(market: Market) -> None:
    market.start_aggregator()
    for number in (1, 2, 3):
        market.start_owner(number)


def test_a_request_is_played_from_offer_to_model(market: Market) -> None:
    _open_market(market)
    offer = market.offer()
    market.start_buyer(offer)
    request = market.reaches(Status.SETTLED)
    weights, history = oracle(market.shards, [1], ROUNDS, offer.terms.step)
    assert market.model() == close_to(weights)
    assert request.final_mse / 1e18 == pytest.approx(history[-1][1], rel=1e-6)
    wait_until(lambda: market.has_withdrawn(*EVERYBODY), "the last withdrawal")
    assert market.marketplace.balance_wei() == 0
    record = market.home("aggregator").transcript(1)
    wait_until(record.exists, "the record")
    assert audit_file(record).ok, audit_file(record)
    told = status(market.home("owner-1"))
    assert told["requests"][0] | {"messages": 0, "note": ""} == {
        "id": 1,
        "status": "SETTLED",
        "seat": "trainer",
        "ended": True,
        "note": "",
        "round": ROUNDS,
        "messages": 0,
        "privacy": None,
    }
    assert [peer["address"] for peer in told["peers"]] == [market.address("aggregator")]


def test_the_same_offer_is_posted_once_however_often_the_buyer_starts(market: Market) -> None:
    market.start_aggregator()
    market.start_buyer(market.offer())
    market.reaches(Status.OPEN)
    market.stop("buyer")
    market.start_buyer(market.offer(), market.offer(escrow_wei=2 * ETHER))
    market.reaches(Status.OPEN, 2)
    assert [market.request(number).escrow_wei for number in market.marketplace.requests()] == [3 * ETHER, 2 * ETHER]


def test_a_confirmation_that_the_chain_was_too_dead_to_take_is_sent_when_it_answers_again(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open_market(market)
    buyer = market.start_buyer(market.offer()).node
    eth = buyer.marketplace.web3.eth
    send, lost = eth.send_raw_transaction, []

    def lose_the_confirmation(raw: HexBytes) -> HexBytes:
        if not lost and buyer.journal.all()[-1].purpose == "confirm 1":
            lost.append(raw)
            raise requests.ConnectionError("the chain was killed")
        return send(raw)

    monkeypatch.setattr(eth, "send_raw_transaction", lose_the_confirmation)
    market.reaches(Status.SETTLED)
    confirmations = [sent.raw for sent in buyer.journal.all() if sent.purpose == "confirm 1"]
    assert [bytes(raw) for raw in lost] == confirmations


def test_two_requests_at_the_same_time_on_the_same_owners_do_not_mix(market: Market) -> None:
    _open_market(market)
    first, second = market.offer(), market.offer(market.terms(rounds=7), validators=(3,))
    market.start_buyer(first)
    market.start_buyer(second, name="other")
    requests = {market.reaches(Status.SETTLED, number).buyer: number for number in (1, 2)}
    for name, offer, validator in (("buyer", first, 1), ("other", second, 2)):
        weights, _ = oracle(market.shards, [validator], offer.terms.rounds, offer.terms.step)
        assert market.model(name, requests[market.address(name)]) == close_to(weights, offer.terms.rounds)


def test_roles_are_dealt_by_the_contract_when_nobody_is_named(market: Market, ganache: GanacheProcess) -> None:
    _open_market(market)
    market.start_buyer(market.offer(validators=()))
    closed = market.reaches(Status.CLOSED)
    wait_until(lambda: market.request().deal_block, "the deal's block")
    ganache.mine(6)
    settled = market.reaches(Status.SETTLED)
    assert closed.validators == ()
    assert (len(settled.trainers), len(settled.validators)) == (2, 1)


def test_a_node_that_starts_late_catches_up_from_chain_and_stream(market: Market) -> None:
    _open_market(market)
    market.start_buyer(market.offer(market.terms(owner_timeout=3600)))
    market.reaches(Status.OPEN)
    wait_until(lambda: market.address("owner-3") in market.request().owners, "the third owner's acceptance")
    market.stop("owner-3")
    market.reaches(Status.TRAINING)
    wait_until(lambda: market.running["aggregator"].node.mail.said("1", market.address("owner-1")), "the others' report for work")
    market.start_owner(3)
    market.reaches(Status.SETTLED)
    weights, _ = oracle(market.shards, [1], ROUNDS, market.terms().step)
    assert market.model() == close_to(weights)


def test_a_node_knows_its_seat_before_its_first_turn(market: Market) -> None:
    """Messages that waited when it was killed come to it at once, and must not pass for those of a training it has no part in."""
    _open_market(market)
    market.start_buyer(market.offer(market.terms(rounds=12)))
    market.reaches(Status.TRAINING)
    wait_until(lambda: market.running["aggregator"].node.mail.said("1", market.address("owner-1")), "the first messages")
    market.stop("aggregator")
    node = market.aggregator()
    assert node.seat("1") is not None
    assert node.seat("2") is None
    market.start("aggregator", node)
    market.reaches(Status.SETTLED)


def test_a_chain_that_falls_silent_while_a_request_is_read_decides_nothing(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_market(market)
    for name in ("aggregator", "owner-1"):
        _silence_once(market.running[name].node.marketplace, monkeypatch)
    market.start_buyer(market.offer())
    market.reaches(Status.TRAINING)


def _silence_once(marketplace: Marketplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first question for a request's document gets no answer."""
    ask, silent = marketplace.requirements, [True]

    def requirements(number: int) -> str:
        if silent:
            silent.pop()
            raise ChainError("the node does not answer")
        return ask(number)

    monkeypatch.setattr(marketplace, "requirements", requirements)


def test_a_slow_owner_delays_and_does_not_break(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    _open_market(market)
    slow = market.running["owner-3"].node
    released, reached = _hold_back(slow)
    market.start_buyer(market.offer(market.terms(owner_timeout=3600)))
    wait_until(reached, "the slow owner's first round")
    assert market.request().status is Status.TRAINING
    released()
    market.reaches(Status.SETTLED)
    weights, _ = oracle(market.shards, [1], ROUNDS, market.terms().step)
    assert market.model() == close_to(weights)


def _hold_back(node: object) -> tuple[object, object]:
    """Have an owner stand still at its first round until it is released."""
    import threading

    gate, reached = threading.Event(), threading.Event()
    take_seat = node.seat  # type: ignore[attr-defined]

    def seat(name: str) -> object:
        found = take_seat(name)
        if found is not None and not hasattr(found, "held"):
            found.held, handle = True, found.role.handle

            def slowly(message: object) -> object:
                if isinstance(message, Train):
                    reached.set()
                    assert gate.wait(400)
                return handle(message)

            found.role.handle = slowly
        return found

    node._lines._seat = seat  # type: ignore[attr-defined]
    return gate.set, reached.is_set


@pytest.mark.parametrize(("answer", "expected"), [("yes", True), ("no", False)])
def test_an_owner_that_asks_acts_on_its_owners_answer(market: Market, answer: str, expected: bool) -> None:
    market.start_aggregator()
    owner = market.start_owner(1, AnswerRule.ASK)
    market.start_buyer(market.offer())
    market.reaches(Status.OPEN)
    wait_until(lambda: (note := owner.node.book.request(1)) and note.note and "deltaml answer 1 yes" in note.note, "the question")
    assert market.address("owner-1") not in market.request().owners
    owner.node.book.note_request(1, answer=answer)
    wait_until(lambda: market.marketplace.answer(1, market.address("owner-1")).name in ("ACCEPTED", "DECLINED"), "the answer")
    assert (market.address("owner-1") in market.request().owners) is expected


def test_rules_decide_who_answers(market: Market) -> None:
    aggregator = market.start_aggregator(TakeOnRule.ASK)
    market.start_owner(1, AnswerRule.NEVER)
    market.start_owner(2, aggregators=[market.address("owner-3")])
    market.start_owner(3, aggregators=[market.address("aggregator")])
    market.start_buyer(market.offer())
    market.reaches(Status.OPEN)
    wait_until(lambda: aggregator.node.book.request(1), "the aggregator's reading of the request")
    assert not market.request().taken_on
    aggregator.node.book.note_request(1, answer="yes")
    wait_until(lambda: market.request().owners, "an acceptance")
    assert market.request().owners == (market.address("owner-3"),)
    wait_until(lambda: [peer.address for peer in aggregator.node.book.peers()] == [market.address("owner-3")], "the registration")


def test_an_owner_whose_data_do_not_match_says_why(market: Market) -> None:
    market.start_aggregator()
    market.file(1).write_text("x1,other,target\n0.1,0.2,0.3\n0.2,0.3,0.4\n")
    owner = market.start_owner(1)
    market.start_buyer(market.offer())
    wait_until(lambda: (note := owner.node.book.request(1)) and note.note, "a note")
    assert "owner-1.csv: the data set does not match the request: there is no column 'x2'" in owner.node.book.request(1).note  # type: ignore[union-attr,operator]


def test_releases_are_counted_over_requests_and_restarts(market: Market) -> None:
    _open_market(market)
    market.start_buyer(market.offer())
    market.model()
    for name in ("owner-2", "buyer"):
        market.stop(name)
    validator = market.start_owner(2).node
    market.start_buyer(market.offer(escrow_wei=2 * ETHER))
    wait_until(lambda: (note := validator.book.request(2)) and note.matches, "the reason")
    # with three weights, the two known models of the first training leave one, and a training has two
    (reason,) = validator.book.request(2).matches.values()  # type: ignore[union-attr]
    assert "has been measured 2 times at models its buyers know; more than 3 times would tell" in str(reason)
    wait_until(lambda: len(market.request(2).owners) == 2, "the trainers' acceptances")
    assert market.address("owner-2") not in market.request(2).owners
    assert [(note.known_releases, note.total_releases) for note in validator.book.requests()] == [(2, 6), (0, 0)]
