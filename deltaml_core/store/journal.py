"""Transactions that are sent once: each is written down, signed, before a node of the chain sees it.

    receipt = journal.once("accept 7", lambda wallet: marketplace.accept(wallet, 7, commitment))

A process killed between signing and receipt finds the same bytes again, with the same number of the account, and sends those: the
chain takes them once, however often they come. A chain that lost its last blocks is sent them again as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from sqlalchemy import bindparam, select, update
from web3 import Web3
from web3.types import TxParams

from deltaml_core.chain.marketplace import Marketplace, Receipt
from deltaml_core.chain.wallet import Wallet
from deltaml_core.errors import ChainError, ContractError
from deltaml_core.store.database import Database
from deltaml_core.store.schema import transactions

_OF_PURPOSE = select(transactions).where(transactions.c.purpose == bindparam("what"))
_FROM_ON = select(transactions).where(transactions.c.nonce >= bindparam("first")).order_by(transactions.c.nonce)
_MINED = update(transactions).where(transactions.c.purpose == bindparam("what")).values(block=bindparam("where"))


@dataclass(frozen=True)
class Sent:
    """A transaction as it was written down."""

    purpose: str
    nonce: int
    raw: bytes
    hash: str
    block: int | None


class Journal:
    """The transactions of one account."""

    def __init__(self, database: Database, marketplace: Marketplace, wallet: Wallet) -> None:
        """Of this wallet, on this contract."""
        self._database = database
        self._marketplace = marketplace
        self._wallet = wallet
        self._one_at_a_time = threading.Lock()

    def resume(self) -> None:
        """Send again, oldest first, what the chain does not have: it was not sent before, or was lost in a reorganisation.

        Raises:
            ChainError: the chain does not answer.
        """
        with self._one_at_a_time:
            self._send_missing()

    def once(self, purpose: str, call: Callable[[Wallet], object]) -> Receipt:
        """Do something on the chain that is done once.

        Args:
            purpose: what it is for; the same purpose never sends a second transaction.
            call: a writing method of the marketplace, given the wallet it is to use.

        Returns:
            The transaction's receipt, now or from when it was done before.

        Raises:
            ContractError: the contract refused it. Nothing was sent, or what was sent was refused when it was mined and changed
                nothing; then the purpose may be served anew.
            ChainError: the chain does not answer; the same call later takes it up again.
        """
        with self._one_at_a_time:
            self._send_missing()
            sent, done = self._find(purpose), None
            if sent is None:
                done = call(_Writing(self._wallet, purpose, self._note))
                sent = self._find(purpose)
            if sent is None:
                receipt = None
            elif isinstance(done, Receipt) and done.transaction_hash == sent.hash:
                receipt = done
            else:
                receipt = self._marketplace.receipt(sent.hash)
            if receipt is None:
                raise ChainError(f"the chain does not show what was sent for {purpose!r} yet: ask again")
            if not receipt.succeeded:
                self._note_failure(purpose, receipt)
                raise ContractError(f"the transaction {receipt.transaction_hash} ({purpose}) was refused when it was mined", "", {})
            self._note_block(purpose, receipt.block)
        return receipt

    def all(self) -> list[Sent]:
        """Every transaction, in the order of the account's numbers."""
        with self._database.reading() as connection:
            return [Sent(*row) for row in connection.execute(select(transactions).order_by(transactions.c.nonce))]

    def _send_missing(self) -> None:
        """The chain's count of the account's transactions tells which of them it lacks."""
        known = self._marketplace.transaction_count(self._wallet.address)
        with self._database.reading() as connection:
            missing = [Sent(*row) for row in connection.execute(_FROM_ON, {"first": known})]
        for sent in missing:
            self._note_block(sent.purpose, self._marketplace.send_again(sent.raw).block)

    def _find(self, purpose: str) -> Sent | None:
        with self._database.reading() as connection:
            row = connection.execute(_OF_PURPOSE, {"what": purpose}).first()
        return None if row is None else Sent(*row)

    def _note(self, purpose: str, nonce: int, raw: bytes) -> None:
        row = {"purpose": purpose, "nonce": nonce, "raw": raw, "hash": Web3.to_hex(Web3.keccak(raw))}
        with self._database.writing() as connection:
            connection.execute(transactions.insert().values(row))

    def _note_failure(self, purpose: str, receipt: Receipt) -> None:
        """Others were faster, say, between the estimate and the block: it stays on record under another name."""
        renamed = f"{purpose}, refused in block {receipt.block}"
        with self._database.writing() as connection:
            connection.execute(update(transactions).where(transactions.c.purpose == purpose).values(purpose=renamed, block=receipt.block))

    def _note_block(self, purpose: str, block: int) -> None:
        with self._database.noting() as connection:
            connection.execute(_MINED, {"what": purpose, "where": block})


class _Writing(Wallet):
    """The wallet, for one transaction: what it signs is written down first."""

    def __init__(self, wallet: Wallet, purpose: str, note: Callable[[str, int, bytes], None]) -> None:
        self._wallet = wallet
        self._purpose = purpose
        self._note = note
        self.lock = wallet.lock

    @property
    def address(self) -> ChecksumAddress:
        return self._wallet.address

    def sign_transaction(self, transaction: TxParams) -> HexBytes:
        raw = self._wallet.sign_transaction(transaction)
        self._note(self._purpose, int(transaction["nonce"]), bytes(raw))
        return raw
