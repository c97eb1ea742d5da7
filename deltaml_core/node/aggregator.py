"""A Federated Aggregator's node: takes requests on, relays every message of its trainings, runs them, and submits their results."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from deltaml_core.aggregator import Aggregator
from deltaml_core.chain.result import opening_of, statement_of
from deltaml_core.chain.types import Request, Role, Status
from deltaml_core.errors import ChainError, DeltaMLError
from deltaml_core.messages import ProposeResult
from deltaml_core.node.base import Identity, Node
from deltaml_core.node.desk import Desk
from deltaml_core.node.seat import Seat
from deltaml_core.party import Party
from deltaml_core.randomness import Replayable
from deltaml_core.transcript import Header, Transcript

_WAIT_SECONDS = 1.0

log = logging.getLogger(__name__)


class Server(Protocol):
    """What lets owners and buyers in."""

    def start(self) -> None:
        """Let them in."""

    def stop(self) -> None:
        """Let nobody in any more."""


class TakeOnRule(StrEnum):
    """How an aggregator answers requests that name it."""

    ASK = "ask"
    """A person decides, with `deltaml answer`."""
    ALL = "all"
    """Take on whatever can be read."""


class AggregatorNode(Node):
    """A federated aggregator."""

    role = Role.FEDERATED_AGGREGATOR
    patience_seconds = 60.0

    def __init__(self, identity: Identity, server: Callable[[AggregatorNode], Server], *, rule: TakeOnRule = TakeOnRule.ASK) -> None:
        """Open the store.

        Args:
            identity: who it is; its description says where it is reached (`lines.description`).
            server: makes what lets participants in, which asks this node for its `mail` and for its `participants`.
            rule: how requests are answered.
        """
        super().__init__(identity)
        self._server = server(self)
        self._rule = rule
        self._desks: dict[int, Desk] = {}
        self._recorded: dict[int, int] = {}
        self._dropped: set[tuple[int, str]] = set()
        self._participants: dict[str, frozenset[str]] = {}
        self._worker = threading.Thread(target=self._work, name="desks", daemon=True)

    def participants(self, name: str) -> frozenset[str] | None:
        """Who takes part in a training that this node runs; None where it runs none of that name.

        Raises:
            ChainError: that cannot be read now.
        """
        if name not in self._participants:
            if not (name.isdecimal() and len(name) < 20 and int(name) in self.marketplace.requests()):
                return None
            request = self.marketplace.request(int(name))
            if request.aggregator != self.wallet.address or not request.validators:
                return None
            self._participants[name] = frozenset({request.buyer, request.aggregator, *request.owners})
        return self._participants[name]

    def register_owner(self, address: str) -> None:
        """Note that an owner wants to hear of this node's requests (T§7.1 step 2)."""
        self.book.note_peer(address, Role.DATA_OWNER.name)

    def _open(self) -> None:
        super()._open()
        self._server.start()
        self._worker.start()

    def _end(self) -> None:
        if self._worker.ident is not None:
            self._worker.join()
        super()._end()

    def _close(self) -> None:
        self._server.stop()
        super()._close()

    def _work(self) -> None:
        """Handle what arrives, in its order; what `_open` starts in a thread of its own."""
        try:
            while not self._stopping.is_set():
                try:
                    for kept in self.mail.wait(self.wallet.address, _WAIT_SECONDS):
                        if self._stopping.is_set():
                            return
                        seat = self.seat(kept.request)
                        if seat is None:
                            self.mail.take(kept.number, fault="this node runs no such training")
                        else:
                            seat.take(kept)
                            if (desk := self._desks.get(int(kept.request))) is not None and desk.aggregator.done:
                                self.nudge()  # to submit
                except ChainError:
                    self._stopping.wait(_WAIT_SECONDS)
        except BaseException as error:  # the node ends with it: see `Node.run`
            self.fail(error)
            raise

    def _concerns(self, request: Request) -> bool:
        return request.aggregator == self.wallet.address

    def _consider(self, request: Request) -> None:
        match request.status:
            case Status.OPEN if not request.taken_on:
                self._take_on(request)
            case Status.TRAINING:
                self._take_seat(request)
                if (desk := self._desks.get(request.id)) is not None:
                    self._attend(request, desk)
            case Status.SUBMITTED:
                self._take_seat(request)
            case Status.SETTLED:
                self._take_seat(request)
                if (desk := self._desks.get(request.id)) is not None:
                    desk.say([desk.aggregator.deliver()])
                    desk.complete_record().save(self.home.transcript(request.id))
                self._withdraw(request)
            case Status.FAILED | Status.CANCELLED:
                self._withdraw(request)
        self._move_on(request)

    def _take_on(self, request: Request) -> None:
        note = self.book.request(request.id)
        answer = note.answer if note is not None else None
        if answer != "yes" and (self._rule is not TakeOnRule.ALL or answer == "no"):
            return
        try:
            Party.take(str(request.id), self.wallet.address, self.document(request), request.buyer, request.aggregator).steps  # noqa: B018
        except ChainError:
            raise
        except DeltaMLError as error:
            self.book.note_request(request.id, note=f"cannot be taken on: {error}", answer="no")
            return
        self.do(f"take on {request.id}", lambda wallet: self.marketplace.take_on(wallet, request.id), request)

    def _attend(self, request: Request, desk: Desk) -> None:
        """Put new errors on record, go on without who is silent, submit what the validators stand for."""
        role = desk.aggregator
        recorded = self._recorded.get(request.id, 0)
        for index, (number, metric) in enumerate(role.history[recorded:], start=recorded):
            record = functools.partial(self.marketplace.record_metric, request_id=request.id, round_number=number, mse=metric.units)
            if self.do(f"metric {request.id} {index}", record, level=logging.DEBUG):
                self._recorded[request.id] = index + 1
        for owner in desk.silent(self.document(request).terms.owner_timeout):
            if (request.id, owner) not in self._dropped:
                self._dropped.add((request.id, owner))
                log.warning("%s was silent for too long: going on without it", owner, extra={"request": desk.request})
                desk.drop(owner)
        if role.failed:
            self._tell(request, role.failed)
        if role.done and role.proposal is not None:
            self._submit(request, desk, role.proposal)

    def _submit(self, request: Request, desk: Desk, proposal: ProposeResult) -> None:
        """Submit the result, once a majority of the validators has signed it: with less the contract would refuse it."""
        statement, opening = statement_of(request, proposal), opening_of(desk.aggregator, self.document(request).modulus)
        chain_id, contract = self.marketplace.chain_id, self.marketplace.address
        signatures = {who: signed for who, signed in desk.signatures().items() if statement.signer(signed, chain_id, contract) == who}
        if 2 * len(signatures) <= len(request.validators):
            self._tell(request, f"approved, but {len(signatures)} of {len(request.validators)} validators have signed the statement")
            return
        self.do(
            f"submit {request.id}",
            lambda wallet: self.marketplace.submit_result(wallet, request.id, statement, signatures, opening),
            request,
        )

    def _is_finished(self, request: Request) -> bool:
        if request.status is Status.SETTLED and any(kept.request == str(request.id) for kept in self.mail.waiting(request.buyer)):
            return False
        return super()._is_finished(request)

    def _let_go(self, number: int) -> None:
        super()._let_go(number)
        self._desks.pop(number, None)

    def _sit(self, request: Request, party: Party, randomness: Replayable, nonce: bytes) -> Seat:
        trainers, validators = request.trainers, request.validators
        document = self.document(request)
        chain_id, contract = self.marketplace.chain_id, self.marketplace.address
        header = Header(party.request, document, request.buyer, request.aggregator, trainers, validators, chain_id, contract)
        transcript = Transcript(header, seed=self.wallet.derive(b"blinding" + nonce))
        role = Aggregator(party, trainers, validators, transcript, request.terms.initial_model_hash)
        desk = Desk(role, party.request, self.wallet, self.mail, randomness)
        desk.resume()
        self._desks[request.id] = desk
        self.book.note_request(request.id, seat="aggregator")
        return desk
