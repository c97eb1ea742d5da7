"""What a page looks at: the chain, and, once somebody has opened a wallet, that node's store. Read-only, in one place."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.picture import MarketPicture, PictureReader
from deltaml_core.chain.reverts import translated
from deltaml_core.chain.types import Role
from deltaml_core.node.privacy import Account, Accounts, PrivacyRule
from deltaml_core.store.book import Book, Card, Peer, RequestNote
from deltaml_core.store.database import Database
from deltaml_core.store.lease import running
from deltaml_core.store.mail import Mail, RoundTraffic
from deltaml_core.store.orders import Order, Orders
from deltaml_core.views.surroundings import Session, Surroundings

_LOOK_AT_STORE_SECONDS = 3.0
"""A node that was killed writes nothing: whether it runs is looked at so often."""


@dataclass(frozen=True)
class NodeSight:
    """A node's store, as far as pages show it.

    Attributes:
        process: that runs the node; None when none does.
        notes: of requests, by number.
        cards: of data sets.
        peers: whom it has dealt with.
        last_error: what went wrong last, and when (Unix seconds).
        orders: what was asked of it, by purpose.
        privacy: at an owner that adds noise, how each data set stands, by digest.
        traffic: at an aggregator, the rounds of every training.
        waiting: at an aggregator, since when somebody's oldest message waits, by training and address.
    """

    process: int | None
    notes: dict[int, RequestNote] = field(default_factory=dict)
    cards: tuple[Card, ...] = ()
    peers: tuple[Peer, ...] = ()
    last_error: tuple[float, str] | None = None
    orders: dict[str, Order] = field(default_factory=dict)
    privacy: dict[str, Account] = field(default_factory=dict)
    traffic: dict[int, tuple[RoundTraffic, ...]] = field(default_factory=dict)
    waiting: dict[int, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Sight:
    """All that a page shows at a moment.

    Attributes:
        market: the chain.
        node: the store of who has logged in.
        session: who that is.
        balance_wei: its balance outside the contract.
        answer_ms: how long the chain took to answer.
    """

    market: MarketPicture
    node: NodeSight | None = None
    session: Session | None = None
    balance_wei: int = 0
    answer_ms: float = field(default=0.0, compare=False)


class Source:
    """Looks, at most one thread at a time."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Nothing is opened before the first look."""
        self._surroundings = surroundings
        self._lock = threading.Lock()
        self._marketplace: Marketplace | None = None
        self._reader: PictureReader | None = None
        self._session: Session | None = None
        self._database: Database | None = None
        self._node: NodeSight | None = None
        self._stamp: tuple[object, ...] = ()
        self._sight: Sight | None = None

    @property
    def session(self) -> Session | None:
        """Who has logged in."""
        return self._session

    def log_in(self, session: Session) -> None:
        """Look at this node's store, too."""
        self.log_out()
        with self._lock:
            self._session, self._database = session, Database(session.home.store)

    def log_out(self) -> None:
        """Look at the chain only."""
        with self._lock:
            if self._database is not None:
                self._database.close()
            self._session, self._database, self._node, self._stamp, self._sight = None, None, None, (), None

    def place(self, action: str, arguments: dict[str, object], purpose: str) -> Order:
        """Ask the node for something, once for each purpose.

        Raises:
            StoreError: its store cannot be written.
        """
        assert self._database is not None
        return Orders(self._database).place(action, arguments, purpose)

    def answer(self, request: int, answer: str) -> None:
        """Note what the node's owner has decided about a request.

        Raises:
            StoreError: its store cannot be written.
        """
        assert self._database is not None
        Book(self._database).note_request(request, answer=answer)

    @property
    def mail(self) -> Mail:
        """The messages in the node's store."""
        assert self._database is not None
        return Mail(self._database)

    def marketplace(self) -> Marketplace:
        """The contract.

        Raises:
            NodeError, ChainError: it is not there.
        """
        if self._marketplace is None:
            self._marketplace = self._surroundings.marketplace()
        return self._marketplace

    def look(self) -> Sight:
        """The same object as before while nothing has changed.

        Raises:
            NodeError, ChainError, StoreError: something does not answer.
        """
        with self._lock:
            marketplace = self.marketplace()
            if self._reader is None:
                self._reader = PictureReader(marketplace)
            before, market = self._sight, self._reader.read()
            node = self._look_at_store()
            if before is not None and market is before.market and node is before.node and self._session is before.session:
                return before
            balance, began = 0, time.perf_counter()
            marketplace.now()
            answer_ms = 1000 * (time.perf_counter() - began)
            if self._session is not None:
                with translated(()):
                    address = marketplace.web3.to_checksum_address(self._session.address)
                    balance = marketplace.web3.eth.get_balance(address, market.head.number)
            self._sight = Sight(market, node, self._session, balance, answer_ms)
            return self._sight

    def _look_at_store(self) -> NodeSight | None:
        if self._database is None or self._session is None:
            return None
        stamp = (*map(_stamp, (self._database.path, f"{self._database.path}-wal")), int(time.monotonic() / _LOOK_AT_STORE_SECONDS))
        if stamp != self._stamp:
            self._stamp = stamp
            fresh = _read(self._database, self._session.role)
            if fresh != self._node:
                self._node = fresh
        return self._node


def _read(database: Database, role: Role) -> NodeSight:
    book, mail = Book(database), Mail(database)
    notes = book.requests()
    error = book.fact("last_error")
    trainings = [note.id for note in notes if note.seat is not None] if role is Role.FEDERATED_AGGREGATOR else []
    cards, rule, accounts = book.cards(), PrivacyRule.of(book), Accounts(database)
    return NodeSight(
        process=running(database),
        notes={note.id: note for note in notes},
        cards=tuple(cards),
        peers=tuple(book.peers()),
        last_error=None if error is None else (error["time"], error["text"]),
        orders={order.purpose: order for order in Orders(database).all()},
        privacy={} if rule is None else {card.digest: accounts.of(card.digest, rule) for card in cards},
        traffic={number: tuple(mail.rounds(str(number))) for number in trainings},
        waiting={number: mail.oldest_waiting(str(number)) for number in trainings},
    )


def _stamp(path: object) -> tuple[int, int]:
    try:
        state = os.stat(str(path))
    except FileNotFoundError:
        return 0, 0
    return state.st_mtime_ns, state.st_size
