"""Transactions are sent once, on a real chain."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from web3 import Web3

from deltaml_core.chain import GanacheProcess, Marketplace, Role, Wallet, connect
from deltaml_core.errors import ChainError, ContractError
from deltaml_core.store.database import Database
from deltaml_core.store.journal import Journal

ETHER = 10**18


@dataclass
class Account:
    """A funded wallet with a journal, on a contract of its own."""

    chain: GanacheProcess
    database: Database
    marketplace: Marketplace
    wallet: Wallet

    @property
    def journal(self) -> Journal:
        """A new one each time, as after a restart."""
        return Journal(self.database, self.marketplace, self.wallet)

    @property
    def sent(self) -> int:
        return self.marketplace.transaction_count(self.wallet.address)

    def registered(self) -> bool:
        return any(member.address == self.wallet.address for member in self.marketplace.members(Role.DATA_OWNER))

    def register(self, wallet: Wallet) -> None:
        self.marketplace.register(wallet, Role.DATA_OWNER)

    def leave(self, wallet: Wallet) -> None:
        self.marketplace.leave(wallet, Role.DATA_OWNER)


@pytest.fixture(scope="module")
def deployed(ganache: GanacheProcess) -> Marketplace:
    deployer = Wallet.create()
    ganache.fund(deployer.address, ETHER)
    return Marketplace.deploy(connect(ganache.url), deployer)


@pytest.fixture
def account(ganache: GanacheProcess, deployed: Marketplace, database: Database) -> Account:
    wallet = Wallet.create()
    ganache.fund(wallet.address, ETHER)
    return Account(ganache, database, deployed, wallet)


class Died(Exception):
    """The process ended here."""


def sign_only(account: Account, wallet: Wallet) -> None:
    """A call whose process dies between signing and sending."""

    class Dying(Wallet):
        def __init__(self) -> None:
            self.lock = wallet.lock

        @property
        def address(self):  # type: ignore[no-untyped-def]
            return wallet.address

        def sign_transaction(self, transaction):  # type: ignore[no-untyped-def]
            wallet.sign_transaction(transaction)
            raise Died

    account.register(Dying())


def test_the_same_purpose_twice_sends_one_transaction(account: Account) -> None:
    first = account.journal.once("register", account.register)
    again = account.journal.once("register", account.register)
    assert first == again
    assert first.succeeded
    assert account.sent == 1
    assert account.registered()
    assert [sent.purpose for sent in account.journal.all()] == ["register"]


def test_what_was_signed_and_not_sent_is_sent_later_as_it_is(account: Account) -> None:
    with pytest.raises(Died):
        account.journal.once("register", lambda wallet: sign_only(account, wallet))
    (kept,) = account.journal.all()
    assert (account.sent, account.registered(), kept.block) == (0, False, None)

    account.journal.resume()
    assert account.registered()
    receipt = account.journal.once("register", lambda wallet: pytest.fail("signed once more"))
    assert receipt.transaction_hash == kept.hash == Web3.to_hex(Web3.keccak(kept.raw))
    assert [(sent.raw, sent.block) for sent in account.journal.all()] == [(kept.raw, receipt.block)]
    assert account.sent == 1


def test_what_was_signed_and_not_sent_goes_before_what_comes_after_it(account: Account) -> None:
    with pytest.raises(Died):
        account.journal.once("register", lambda wallet: sign_only(account, wallet))
    account.journal.once("leave", account.leave)
    assert [(sent.nonce, sent.purpose) for sent in account.journal.all()] == [(0, "register"), (1, "leave")]
    assert not account.registered()
    assert account.sent == 2


def test_what_a_chain_has_lost_is_sent_again(account: Account) -> None:
    snapshot = account.chain._request("evm_snapshot", [])
    first = account.journal.once("register", account.register)
    account.journal.once("leave", account.leave)
    account.journal.once("register again", account.register)
    before = account.journal.all()
    assert account.chain._request("evm_revert", [snapshot])
    assert (account.sent, account.registered()) == (0, False)

    account.journal.resume()
    assert account.sent == 3
    assert account.registered()
    assert [sent.raw for sent in account.journal.all()] == [sent.raw for sent in before]
    assert account.journal.once("register", account.register).transaction_hash == first.transaction_hash


def test_a_refused_call_writes_nothing_and_may_be_tried_again(account: Account) -> None:
    with pytest.raises(ContractError):
        account.journal.once("leave", account.leave)
    assert account.journal.all() == []
    assert account.sent == 0
    account.journal.once("register", account.register)
    account.journal.once("leave", account.leave)
    assert not account.registered()


def test_a_chain_that_does_not_answer_is_a_chain_error_and_nothing_is_lost(account: Account, database: Database) -> None:
    with GanacheProcess(chain_id=1338) as other:
        other.fund(account.wallet.address, ETHER)
        marketplace = Marketplace.deploy(connect(other.url), account.wallet)
    journal = Journal(database, marketplace, account.wallet)
    for attempt in (journal.resume, lambda: journal.once("register", account.register)):
        with pytest.raises(ChainError):
            attempt()
    assert journal.all() == []


def test_what_was_refused_when_it_was_mined_may_be_tried_anew(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deltaml_core.chain.marketplace.GAS_MARGIN", -10_000)
    monkeypatch.setattr("deltaml_core.chain.marketplace.GAS_MARGIN_PERCENT", 0)
    with pytest.raises(ChainError):
        account.journal.once("register", account.register)
    monkeypatch.undo()
    with pytest.raises(ContractError, match="was refused when it was mined"):
        account.journal.once("register", account.register)
    assert account.journal.once("register", account.register).succeeded
    refused, done = account.journal.all()
    assert refused.purpose.startswith("register, refused in block ")
    assert (done.purpose, done.nonce) == ("register", 1)
