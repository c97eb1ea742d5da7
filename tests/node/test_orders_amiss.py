"""What nodes do about orders when something is amiss: the chain is silent, an order makes no sense, a purpose is taken."""

from __future__ import annotations

import pytest
from market import ETHER, Market, wait_until

from deltaml_core.chain import Marketplace, Receipt, Role, Status, Wallet
from deltaml_core.errors import ChainError, LeaseError
from deltaml_core.node.base import Node
from deltaml_core.node.hosting import HostedNode
from deltaml_core.node.owner import AnswerRule, OwnerNode
from deltaml_core.store.lease import running
from deltaml_core.store.orders import Order


def _order(node: Node, purpose: str) -> Order:
    found = node.orders.find(purpose)
    assert found is not None
    return found


def _told(node: Node, purpose: str) -> Order:
    wait_until(lambda: _order(node, purpose).state != "waiting", purpose)
    return _order(node, purpose)


def test_orders_that_make_no_sense_are_refused_and_the_node_goes_on(market: Market) -> None:
    buyer = market.start_buyer().node
    for action in ("post", "cancel", "confirm", "refute", "fly"):
        buyer.orders.place(action, {"offer": 1, "request": "all"}, action)
    notes = {action: _told(buyer, action).note for action in ("post", "cancel", "confirm", "refute", "fly")}
    assert notes["post"] == "to post it takes 'offer' (str), not 1"
    assert notes["refute"] == "to refute it takes 'request' (int), not 'all'"
    assert notes["fly"] == "a model buyer's node cannot fly"
    assert market.marketplace.requests() == ()
    assert not market.running["buyer"].error


def test_an_order_that_was_refused_is_done_when_it_is_placed_again_as_it_should_be(market: Market) -> None:
    market.start_aggregator()
    wait_until(lambda: market.marketplace.members(1), "the aggregator's registration")
    buyer = market.start_buyer().node
    offer = market.offer(escrow_wei=1000 * ETHER)
    buyer.orders.place("post", {"offer": offer.to_json()}, "post")
    assert "holds" in (_told(buyer, "post").note or "")
    buyer.orders.place("post", {"offer": market.offer().to_json()}, "post")
    wait_until(lambda: _order(buyer, "post").state == "done", "the request")
    for _ in range(2):
        buyer.orders.place("post", {"offer": market.offer().to_json()}, "post")
    assert market.request(1).escrow_wei == 3 * ETHER
    buyer.orders.place("cancel", {"request": 1}, "cancel 1")
    assert _told(buyer, "cancel 1").state == "done"
    market.reaches(Status.CANCELLED)
    assert market.marketplace.requests() == (1,)


def test_an_order_that_gets_no_answer_from_the_chain_waits_and_holds_up_no_other(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    node = market.start_owner(1).node
    withdraw, silent = Marketplace.withdraw, [True]

    def sometimes(self: Marketplace, wallet: Wallet) -> Receipt:
        if silent:
            raise ChainError("the node does not answer")
        return withdraw(self, wallet)

    monkeypatch.setattr(Marketplace, "withdraw", sometimes)
    node.orders.place("withdraw", {}, "withdraw 1")
    node.orders.place("add data set", {"path": str(market.file(2))}, "add 2")
    assert _told(node, "add 2").state == "done"
    wait_until(lambda: _order(node, "withdraw 1").note == "the node does not answer", "the word that it waits")
    assert _order(node, "withdraw 1").state == "waiting"
    silent.clear()
    assert _told(node, "withdraw 1").state == "refused"  # there is nothing to withdraw, which is the contract's answer


def test_an_order_that_comes_before_the_registration_waits_for_it(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.start_aggregator()
    wait_until(lambda: market.marketplace.members(1), "the aggregator's registration")
    register, silent = Marketplace.register, [True]

    def once_it_answers(self: Marketplace, wallet: Wallet, role: Role, description: str) -> Receipt:
        if silent:
            raise ChainError("the chain is silent")
        return register(self, wallet, role, description)

    monkeypatch.setattr(Marketplace, "register", once_it_answers)
    buyer = market.start_buyer().node
    buyer.orders.place("post", {"offer": market.offer().to_json()}, "post")
    wait_until(lambda: "NotRegistered" in (_order(buyer, "post").note or ""), "the word that it waits")
    assert _order(buyer, "post").state == "waiting"
    silent.clear()
    assert _told(buyer, "post").state == "done"
    assert market.marketplace.requests() == (1,)


def test_a_purpose_in_the_nodes_own_words_is_another_one(market: Market) -> None:
    """Else whoever words an order could have it taken for done."""
    node = market.start_owner(1).node
    wait_until(lambda: any(sent.purpose == "register" for sent in node.journal.all()), "the registration")
    node.orders.place("withdraw", {}, "register")
    assert _told(node, "register").state == "refused"


def test_an_owner_without_ether_learns_of_data_sets(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market.ganache, "fund", lambda *_: None)
    node = market.start_owner(1).node
    node.orders.place("add data set", {"path": str(market.file(2))}, "add 2")
    assert _told(node, "add 2").note == "owner-2.csv is added: 9 rows, 3 columns."
    assert not market.marketplace.members(0)


def test_an_open_request_is_examined_again_when_a_data_set_is_added(market: Market) -> None:
    market.start_aggregator()
    market.file(1).write_text("x1,other,target\n0.1,0.2,0.3\n0.2,0.3,0.4\n")
    owner = market.start_owner(1, AnswerRule.ASK).node
    market.start_buyer(market.offer())
    wait_until(lambda: (note := owner.book.request(1)) and note.matches, "the reasons")
    (first,) = owner.book.request(1).matches.items()  # type: ignore[union-attr]
    assert "there is no column 'x2'" in str(first[1])
    owner.orders.place("add data set", {"path": str(market.file(2))}, "add 2")
    wait_until(lambda: None in owner.book.request(1).matches.values(), "the match")  # type: ignore[union-attr]
    wait_until(lambda: "deltaml answer 1 yes" in (owner.book.request(1).note or ""), "the question")  # type: ignore[union-attr]
    assert len(owner.book.request(1).matches) == 2  # type: ignore[union-attr, arg-type]


def test_a_home_that_runs_elsewhere_is_said_to(market: Market) -> None:
    first = market.start_owner(1).node
    wait_until(lambda: running(first.database), "the lease")
    second = HostedNode(OwnerNode(market.identity("owner-1"), market.connect_as("owner-1"), []))
    second.start()
    wait_until(lambda: not second.is_running, "the second one's end")
    assert second.runs_elsewhere
    assert isinstance(second.error, LeaseError)


def test_a_hosted_node_keeps_what_ended_it(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_over(self: Node) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(OwnerNode, "_open", fall_over)
    hosted = HostedNode(OwnerNode(market.identity("owner-1"), market.connect_as("owner-1"), []))
    hosted.start()
    wait_until(lambda: not hosted.is_running, "its end")
    assert isinstance(hosted.error, ZeroDivisionError)
    assert not hosted.runs_elsewhere


def test_a_hosted_node_that_never_started_lets_go_of_its_store(market: Market) -> None:
    hosted = HostedNode(OwnerNode(market.identity("owner-1"), market.connect_as("owner-1"), []))
    hosted.stop()
    assert not hosted.is_running
    assert hosted.error is None
