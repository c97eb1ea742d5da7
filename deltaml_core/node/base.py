"""What every node does: it watches the chain, keeps its seats, and does on the chain what is due, once.

The contract's state decides what is due, never a memory of events: a node that was away reads the state and goes on. Three kinds of
thread share a node: the one that called `run`, which watches the chain; one for each way that messages come in; the lease's.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from deltaml_core.chain.events import MetricRecorded, RequestEvent, Withdrawn
from deltaml_core.chain.marketplace import Marketplace, Receipt
from deltaml_core.chain.result import posted_document
from deltaml_core.chain.stream import Cursor, EventStream, Reorganised
from deltaml_core.chain.types import Request, Role, Status
from deltaml_core.chain.wallet import Wallet
from deltaml_core.errors import ChainError, ContractError, DeltaMLError, InsufficientFundsError, NodeError, StoreError
from deltaml_core.node.home import Home
from deltaml_core.node.seat import Seat
from deltaml_core.party import Party
from deltaml_core.randomness import Replayable
from deltaml_core.store.book import Book
from deltaml_core.store.database import Database
from deltaml_core.store.journal import Journal
from deltaml_core.store.lease import Lease
from deltaml_core.store.mail import Mail
from deltaml_core.store.orders import Order, Orders
from deltaml_core.terms import RequestDocument

POLL_SECONDS = 0.4
"""How often a node looks for what is to be done."""

_POLLS_A_LOOK = 4
"""As long as all its requests are in training, it looks at the chain only every so many times: what happens then comes as messages."""

_ASK_AGAIN_SECONDS = 30.0  # what the contract refused may be due later, when its clock has moved

REFUSED = "refused"
"""The seat of a request that this node found it cannot work for."""

FINAL = frozenset({Status.SETTLED, Status.CANCELLED, Status.FAILED})
"""From here a request does not move."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What an order came to: a sentence for whoever gave it, and the transaction that did it, if one did."""

    note: str
    receipt: Receipt | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a node is and where it works.

    Attributes:
        home: where it lives.
        wallet: unlocked.
        marketplace: the contract, through a connection of its own.
        description: what the registry on the chain shows of it.
        withdraws: whether what it earned is withdrawn at once; otherwise the contract keeps it until somebody does.
    """

    home: Home
    wallet: Wallet
    marketplace: Marketplace
    description: str = ""
    withdraws: bool = True


class Node(ABC):
    """A participant. `run` returns when `stop` is called, or raises what ended it.

    Attributes:
        role: what it offers itself as on the chain.
        patience_seconds: how long it leaves to others what anybody may do for a request, so that seldom two do it at the same time.
        wallet, marketplace, home: who it is, which contract it works on, where it lives.
        mail, book, orders, journal: what it keeps.
    """

    role: ClassVar[Role]
    patience_seconds: ClassVar[float]

    def __init__(self, identity: Identity) -> None:
        """Open the store.

        Raises:
            StoreError: the home belongs to another wallet, contract or role.
        """
        self.home, self.wallet, self.marketplace = identity.home, identity.wallet, identity.marketplace
        self._description, self._withdraws = identity.description, identity.withdraws
        self.database = Database(self.home.store)
        self.mail, self.book, self.orders = Mail(self.database), Book(self.database), Orders(self.database)
        self.journal = Journal(self.database, self.marketplace, self.wallet)
        chain, contract = self.marketplace.chain_id, self.marketplace.address
        try:
            self.book.claim(address=self.wallet.address, role=self.role.name, chain=chain, contract=contract)
        except StoreError:
            self.database.close()
            raise
        self._requests: dict[int, Request] = {}
        self._documents: dict[int, RequestDocument] = {}
        self._seats: dict[str, Seat] = {}
        self._changed: set[int] = set()
        self._unfit: set[str] = set()
        self._troubles: dict[int, str] = {}
        self._latest = (0, 0)
        self._due_since: dict[int, tuple[str, float]] = {}
        self._refused: dict[str, tuple[Request | None, float]] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._nudged = threading.Event()
        self._failure: BaseException | None = None
        self._joined = False
        cursor = self.book.fact("cursor")
        self._stream = EventStream(self.marketplace, None if cursor is None else Cursor.from_json(cursor))

    # --- life ---

    def run(self) -> None:
        """Take part until `stop`.

        Raises:
            LeaseError: this identity runs already.
            DeltaMLError: it cannot go on.
        """
        try:
            with Lease(self.database, self.fail):
                try:
                    self._open()
                    self._watch()
                finally:
                    self._stopping.set()
                    self._end()
        finally:
            self._close()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        trouble, polls = "", 0
        while not self._stopping.is_set():
            try:
                self._obey()
                if not self._joined:
                    self._join()
                    self._joined = True
                if polls % _POLLS_A_LOOK == 0 or not self._is_training():
                    self.turn()
                else:
                    self._consider_all()
                polls += 1
                if trouble:
                    log.info("that is over")
                trouble = ""
            except ChainError as error:
                if str(error) != trouble:
                    self.note_error(f"{error}; trying again")
                trouble = str(error)
            self._nudged.wait(POLL_SECONDS)
            self._nudged.clear()

    def stop(self) -> None:
        """Have `run` return soon; safe from any thread and from a signal handler."""
        self._stopping.set()
        self.nudge()

    def nudge(self) -> None:
        """Have the node look at once for what is to be done; safe from any thread."""
        self._nudged.set()

    def fail(self, error: BaseException) -> None:
        """End the node because of something that happened in another of its threads."""
        self._failure = self._failure or error
        self.stop()

    @property
    def role_name(self) -> str:
        """The role, for people."""
        return self.role.name.lower().replace("_", " ")

    @property
    def contract_name(self) -> str:
        """The contract and its chain, for people."""
        return f"{self.marketplace.address} of chain {self.marketplace.chain_id}"

    def turn(self) -> None:
        """Look at the chain once and do what is due.

        Raises:
            ChainError: it does not answer.
        """
        with self._lock:
            self._read_chain()
            self._latest = self._stream.head.number, max(self._stream.head.timestamp, int(time.time()))
            self._consider_all()

    def _is_training(self) -> bool:
        """Whether it has requests, all of them in training."""
        with self._lock:
            return {request.status for request in self._requests.values()} == {Status.TRAINING}

    def _consider_all(self) -> None:
        with self._lock:
            for request in list(self._requests.values()):
                self._consider_alone(request)
                if request.status in FINAL and self._is_finished(request):
                    self._let_go(request.id)
                    self.book.note_request(request.id, status=request.status.name, ended=True)

    def _consider_alone(self, request: Request) -> None:
        """What goes wrong in one request is noted, tried again, and disturbs no other."""
        try:
            self._consider(request)
            self._troubles.pop(request.id, None)
        except ChainError:
            raise
        except DeltaMLError as error:
            if self._troubles.get(request.id) != str(error):
                self._troubles[request.id] = str(error)
                self.book.note_request(request.id, note=str(error))
                self.note_error(f"request {request.id}: {error}; trying again")

    def _obey(self) -> None:
        """Do what was asked for from elsewhere.

        While the chain does not serve it, an order waits, and holds up nothing else; so it does where the contract does not know
        this participant yet. What needs no chain is done meanwhile.
        """
        for order in self.orders.waiting():
            try:
                with self._lock:
                    outcome = self._carry_out(order)
            except InsufficientFundsError as error:
                self._refuse(order, error)
            except ChainError as error:
                if self._joined and isinstance(error, ContractError):
                    self._refuse(order, error)
                elif order.note != str(error):
                    self.orders.delayed(order.purpose, str(error))
                    self.note_error(f"asked to {order.action}, but: {error}; trying again")
            except DeltaMLError as error:
                self._refuse(order, error)
            else:
                log.info("asked to %s: %s", order.action, outcome.note)
                self.orders.done(order.purpose, outcome.note, None if outcome.receipt is None else outcome.receipt.transaction_hash)

    def _refuse(self, order: Order, error: DeltaMLError) -> None:
        self.orders.refused(order.purpose, str(error))
        self.note_error(f"asked to {order.action}, but: {error}")

    def _carry_out(self, order: Order) -> Outcome:
        """Do what an order says; a role adds what only it can do.

        Raises:
            DeltaMLError: it cannot be done.
        """
        if order.action != "withdraw":
            raise NodeError(f"a {self.role_name}'s node cannot {order.action}")
        receipt = self.once_for(order, self.marketplace.withdraw)
        withdrawn = sum(event.amount_wei for event in receipt.events if isinstance(event, Withdrawn))
        return Outcome(f"{withdrawn / 10**18:.4f} ether were withdrawn.", receipt)

    def once_for(self, order: Order, call: Callable[[Wallet], object]) -> Receipt:
        """Do on the chain, once, what an order asks for; its purpose is somebody else's wording, and meets none of this node's own."""
        return self.journal.once(f"ordered: {order.purpose}", call)

    def note_error(self, text: str) -> None:
        """Log an error and keep it for `deltaml status`."""
        log.error("%s", text)
        self.book.note_fact("last_error", {"time": time.time(), "text": text})

    def _tell(self, request: Request, text: str) -> None:
        """Note what a person should know of a request, once."""
        note = self.book.request(request.id)
        if note is None or note.note != text:
            self.book.note_request(request.id, note=text)
            log.info("%s", text, extra={"request": str(request.id)})

    # --- what a role adds ---

    @abstractmethod
    def _concerns(self, request: Request) -> bool:
        """Whether this participant has, or may have, a part in a request."""

    @abstractmethod
    def _consider(self, request: Request) -> None:
        """Do what is due in a request; called again and again."""

    @abstractmethod
    def _sit(self, request: Request, party: Party, randomness: Replayable, nonce: bytes) -> Seat:
        """A resumed seat at a request in training.

        Args:
            request: as the contract has it.
            party: what every role needs.
            randomness: this seat's.
            nonce: what other secrets of this seat follow from, together with the wallet's key.
        """

    def _is_finished(self, request: Request) -> bool:
        """Whether nothing is left to do in a request that has reached its end."""
        return not self._withdraws or not self.marketplace.credit_wei(self.wallet.address)

    def _let_go(self, number: int) -> None:
        """Keep nothing of a request that is finished in memory: a seat holds tables of megabytes."""
        self._requests.pop(number, None)
        self._documents.pop(number, None)
        self._seats.pop(str(number), None)

    def _open(self) -> None:
        """Begin what needs no chain."""
        log.info("%s %s is at work on contract %s", self.role_name, self.wallet.address, self.contract_name)

    def _join(self) -> None:
        """Send again what was lost, register, and read how far the requests are that were not finished.

        Raises:
            ChainError: the chain does not answer, or the wallet is empty.
        """
        self.journal.resume()
        if not any(member.address == self.wallet.address for member in self.marketplace.members(self.role)):
            self.do("register", lambda wallet: self.marketplace.register(wallet, self.role, self._description))
        for note in self.book.requests():
            if not note.ended:
                self._read(note.id)

    def _end(self) -> None:
        """End what `_open` began, and whatever else was begun since."""
        log.info("%s %s rests", self.role_name, self.wallet.address)

    def _close(self) -> None:
        """Let go of what the constructor took."""
        self.database.close()

    # --- the chain ---

    def _read_chain(self) -> None:
        for item in self._stream.new():
            if isinstance(item, Reorganised):
                log.warning("the chain has replaced blocks from %d on", item.first_block)
                self.journal.resume()
                self._changed |= set(self._requests)
            elif isinstance(item, RequestEvent) and not isinstance(item, MetricRecorded):  # which changes nothing of a request's state
                self._changed.add(item.id)
        if self._changed:
            for number in sorted(self._changed):
                self._read(number)
            self.book.note_fact("cursor", self._stream.cursor.to_json())
            self._changed.clear()  # not before: the chain may have fallen silent half-way

    def _read(self, number: int) -> Request | None:
        """Read a request's state, and note it if it concerns this node."""
        request = self.marketplace.request(number)
        if not self._concerns(request):
            if self._requests.pop(number, None) is not None:
                self.book.note_request(number, status=request.status.name, ended=True)
            return None
        before = self._requests.get(number)
        if before is None or before.status is not request.status:
            log.info("it is %s", request.status.name, extra={"request": str(number)})
            self.book.note_request(number, status=request.status.name)
        self._requests[number] = request
        return request

    def do(
        self, purpose: str, call: Callable[[Wallet], object], request: Request | None = None, level: int = logging.INFO
    ) -> Receipt | None:
        """Do something on the chain, once; what the contract refuses is asked again when the request has changed, or later.

        Args:
            purpose: as in `Journal.once`.
            call: a writing method of the marketplace.
            request: whose state made it due.
            level: of the log's line about it.

        Returns:
            The receipt; None when the contract refused.
        """
        known, when = self._refused.get(purpose, (None, 0.0))
        if known is not None and known == request and time.monotonic() - when < _ASK_AGAIN_SECONDS:
            return None
        try:
            receipt = self.journal.once(purpose, call)
        except ContractError as error:
            self._refused[purpose] = (request, time.monotonic())
            log.info("%s was refused: %s", purpose, error)
            if request is not None:
                self._read(request.id)
            return None
        log.log(level, "%s is done", purpose, extra={"transaction": receipt.transaction_hash})
        if request is not None:
            self._read(request.id)
        return receipt

    def _move_on(self, request: Request) -> None:
        """Do what anybody may do for a request whose time has come, once nobody else has for a while."""
        due = self._due(request)
        if due is None:
            self._due_since.pop(request.id, None)
            return
        action, since = self._due_since.setdefault(request.id, (due, time.monotonic()))
        if action != due:
            self._due_since[request.id] = due, time.monotonic()
        elif time.monotonic() - since >= self.patience_seconds:
            calls = {
                "close": self.marketplace.close,
                "start": self.marketplace.start,
                "finalize": self.marketplace.finalize,
                "expire": self.marketplace.expire,
            }
            again = f" at {request.deal_block}" if due == "start" else ""
            self.do(f"{due} {request.id}{again}", lambda wallet: calls[due](wallet, request.id), request)

    def _due(self, request: Request) -> str | None:
        terms, (block, now) = request.terms, self._latest
        match request.status:
            case Status.OPEN if now >= terms.acceptance_deadline or len(request.owners) == terms.max_owners:
                return "close"
            case Status.CLOSED | Status.TRAINING if now > terms.training_deadline:
                return "expire"
            case Status.CLOSED if block > request.deal_block:
                return "start"
            case Status.SUBMITTED if now >= request.challenge_end:
                return "finalize"
        return None

    def _withdraw(self, request: Request) -> None:
        if self._withdraws and self.marketplace.credit_wei(self.wallet.address):
            self.do(f"withdraw {request.id}", self.marketplace.withdraw, request)

    def document(self, request: Request) -> RequestDocument:
        """What the request asks for, its key compared with what the contract holds.

        Raises:
            TermsError: it is no document, or of another key.
        """
        if request.id not in self._documents:
            self._documents[request.id] = posted_document(request, self.marketplace.requirements(request.id))
        return self._documents[request.id]

    # --- seats ---

    def seat(self, name: str) -> Seat | None:
        """The seat at a training; None where this participant has none.

        Raises:
            ChainError: whether it has one cannot be read now.
        """
        if name in self._seats:
            return self._seats[name]
        with self._lock:
            if name not in self._seats and name.isdecimal() and len(name) < 20:
                self._read_chain()
                if (request := self._requests.get(int(name)) or self._read_known(int(name))) is not None:
                    self._take_seat(request)
            return self._seats.get(name)

    def _read_known(self, number: int) -> Request | None:
        """A request that this process has not read, as after a restart whose first turn is still to come."""
        return self._read(number) if number in self.marketplace.requests() else None

    def _take_seat(self, request: Request) -> None:
        """Sit down at a request whose roles are dealt, or come back to it.

        What stands against it is noted; this process does not try again, the next one does.
        """
        name = str(request.id)
        if name in self._seats or name in self._unfit or not request.validators:
            return
        note = self.book.request(request.id)
        if note is not None and note.ended:
            return
        nonce = note.nonce if note is not None else None
        if nonce is None:
            nonce = secrets.token_bytes(32)
            self.book.note_request(request.id, nonce=nonce)
        randomness = Replayable(self.wallet.derive(b"randomness" + nonce))
        try:
            document = self.document(request)
            party = Party.take(name, self.wallet.address, document, request.buyer, request.aggregator, randomness=randomness)
            self._seats[name] = self._sit(request, party, randomness, nonce)
        except ChainError:
            raise
        except DeltaMLError as error:
            self._unfit.add(name)
            self.book.note_request(request.id, seat=REFUSED, note=str(error))
            self.note_error(f"request {name}: this node cannot take part: {error}")
            return
        log.info("takes its seat", extra={"request": name})
