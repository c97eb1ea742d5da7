"""Transactions are signed once and mined once, whatever is killed or lost in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from web3.types import RPCEndpoint

from deltaml_core.chain import GanacheProcess, Marketplace, Role, Wallet, connect
from deltaml_core.errors import ChainError, ContractError
from deltaml_core.store.database import Database
from deltaml_core.store.journal import Journal

ETHER = 10**18


class Killed(Exception):
    """Stands for the end of a process at this place."""


@pytest.fixture(scope="module")
def marketplace(ganache: GanacheProcess) -> Marketplace:
    deployer = Wallet.create()
    ganache.fund(deployer.address, ETHER)
    return Marketplace.deploy(connect(ganache.url), deployer)


@pytest.fixture
def wallet(ganache: GanacheProcess) -> Wallet:
    wallet = Wallet.create()
    ganache.fund(wallet.address, ETHER)
    return wallet


@pytest.fixture
def journal(database: Database, marketplace: Marketplace, wallet: Wallet) -> Journal:
    return Journal(database, marketplace, wallet)


def _ask(marketplace: Marketplace, method: str, *arguments: Any) -> Any:
    return marketplace.web3.provider.make_request(RPCEndpoint(method), list(arguments))["result"]


def test_a_purpose_is_served_once(journal: Journal, marketplace: Marketplace, wallet: Wallet) -> None:
    first = journal.once("register", lambda w: marketplace.register(w, Role.DATA_OWNER))
    again = journal.once("register", lambda w: marketplace.register(w, Role.MODEL_BUYER))
    assert first == again
    assert marketplace.transaction_count(wallet.address) == 1
    assert journal.has("register")
    assert not journal.has("leave")


def test_what_was_signed_and_not_sent_is_sent_later_as_it_was(journal: Journal, marketplace: Marketplace, wallet: Wallet) -> None:
    signed: list[bytes] = []

    def killed_before_sending(writing: Wallet) -> None:
        sent = marketplace.web3.eth.send_raw_transaction
        try:
            marketplace.web3.eth.send_raw_transaction = lambda raw: signed.append(bytes(raw)) or _die()  # type: ignore[assignment]
            marketplace.register(writing, Role.DATA_OWNER, "first")
        finally:
            marketplace.web3.eth.send_raw_transaction = sent  # type: ignore[method-assign]

    with pytest.raises(Killed):
        journal.once("register", killed_before_sending)
    assert marketplace.transaction_count(wallet.address) == 0
    later = journal.once("leave", lambda w: marketplace.leave(w, Role.DATA_OWNER))
    assert later.succeeded
    assert [(sent.purpose, sent.nonce) for sent in journal.all()] == [("register", 0), ("leave", 1)]
    assert journal.all()[0].raw == signed[0]
    assert marketplace.transaction_count(wallet.address) == 2


def _die() -> bytes:
    raise Killed


def test_what_the_chain_forgot_is_sent_again(
    journal: Journal, marketplace: Marketplace, wallet: Wallet, ganache: GanacheProcess, database: Database
) -> None:
    snapshot = _ask(marketplace, "evm_snapshot")
    for number, role in enumerate((Role.DATA_OWNER, Role.MODEL_BUYER)):
        journal.once(f"register {number}", lambda w, role=role: marketplace.register(w, role))  # type: ignore[misc]
    raw = [sent.raw for sent in journal.all()]
    assert _ask(marketplace, "evm_revert", snapshot)
    assert marketplace.transaction_count(wallet.address) == 0
    Journal(database, marketplace, wallet).resume()
    assert marketplace.transaction_count(wallet.address) == 2
    assert [sent.raw for sent in journal.all()] == raw
    assert all(marketplace.receipt(sent.hash) is not None for sent in journal.all())


def test_what_the_contract_refuses_leaves_no_trace(journal: Journal, marketplace: Marketplace, wallet: Wallet) -> None:
    with pytest.raises(ContractError) as refusal:
        journal.once("leave", lambda w: marketplace.leave(w, Role.DATA_OWNER))
    assert refusal.value.name == "NotRegistered"
    assert journal.all() == []
    assert marketplace.transaction_count(wallet.address) == 0


def test_what_was_refused_when_it_was_mined_may_be_tried_anew(
    journal: Journal, marketplace: Marketplace, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deltaml_core.chain.marketplace.GAS_MARGIN", -10_000)
    monkeypatch.setattr("deltaml_core.chain.marketplace.GAS_MARGIN_PERCENT", 0)
    with pytest.raises(ChainError):
        journal.once("register", lambda w: marketplace.register(w, Role.DATA_OWNER))
    monkeypatch.undo()
    with pytest.raises(ContractError, match="was refused when it was mined"):
        journal.once("register", lambda w: marketplace.register(w, Role.DATA_OWNER))
    assert journal.once("register", lambda w: marketplace.register(w, Role.DATA_OWNER)).succeeded
    refused, done = journal.all()
    assert refused.purpose.startswith("register, refused in block ")
    assert (done.purpose, done.nonce) == ("register", 1)


def test_a_silent_chain_changes_nothing(tmp_path: Path) -> None:
    with GanacheProcess() as ganache:
        wallet = Wallet.create()
        ganache.fund(wallet.address, ETHER)
        marketplace = Marketplace.deploy(connect(ganache.url), wallet)
    database = Database(tmp_path / "store.db")
    journal = Journal(database, marketplace, wallet)
    with pytest.raises(ChainError, match="the node does not answer"):
        journal.once("register", lambda w: marketplace.register(w, Role.DATA_OWNER))
    assert journal.all() == []
    database.close()
