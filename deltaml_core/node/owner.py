"""A Data Owner's node: finds out which requests its data sets match, answers by its owner's rule, trains or validates, is paid.

Its rows are read from their files when they are needed and stay in this process; the store has cards of them.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from deltaml_core.chain.result import statement_of
from deltaml_core.chain.types import Answer, Request, Role, Status
from deltaml_core.errors import ChainError, DeltaMLError, NodeError, RequirementsError
from deltaml_core.messages import ApproveResult, Message
from deltaml_core.node.base import FINAL, Identity, Node, Outcome
from deltaml_core.node.filling import Filler
from deltaml_core.node.lines import Connect, Lines
from deltaml_core.node.privacy import Choice, PrivacyGuard
from deltaml_core.node.registration import Registration
from deltaml_core.node.seat import Seat
from deltaml_core.node.shelf import Shelf
from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.randomness import Replayable
from deltaml_core.releases import KNOWN_OF_A_TRAINING, Releases, ReleasesOfSeat
from deltaml_core.schemes import with_pool
from deltaml_core.store.orders import Order

FACTORS_OF_A_ROUND = {True: 3, False: 1}
"""Random factors a weight that a trainer, or else a validator, needs in a round with a refresh: its update and two masks; one mask."""

log = logging.getLogger(__name__)


class AnswerRule(StrEnum):
    """How an owner answers requests."""

    ASK = "ask"
    """A person decides, with `deltaml answer`."""
    MATCH = "match"
    """Accept whatever a data set matches."""
    NEVER = "never"
    """Accept nothing new."""


class OwnerNode(Node):
    """A data owner."""

    role = Role.DATA_OWNER
    patience_seconds = 120.0

    def __init__(
        self,
        identity: Identity,
        connect: Connect,
        files: Sequence[Path],
        *,
        rule: AnswerRule = AnswerRule.ASK,
        aggregators: Collection[str] = (),
        privacy: Choice = None,
    ) -> None:
        """Look at the data sets once.

        Args:
            identity: who it is.
            connect: how an aggregator is reached.
            files: the data sets, CSV or Parquet.
            rule: how requests are answered.
            aggregators: whose requests are considered, and with whom it registers (T§7.1 step 2); empty for all, and with nobody.
            privacy: how much noise protects its rows, and how often; "off" for none, by default what it was.

        Raises:
            DataError: a file cannot be used.
            PrivacyError, MissingExtraError: noise cannot be added as it was chosen.
        """
        super().__init__(identity)
        self.shelf = Shelf(files, self.book)
        self._guard = PrivacyGuard(privacy, self.database, self.book)
        self._rule = rule
        self._aggregators = frozenset(aggregators)
        self._releases: dict[str, Releases] = {}
        self._registrations = [Registration(self.marketplace, connect, aggregator) for aggregator in self._aggregators]
        self._examined: set[tuple[int, str | None, tuple[int, ...]]] = set()
        self._filler = Filler(lambda: self._lines.resting, self.fail)
        way = self.wallet.address, self.marketplace, self.mail, self.book, connect
        self._lines = Lines(*way, self.seat, self.fail, self._filler.look)

    def _open(self) -> None:
        super()._open()
        for registration in self._registrations:
            registration.start()

    def _concerns(self, request: Request) -> bool:
        if self.wallet.address in request.owners:
            return True
        return request.status is Status.OPEN and (not self._aggregators or request.aggregator in self._aggregators)

    def _consider(self, request: Request) -> None:
        match request.status:
            case Status.OPEN if request.taken_on and self.marketplace.answer(request.id, self.wallet.address) < Answer.ACCEPTED:
                self._answer(request)
            case Status.TRAINING | Status.SUBMITTED if self.wallet.address in request.owners:
                self._take_seat(request)
                if str(request.id) in self._seats:
                    self._lines.need(request.aggregator, str(request.id))
                self._move_on(request)
            case Status.SETTLED | Status.FAILED | Status.CANCELLED:
                self._lines.release(str(request.id))
                self._withdraw(request)

    def _carry_out(self, order: Order) -> Outcome:
        if order.action != "add data set":
            return super()._carry_out(order)
        card = self.shelf.add(Path(order.argument("path", str)))
        self._examined.clear()
        return Outcome(f"{Path(card.path).name} is added: {card.rows} rows, {len(card.columns)} columns.")

    def _answer(self, request: Request) -> None:
        note = self.book.request(request.id)
        chosen = note.answer if note is not None else None
        if chosen == "no" and self._rule is not AnswerRule.NEVER:
            self.do(f"decline {request.id}", lambda wallet: self.marketplace.decline(wallet, request.id), request)
            return
        examined = (request.id, chosen, self._guard.standing())
        if (self._rule is AnswerRule.NEVER and chosen != "yes") or examined in self._examined:
            return
        try:
            party = Party.take(str(request.id), self.wallet.address, self.document(request), request.buyer, request.aggregator)
            digest = self._match(request, party)
            dataset = self.shelf.dataset(digest, party.terms.requirements)
            party.terms.objective.check(dataset.statistics())
        except ChainError:
            raise
        except DeltaMLError as error:
            self._tell(request, f"does not match: {error}")
            self._examined.add(examined)
            return
        if self._rule is AnswerRule.ASK and chosen != "yes":
            self._tell(request, f"matches: accept or decline it, here with `deltaml answer {request.id} yes` or `no`")
            self._examined.add(examined)
            return
        guarantee = self._guard.accept(request.id, digest, dataset, party.terms)
        salt = note.salt if note is not None and note.salt is not None else secrets.token_bytes(32)
        with_what = "accepted" if guarantee is None else f"accepted, with {guarantee}"
        self.book.note_request(request.id, dataset=digest, salt=salt, note=with_what)
        commitment = dataset.commitment(salt)
        self.do(f"accept {request.id}", lambda wallet: self.marketplace.accept(wallet, request.id, commitment), request)

    def _match(self, request: Request, party: Party) -> str:
        """The digest of the first data set that serves a request; of each it is noted why not.

        Raises:
            RequirementsError: none does; says why not, of each.
        """
        matches = self.shelf.reasons(party.terms.requirements)
        matches = {
            digest: reason or self._spent(digest, request, party) or self._unsafe(digest, request, party)
            for digest, reason in matches.items()
        }
        note = self.book.request(request.id)
        if note is None or note.matches != matches:
            self.book.note_request(request.id, matches=matches)
        for digest, reason in matches.items():
            if reason is None:
                return digest
        faults = (f"{self.shelf.name(digest)}: {reason}" for digest, reason in matches.items())
        raise RequirementsError("; ".join(faults) or "there are no data sets here")

    def _spent(self, digest: str, request: Request, party: Party) -> str | None:
        """Why a data set could not validate another training, where it may have to."""
        named = request.terms.validators
        if named and self.wallet.address not in named:
            return None
        return self._releases_of(digest).fault(KNOWN_OF_A_TRAINING, known=True, weights=party.terms.weights)

    def _unsafe(self, digest: str, request: Request, party: Party) -> str | None:
        """Why noise could not protect a data set in a training, or its privacy budget does not bear it."""
        return self._guard.fault(request.id, digest, self.shelf.rows(digest), party.terms)

    def _sit(self, request: Request, party: Party, randomness: Replayable, nonce: bytes) -> Seat:
        note = self.book.request(request.id)
        if note is None or note.dataset is None or note.salt is None:
            raise NodeError(f"this home does not know with which data set request {request.id} was accepted: run the node in that home")
        dataset = self.shelf.dataset(note.dataset, party.terms.requirements)
        releases, noisy = ReleasesOfSeat(data_set=self._releases_of(note.dataset)), self._guard.release(request.id, note.dataset)
        asked = party.terms.requirements
        role: Trainer | Validator
        trains = self.wallet.address in request.trainers
        pooled, pool = with_pool(party.key, FACTORS_OF_A_ROUND[trains] * party.terms.weights)
        party = replace(party, pooled=pooled)
        if trains:
            statistics = None if noisy is None else noisy.for_training(asked, party.terms.step, party.terms.objective)
            role = Trainer(party, dataset, request.validators, statistics=statistics)
        else:
            statistics = None if noisy is None else noisy.for_measuring(asked)
            people = {"validators": request.validators, "trainers": request.trainers}
            role = Validator(party, dataset, releases, **people, statistics=statistics)

        noted = (0, 0)

        def complete(answer: Message) -> Message:
            nonlocal noted
            if noted != (releases.known, releases.total):
                self._note_releases(request, releases)
                noted = releases.known, releases.total
            return self._signed_statement(request, role, answer)

        seat = Seat(party.request, role, self.wallet, self.mail, randomness, complete=complete)
        self.book.note_request(request.id, seat="trainer" if isinstance(role, Trainer) else "validator")  # before anything is sent from it
        seat.resume([role.ready()])
        self._filler.add(party.request, pool)
        return seat

    def _releases_of(self, digest: str) -> Releases:
        """Of a data set in all trainings: those that have ended as they were noted, the others count again as they are resumed."""
        if digest not in self._releases:
            ended = [note for note in self.book.requests() if note.dataset == digest and Status[note.status] in FINAL]
            known, total = sum(note.known_releases for note in ended), sum(note.total_releases for note in ended)
            self._releases[digest] = Releases(known, total)
        return self._releases[digest]

    def _note_releases(self, request: Request, releases: Releases) -> None:
        """Written before the answer that spends them."""
        note = self.book.request(request.id)
        if note is not None and (note.known_releases, note.total_releases) != (releases.known, releases.total):
            self.book.note_request(request.id, known_releases=releases.known, total_releases=releases.total)

    def _signed_statement(self, request: Request, role: Trainer | Validator, answer: Message) -> Message:
        """An approval with the signature that the contract asks for: of what the role has recomputed, and nothing else."""
        if not isinstance(answer, ApproveResult) or not isinstance(role, Validator) or role.approved is None:
            return answer
        statement = statement_of(request, role.approved)
        signature = self.wallet.sign_statement(statement, self.marketplace.chain_id, self.marketplace.address)
        return replace(answer, statement_signature=signature.hex())

    def _let_go(self, number: int) -> None:
        super()._let_go(number)
        self._filler.remove(str(number))

    def _end(self) -> None:
        for registration in self._registrations:
            registration.stop()
        self._lines.close()
        self._filler.close()
        super()._end()
