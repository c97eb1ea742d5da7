"""A whole market in one process: seven wallets, one contract, one training request.

Every step goes through the chain: owners read the request from its event, the roles and the MSE curve come back from the contract,
and what everybody earned is what they could withdraw.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from deltaml_core import schemes
from deltaml_core.buyer import initial_weights
from deltaml_core.chain.events import Cancelled, Event, Failed, ResultSubmitted
from deltaml_core.chain.ganache import GanacheProcess
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.result import check_key_length, opening_of, posted_document, proof_hash, statement_of
from deltaml_core.chain.types import MetricsKind, Request, Role, Statement, Status, Terms, modulus_hash
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo.result import MarketResult, read_result
from deltaml_core.errors import ChainError, DeltaMLError, RequirementsError, TermsError
from deltaml_core.measurement import Metric
from deltaml_core.schedule import schedule
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.session import Session
from deltaml_core.statistics import Dataset
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.transcript import ciphertexts_hash

ETHER = 10**18
_ACCEPTANCE_SECONDS = 3600
_TRAINING_SECONDS = 24 * 3600
_DEAL_BLOCKS = 6  # one more than the contract's delay

OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Participant:
    """Somebody on the market.

    Attributes:
        name: for people; the contract knows the address.
        wallet: its account.
        dataset: an owner's rows; None for others.
    """

    name: str
    wallet: Wallet
    dataset: Dataset | None = None

    @property
    def address(self) -> str:
        """Its account's address."""
        return self.wallet.address


@dataclass
class Market:
    """The participants of one request and the contract between them.

    Attributes:
        ganache: the local chain; it funds the wallets and mines the blocks a public chain would.
        marketplace: the deployed contract.
        buyer, aggregator, owners: who takes part.
        on_event: told every event of the contract, in order, as it is read from the chain.
    """

    ganache: GanacheProcess
    marketplace: Marketplace
    buyer: Participant
    aggregator: Participant
    owners: Sequence[Participant]
    on_event: OnEvent = lambda event: None
    _next_block: int = field(default=0, init=False)
    _events: list[Event] = field(default_factory=list, init=False)

    def run(self, terms: TrainingTerms, escrow_wei: int, named_validators: Sequence[Participant] = ()) -> MarketResult:
        """Play a request from registration to the last withdrawal.

        When something is refused on the way, everybody gets its money back and the error carries a note that says so.

        Args:
            terms: how to train.
            escrow_wei: what the buyer locks.
            named_validators: owners the request names as validators; nobody: the contract deals the roles.

        Raises:
            TermsError, ScaleBudgetError: the key does not fit the terms; nothing was posted.
            RequirementsError: too few owners have matching data.
            ContractError, InsufficientFundsError, ChainError: the chain refused a step.
            DeltaMLError: a role refused one.
        """
        started = time.perf_counter()
        check_key_length(terms)
        key = schemes.generate(terms.scheme, terms.key_bits)
        schedule(terms, key.public.capacity)
        self._register()
        initial_hash = ciphertexts_hash(initial_weights(terms, key), key.public)
        document = RequestDocument(terms, key.public.modulus, key.prove_modulus())
        request_id = self._post(document, initial_hash, escrow_wei, named_validators)
        try:
            self._answer(request_id)
            request = self._deal(request_id)
            cpu = time.process_time()
            session = self._train(request, posted_document(request, self.marketplace.requirements(request_id)), key)
            cpu = time.process_time() - cpu
            self._settle(request, session)
        except DeltaMLError as error:
            with contextlib.suppress(ChainError):  # the chain itself may have gone
                error.add_note(self._take_back(request_id))
            raise
        session.deliver_model(self._statement().weights_hash)
        return self._result(request_id, session, cpu, started)

    # --- the steps, in order ---

    def _register(self) -> None:
        for participant, role in (
            (self.buyer, Role.MODEL_BUYER),
            (self.aggregator, Role.FEDERATED_AGGREGATOR),
            *((owner, Role.DATA_OWNER) for owner in self.owners),
        ):
            self.marketplace.register(participant.wallet, role, participant.name)
        self._read_events()

    def _post(self, document: RequestDocument, initial_hash: bytes, escrow_wei: int, named_validators: Sequence[Participant]) -> int:
        now = self.marketplace.now()
        terms = Terms(
            aggregator=self.aggregator.address,
            model_kind=document.terms.model,
            metrics_kind=MetricsKind.NOISE if document.terms.metrics == "noise" else MetricsKind.VERIFIABLE,
            min_owners=len(self.owners),
            max_owners=len(self.owners),
            acceptance_deadline=now + _ACCEPTANCE_SECONDS,
            training_deadline=now + _TRAINING_SECONDS,
            modulus_hash=modulus_hash(document.modulus),
            initial_model_hash=initial_hash,
            key_proof_hash=proof_hash(document),
            validators=tuple(validator.address for validator in named_validators),
        )
        request_id = self.marketplace.create_request(self.buyer.wallet, terms, document.to_json(), escrow_wei)
        self._read_events()
        return request_id

    def _answer(self, request_id: int) -> None:
        """The aggregator takes the request on; every owner reads it from the chain and accepts it if its data match."""
        self.marketplace.take_on(self.aggregator.wallet, request_id)
        self._read_events()
        declined: dict[str, list[str]] = {}
        for owner in self.owners:
            dataset = _data_of(owner)
            document = RequestDocument.from_json(self.marketplace.requirements(request_id))
            if mismatches := dataset.mismatches(document.terms.requirements):
                declined[owner.name] = mismatches
                self.marketplace.decline(owner.wallet, request_id)
            else:
                self.marketplace.accept(owner.wallet, request_id, dataset.commitment(secrets.token_bytes(32)))
            self._read_events()
        if declined:
            reasons = "; ".join(f"{name}: {', '.join(mismatches)}" for name, mismatches in declined.items())
            raise RequirementsError(
                f"{len(self.owners) - len(declined)} of the {len(self.owners)} owners that request {request_id} needs have matching data; "
                + reasons
            )

    def _deal(self, request_id: int) -> Request:
        self.marketplace.close(self.buyer.wallet, request_id)
        if self.marketplace.request(request_id).deal_block:
            self.ganache.mine(_DEAL_BLOCKS)
        self.marketplace.start(self.buyer.wallet, request_id)
        self._read_events()
        request = self.marketplace.request(request_id)
        if request.status is not Status.TRAINING:
            raise ChainError(f"request {request_id} is {request.status.name} instead of in training: too few owners match it")
        return request

    def _train(self, request: Request, document: RequestDocument, key: PrivateKey) -> Session:
        def record(number: int, metric: Metric) -> None:
            self.marketplace.record_metric(self.aggregator.wallet, request.id, number, metric.units)
            self._read_events()

        by_address = {owner.address: _data_of(owner) for owner in self.owners}
        session = Session(
            str(request.id),
            document.terms,
            key,
            {address: by_address[address] for address in (*request.trainers, *request.validators)},
            validators=request.validators,
            buyer=self.buyer.wallet,
            aggregator=self.aggregator.wallet,
            signers=[owner.wallet for owner in self.owners],
            marketplace=(self.marketplace.chain_id, self.marketplace.address),
            initial_hash=request.terms.initial_model_hash,
        )
        session.run(on_metric=record)
        return session

    def _settle(self, request: Request, session: Session) -> None:
        chain_id, contract = self.marketplace.chain_id, self.marketplace.address
        statements = {
            address: statement_of(request, validator.approved) for address, validator in session.validators.items() if validator.approved
        }
        wallets = {owner.address: owner.wallet for owner in self.owners}
        signatures = {address: wallets[address].sign_statement(stated, chain_id, contract) for address, stated in statements.items()}
        statement = next(iter(statements.values()))
        opening = opening_of(session.aggregator, session.modulus)
        self.marketplace.submit_result(self.aggregator.wallet, request.id, statement, signatures, opening)
        self._read_events()
        self.marketplace.confirm(self.buyer.wallet, request.id)
        self.marketplace.finalize(self.buyer.wallet, request.id)
        self._read_events()
        self._withdraw()

    def _statement(self) -> Statement:
        """The result that was paid for, as the contract has it."""
        return [event.statement for event in self._events if isinstance(event, ResultSubmitted)][-1]

    def _withdraw(self) -> None:
        for participant in (*self.owners, self.aggregator, self.buyer):
            if self.marketplace.credit_wei(participant.address):
                self.marketplace.withdraw(participant.wallet)
        self._read_events()

    def _take_back(self, request_id: int) -> str:
        """End a request that cannot go on by the contract's own rules, and say what became of its escrow."""
        status = self.marketplace.request(request_id).status
        if status is Status.OPEN:
            self.marketplace.cancel(self.buyer.wallet, request_id)
        elif status in (Status.CLOSED, Status.TRAINING):
            self.ganache.increase_time(_TRAINING_SECONDS)  # to the deadline
            self.marketplace.expire(self.buyer.wallet, request_id)
        self._withdraw()
        ends = [event for event in self._events if isinstance(event, Cancelled | Failed)]
        if not ends:
            return f"Request {request_id} was settled before"
        verb = "was cancelled" if isinstance(ends[-1], Cancelled) else "has failed at its deadline"
        return f"Request {request_id} {verb}: the buyer has {ends[-1].refund_wei / ETHER:g} ether of its escrow back"

    def _result(self, request_id: int, session: Session, cpu: float, started: float) -> MarketResult:
        model = session.buyer.model
        if model is None:
            raise ChainError(f"request {request_id} was settled, but the buyer has no model")
        people = (self.buyer, self.aggregator, *self.owners)
        return read_result(
            self.marketplace,
            request_id,
            self._events,
            names={participant.address: participant.name for participant in people},
            rows={owner.name: _data_of(owner).rows for owner in self.owners},
            model=model,
            transcript=session.aggregator.transcript,
            gas=self.marketplace.gas_used,
            cpu_seconds=cpu,
            wall_seconds=time.perf_counter() - started,
        )

    def _read_events(self) -> None:
        """Pass on what the chain has that was not read yet."""
        for event in self._new_events():
            self._events.append(event)
            self.on_event(event)

    def _new_events(self) -> Iterator[Event]:
        latest = self.marketplace.web3.eth.block_number
        if latest >= self._next_block:
            yield from self.marketplace.events(self._next_block, latest)
            self._next_block = latest + 1


def _data_of(owner: Participant) -> Dataset:
    if owner.dataset is None:
        raise TermsError(f"{owner.name} has no data set")
    return owner.dataset
