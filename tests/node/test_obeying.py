"""Nodes that are told by a page what to do, and a buyer that checks a result from its own store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from market import ETHER, PASSWORD, Market, wait_until
from test_commands import _run

from deltaml_core.chain import GanacheProcess, Status
from deltaml_core.chain.events import Credited, MetricRecorded, RequestCreated
from deltaml_core.chain.marketplace import Marketplace, Submission
from deltaml_core.chain.picture import PictureReader, RequestPicture
from deltaml_core.chain.wallet import Wallet
from deltaml_core.node.base import Node
from deltaml_core.node.buyer import BuyerNode
from deltaml_core.node.hosting import HostedNode, host
from deltaml_core.node.owner import AnswerRule
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Mail
from deltaml_core.store.orders import Order
from deltaml_core.verification import Verification, verify_result

pytestmark = pytest.mark.slow


def _told(node: Node, purpose: str) -> Order:
    """The order, once it is not waiting any more."""

    def find() -> Order | None:
        return next((order for order in node.orders.all() if order.purpose == purpose and order.state != "waiting"), None)

    wait_until(find, purpose)
    found = find()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def played(ganache: GanacheProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Market, BuyerNode]]:
    """A verifiable training that was posted, answered, confirmed and withdrawn by order only."""
    market = Market(ganache, tmp_path_factory.mktemp("orders"))
    market.start_aggregator()
    for number in (1, 2, 3):
        market.start_owner(number, AnswerRule.ASK)
    buyer = BuyerNode(
        dataclasses.replace(market.identity("buyer"), withdraws=False), market.connect_as("buyer"), PASSWORD, iterations=2**10
    )
    market.start("buyer", buyer)
    offer = market.offer(market.terms(rounds=2, key_bits=2048, metrics="verifiable", contributions="shapley", evaluate_every=1))
    buyer.orders.place("post", {"offer": offer.to_json()}, "post 1")
    assert _told(buyer, "post 1").note == "Request 1 is posted."
    for number in (1, 2, 3):
        book = market.running[f"owner-{number}"].node.book
        wait_until(lambda book=book: (note := book.request(1)) and note.matches and list(note.matches.values()) == [None], "the match")  # type: ignore[misc]
        book.note_request(1, answer="yes")
    market.reaches(Status.SUBMITTED)
    buyer.orders.place("confirm", {"request": 1}, "confirm 1")
    assert _told(buyer, "confirm 1").state == "done"
    market.reaches(Status.SETTLED)
    market.model()
    yield market, buyer
    market.close()


@pytest.fixture(scope="module")
def picture(played: tuple[Market, BuyerNode]) -> RequestPicture:
    return PictureReader(played[0].marketplace).read().requests[1]


def _verdicts(found: Verification) -> dict[str, bool | None]:
    return {check.name: check.ok for check in found.checks}


def _verify(played: tuple[Market, BuyerNode], picture: RequestPicture) -> dict[str, bool | None]:
    market, buyer = played
    return _verdicts(verify_result(market.marketplace, picture, buyer.mail, buyer.wallet.address))


def test_the_buyer_verifies_everything_it_pays_for(played: tuple[Market, BuyerNode], picture: RequestPicture) -> None:
    verdicts = _verify(played, picture)
    assert len(verdicts) == 8
    assert set(verdicts.values()) == {True}, verdicts


def test_another_machine_can_check_what_is_on_the_chain(played: tuple[Market, BuyerNode], picture: RequestPicture, tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")
    found = verify_result(played[0].marketplace, picture, Mail(database), played[1].wallet.address)
    database.close()
    assert [check.ok for check in found.checks] == [True, True, True, None, None, None, None, True]
    assert found.ok


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (
            {"gains": (1, 2)},
            {"the gains follow from the coalitions' errors", "everybody was credited what follows", "most validators signed it"},
        ),
        ({"final_mse": 1}, {"the final error is opened with proof", "the final error is what you opened"}),
        ({"initial_mse": 10**18}, {"the first error is what you opened"}),
        ({"metric_hash": bytes(32)}, {"the final error is opened with proof"}),
    ],
)
def test_a_changed_statement_is_found_out(
    played: tuple[Market, BuyerNode], picture: RequestPicture, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], fails: set[str]
) -> None:
    _submit_instead(
        monkeypatch, played[0].marketplace, lambda sent: dataclasses.replace(sent, statement=dataclasses.replace(sent.statement, **change))
    )  # type: ignore[arg-type]
    failed = {name for name, ok in _verify(played, picture).items() if ok is False}
    assert fails <= failed
    assert "most validators signed it" in failed  # they signed another one


def test_an_opening_that_does_not_hold_is_found_out(
    played: tuple[Market, BuyerNode], picture: RequestPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(sent: Submission) -> Submission:
        assert sent.opening is not None
        return dataclasses.replace(sent, opening=dataclasses.replace(sent.opening, randomness=sent.opening.randomness + 1))

    _submit_instead(monkeypatch, played[0].marketplace, change)
    assert [name for name, ok in _verify(played, picture).items() if ok is False] == ["the final error is opened with proof"]


def test_an_error_on_the_chain_that_was_never_opened_is_found_out(played: tuple[Market, BuyerNode], picture: RequestPicture) -> None:
    events = tuple(
        dataclasses.replace(event, mse=event.mse + 1) if isinstance(event, MetricRecorded) else event for event in picture.events
    )
    verdicts = _verify(played, dataclasses.replace(picture, events=events))
    assert verdicts["the curve on the chain is what you opened"] is False


def test_an_error_on_the_chain_that_the_store_does_not_know_is_not_vouched_for(
    played: tuple[Market, BuyerNode], picture: RequestPicture
) -> None:
    (first, *_) = (event for event in picture.events if isinstance(event, MetricRecorded))
    changed = dataclasses.replace(picture, events=(*picture.events, dataclasses.replace(first, round=77)))
    assert _verify(played, changed)["the curve on the chain is what you opened"] is None


def test_a_request_that_was_posted_otherwise_is_found_out(played: tuple[Market, BuyerNode], picture: RequestPicture) -> None:
    def loosen(event: RequestCreated) -> RequestCreated:
        text = event.requirements.replace('"owner_timeout":', '"owner_timeout":1')
        assert text != event.requirements
        return dataclasses.replace(event, requirements=text)

    events = tuple(loosen(event) if isinstance(event, RequestCreated) else event for event in picture.events)
    failed = [name for name, ok in _verify(played, dataclasses.replace(picture, events=events)).items() if ok is False]
    assert failed == ["the request is the one you posted"]


def test_money_that_was_credited_otherwise_is_found_out(played: tuple[Market, BuyerNode], picture: RequestPicture) -> None:
    events = tuple(
        dataclasses.replace(event, amount_wei=event.amount_wei - 1) if isinstance(event, Credited) else event for event in picture.events
    )
    failed = [name for name, ok in _verify(played, dataclasses.replace(picture, events=events)).items() if ok is False]
    assert failed == ["everybody was credited what follows"]


def test_a_stranger_signs_for_no_validator(
    played: tuple[Market, BuyerNode], picture: RequestPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, _ = played
    stranger = Wallet.create()

    def change(sent: Submission) -> Submission:
        signed = stranger.sign_statement(sent.statement, market.marketplace.chain_id, market.marketplace.address)
        return dataclasses.replace(sent, signatures=dict.fromkeys(sent.signatures, signed))

    _submit_instead(monkeypatch, market.marketplace, change)
    assert [name for name, ok in _verify(played, picture).items() if ok is False] == ["most validators signed it"]


def test_another_rounds_error_is_not_the_final_one(
    played: tuple[Market, BuyerNode], picture: RequestPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The buyer opened it, but not as the final model's."""

    def change(sent: Submission) -> Submission:
        statement = sent.statement
        return dataclasses.replace(sent, statement=dataclasses.replace(statement, round=0, final_mse=statement.initial_mse))

    _submit_instead(monkeypatch, played[0].marketplace, change)
    assert _verify(played, picture)["the final error is what you opened"] is False


def test_what_measured_with_noise_proves_is_said(market: Market) -> None:
    market.start_aggregator()
    for number in (1, 2, 3):
        market.start_owner(number)
    buyer = market.start_buyer(market.offer(market.terms(rounds=2))).node
    market.reaches(Status.SETTLED)
    picture = PictureReader(market.marketplace).read().requests[1]
    found = verify_result(market.marketplace, picture, buyer.mail, buyer.wallet.address)
    verdicts = _verdicts(found)
    unknown = {name for name, ok in verdicts.items() if ok is None}
    assert unknown == {"the final error is opened with proof", "the gains follow from the coalitions' errors"}
    assert set(verdicts.values()) == {True, None}


def _submit_instead(monkeypatch: pytest.MonkeyPatch, marketplace: Marketplace, change: object) -> None:
    sent = marketplace.submission(1)
    assert sent is not None
    assert callable(change)
    changed = change(sent)
    monkeypatch.setattr(Marketplace, "submission", lambda self, number: changed)


def test_the_command_says_what_holds(played: tuple[Market, BuyerNode]) -> None:
    market, _ = played
    said = _run("verify", "1", "--home", str(market.home("buyer").path), market=market)
    assert (said.returncode, said.stdout.count("holds")) == (0, 8)
    none = _run("verify", "9", "--home", str(market.home("buyer").path), market=market)
    assert (none.returncode, "there is no request 9" in none.stderr) == (1, True)


def test_a_refund_is_withdrawn_by_order_once(played: tuple[Market, BuyerNode]) -> None:
    market, buyer = played
    credit = market.marketplace.credit_wei(buyer.wallet.address)
    assert credit > 0
    for _ in range(3):
        buyer.orders.place("withdraw", {}, "withdraw by hand 1")
    assert _told(buyer, "withdraw by hand 1").note == f"{credit / ETHER:.4f} ether were withdrawn."
    assert market.marketplace.credit_wei(buyer.wallet.address) == 0
    buyer.orders.place("withdraw", {}, "withdraw by hand 2")
    assert _told(buyer, "withdraw by hand 2").state == "refused"


def test_evidence_that_is_none_costs_no_gas(played: tuple[Market, BuyerNode]) -> None:
    market, buyer = played
    sent = market.marketplace.submission(1)
    assert sent is not None
    signatures = {who: signed.hex() for who, signed in sent.signatures.items()}
    before = market.marketplace.transaction_count(buyer.wallet.address)
    buyer.orders.place("refute", {"request": 1, "statement": sent.statement.to_json(), "signatures": signatures}, "refute 1")
    assert "no evidence against request 1" in (_told(buyer, "refute 1").note or "")
    buyer.orders.place("refute", {"request": 1, "statement": {"round": 1}, "signatures": signatures}, "refute 2")
    assert "this is no statement" in (_told(buyer, "refute 2").note or "")
    assert market.marketplace.transaction_count(buyer.wallet.address) == before


def test_a_role_refuses_what_is_not_its_own(played: tuple[Market, BuyerNode]) -> None:
    owner = played[0].running["owner-1"].node
    owner.orders.place("confirm", {"request": 1}, "confirm 1")
    assert _told(owner, "confirm 1").note == "a data owner's node cannot confirm"


def test_a_data_set_is_added_while_the_node_runs_and_known_when_it_starts_again(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAML_RPC_URL", market.ganache.url)
    monkeypatch.setenv("DELTAML_CONTRACT", market.marketplace.address)
    first = market.start_owner(1)
    added = market.file(2)
    first.node.orders.place("add data set", {"path": str(added)}, "add 2")
    assert _told(first.node, "add 2").note == "owner-2.csv is added: 9 rows, 3 columns."
    first.node.orders.place("add data set", {"path": str(added.with_name("missing.csv"))}, "add 3")
    assert "cannot be read" in (_told(first.node, "add 3").note or "")
    market.stop("owner-1")
    again = host(market.home("owner-1"), PASSWORD)
    again.start()
    try:
        wait_until(lambda: again.is_running and isinstance(again, HostedNode), "the node in this process")
        assert len(again.node.shelf.reasons(market.terms().requirements)) == 2  # type: ignore[attr-defined]
    finally:
        again.stop()
    assert again.error is None
