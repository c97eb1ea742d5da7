"""What goes wrong around one request, and that it stays there."""

from __future__ import annotations

import threading

import pytest
from market import ETHER, ITERATIONS, PASSWORD, Market, wait_until

from deltaml_core.chain import Marketplace, Request, Status
from deltaml_core.errors import ChainError, LeaseError, NodeError
from deltaml_core.node.buyer import BuyerNode
from deltaml_core.node.lines import Lines
from deltaml_core.node.owner import OwnerNode
from deltaml_core.store.lease import running


def _owner(market: Market, number: int) -> OwnerNode:
    node = market.running[f"owner-{number}"].node
    assert isinstance(node, OwnerNode)
    return node


def _note(market: Market, name: str, request: int) -> str:
    note = market.running[name].node.book.request(request)
    return "" if note is None or note.note is None else note.note


def _open(market: Market) -> None:
    market.start_aggregator()
    for number in range(1, len(market.shards) + 1):
        market.start_owner(number)


def test_one_home_runs_once(market: Market) -> None:
    market.start_owner(1)
    wait_until(lambda: running(_owner(market, 1).database), "the lease")
    second = OwnerNode(market.identity("owner-1"), market.connect_as("owner-1"), [market.file(1)])
    with pytest.raises(LeaseError, match="runs already"):
        second.run()


def test_an_offer_that_the_contract_refuses_ends_the_buyer_with_the_contracts_words(market: Market) -> None:
    market.start_aggregator()
    wait_until(lambda: market.marketplace.members(1), "the aggregator's registration")
    offer = market.offer(minimum_owners=1)
    node = BuyerNode(market.identity("buyer"), market.connect_as("buyer"), PASSWORD, [offer], iterations=ITERATIONS)
    with pytest.raises(NodeError, match="the offer cannot be posted: the contract refused with"):
        node.run()


def test_an_offer_that_the_wallet_cannot_pay_for_holds_up_no_training(market: Market) -> None:
    _open(market)
    buyer = market.start_buyer(market.offer(), market.offer(escrow_wei=1000 * ETHER))
    assert len(market.model()) == 3
    wait_until(lambda: "holds" in (buyer.node.book.fact("last_error") or {"text": ""})["text"], "the note of what it lacks")
    assert market.marketplace.requests() == (1,)


def test_rows_that_were_changed_since_they_were_accepted_take_no_part_until_they_are_back(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Lines, "need", lambda *_: None)  # nobody hears of the training yet
        _open(market)
        market.start_buyer(market.offer())
        market.reaches(Status.TRAINING)
        for number in (1, 2, 3):
            market.stop(f"owner-{number}")
        market.stop("buyer")
    rows = market.file(1).read_text()
    market.file(1).write_text(rows.replace(rows.splitlines()[1], rows.splitlines()[2]))
    for number in (1, 2, 3):
        market.start_owner(number)
    market.start_buyer()
    wait_until(lambda: "was changed since: bring it back" in _note(market, "owner-1", 1), "the note")
    market.stop("owner-1")
    market.file(1).write_text(rows)
    market.start_owner(1)
    market.reaches(Status.SETTLED)
    assert len(market.model()) == 3


def test_an_aggregator_that_is_reached_nowhere_disturbs_no_other_training(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    _open(market)
    need = Lines.need

    def lost(lines: Lines, aggregator: str, request: str) -> None:
        if request == "1" and lines is _owner(market, 1)._lines:
            raise NodeError("the aggregator does not say where it is reached")
        need(lines, aggregator, request)

    monkeypatch.setattr(Lines, "need", lost)
    market.start_buyer(market.offer(), market.offer(escrow_wei=2 * ETHER))
    market.reaches(Status.SETTLED, 2)
    assert _note(market, "owner-1", 1) == "the aggregator does not say where it is reached"
    assert market.request(1).status is Status.TRAINING


def test_a_chain_that_falls_silent_half_way_loses_no_request(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.start_aggregator()
    node = market.start_owner(1).node
    wait_until(lambda: market.marketplace.members(0), "the owner's registration")
    read, silent = Marketplace.request, threading.Event()

    def request(self: Marketplace, number: int) -> Request:
        if self is node.marketplace and not silent.is_set():
            silent.set()
            raise ChainError("the node does not answer")
        return read(self, number)

    monkeypatch.setattr(Marketplace, "request", request)
    market.start_buyer(market.offer())
    wait_until(silent.is_set, "the silence")
    wait_until(lambda: market.request().owners == (market.address("owner-1"),), "the acceptance all the same")
