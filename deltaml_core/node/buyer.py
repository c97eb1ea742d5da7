"""A Model Buyer's node: posts requests, decrypts what the protocol asks it to, and receives the model it paid for.

Its decryption keys lie in its home, encrypted under the wallet's password; in the clear they are in this process only.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Callable, Sequence

from deltaml_core import schemes
from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.chain.events import RequestCreated
from deltaml_core.chain.marketplace import Receipt
from deltaml_core.chain.result import check_key_length, proof_hash
from deltaml_core.chain.types import MetricsKind, Request, Role, Statement, Status, Terms, modulus_hash
from deltaml_core.chain.wallet import SCRYPT_ITERATIONS, Wallet
from deltaml_core.errors import ContractError, NodeError, TermsError
from deltaml_core.messages import FinalModel, Message
from deltaml_core.node.base import Identity, Node, Outcome
from deltaml_core.node.filling import Filler
from deltaml_core.node.lines import Connect, Lines
from deltaml_core.node.offer import Offer
from deltaml_core.node.seat import Seat
from deltaml_core.party import Party
from deltaml_core.randomness import Replayable
from deltaml_core.schedule import schedule
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.store.orders import Order
from deltaml_core.terms import RequestDocument
from deltaml_core.transcript import ciphertexts_hash

_FACTORS_A_VALIDATOR = 2  # a measurement of the model is answered with two ciphertexts for each

log = logging.getLogger(__name__)


class BuyerNode(Node):
    """A model buyer."""

    role = Role.MODEL_BUYER
    patience_seconds = 0.0

    def __init__(
        self,
        identity: Identity,
        connect: Connect,
        password: str,
        offers: Sequence[Offer] = (),
        *,
        confirms: bool = False,
        iterations: int = SCRYPT_ITERATIONS,
    ) -> None:
        """Open the store.

        Args:
            identity: who it is.
            connect: how an aggregator is reached.
            password: what the decryption keys are encrypted under.
            offers: what to post, unless it was posted before.
            confirms: whether a submitted result is confirmed at once; otherwise the challenge window passes first.
            iterations: scrypt's work factor for new keys.
        """
        super().__init__(identity)
        self._password = password
        self._offers = tuple(offers)
        self._confirms = confirms
        self._iterations = iterations
        self._roles: dict[int, ModelBuyer] = {}
        self._keys: dict[int, PrivateKey] = {}  # made in this life, by modulus: opening their files takes a second
        self._filler = Filler(lambda: self._lines.resting, self.fail)
        way = self.wallet.address, self.marketplace, self.mail, self.book, connect
        self._lines = Lines(*way, self.seat, self.fail, self._filler.look)

    def post(self, offer: Offer, name: str | None = None) -> int:
        """Post a request and lock its escrow, once: the same offer again gives the same number.

        Args:
            offer: what to post.
            name: tells this offer from others; by default its content does.

        Raises:
            TermsError, ScaleBudgetError: the key does not fit the terms; nothing was posted.
            NodeError: the contract refused it, and why.
            InsufficientFundsError, ChainError: the chain did.
        """
        name = name or f"offer {offer.token}"
        prepared = self.book.fact(name)
        if prepared is None:
            prepared = self._prepare(offer)
            self.book.note_fact(name, prepared)
        document = RequestDocument.from_json(prepared)
        try:
            receipt = self.journal.once(name, lambda wallet: self._create(wallet, offer, document))
        except ContractError as error:
            if error.name == "NotRegistered":  # the aggregator is not there yet
                raise
            raise NodeError(f"the offer cannot be posted: {error}") from error
        (created,) = (event for event in receipt.events if isinstance(event, RequestCreated))
        self._read(created.id)
        return created.id

    def _create(self, wallet: Wallet, offer: Offer, document: RequestDocument) -> None:
        zeros = schemes.public_key(document.terms.scheme, document.modulus)
        deadline = self.marketplace.now() + offer.acceptance_seconds
        terms = Terms(
            aggregator=offer.aggregator,
            model_kind=document.terms.model,
            metrics_kind=MetricsKind.NOISE if document.terms.metrics == "noise" else MetricsKind.VERIFIABLE,
            min_owners=offer.minimum_owners,
            max_owners=offer.maximum_owners,
            acceptance_deadline=deadline,
            training_deadline=deadline + offer.training_seconds,
            challenge_window=offer.challenge_seconds,
            minimum_reward_wei=offer.minimum_reward_wei,
            trainers_bps=offer.trainers_bps,
            validators_bps=offer.validators_bps,
            aggregator_bps=offer.aggregator_bps,
            modulus_hash=modulus_hash(document.modulus),
            initial_model_hash=ciphertexts_hash(zeros.zeros(document.terms.weights), zeros),
            key_proof_hash=proof_hash(document),
            validators=offer.validators,
        )
        self.marketplace.create_request(wallet, terms, document.to_json(), offer.escrow_wei)

    def _prepare(self, offer: Offer) -> str:
        """The request's document, with a new key."""
        check_key_length(offer.terms)
        schedule(offer.terms, schemes.capacity(offer.terms.scheme, offer.terms.key_bits))
        log.info("makes a key of %d bits", offer.terms.key_bits)
        key = schemes.generate(offer.terms.scheme, offer.terms.key_bits)
        self._keys[key.public.modulus] = key
        path = self.home.keep_key(key, offer.terms.scheme, self._password, iterations=self._iterations)
        self.book.note_key(f"decryption key of offer {offer.token}", str(path.relative_to(self.home.path)))
        return RequestDocument(offer.terms, key.public.modulus, key.prove_modulus()).to_json()

    def turn(self) -> None:
        """Also post what is not posted yet, after all else: an offer that the wallet cannot pay for holds up no training."""
        super().turn()
        while self._offers:
            log.info("request %d is posted, with %d wei in escrow", self.post(self._offers[0]), self._offers[0].escrow_wei)
            self._offers = self._offers[1:]

    def _carry_out(self, order: Order) -> Outcome:
        match order.action:
            case "post":
                offer = Offer.from_json(order.argument("offer", str))
                number = self.post(offer, f"ordered: {order.purpose}, offer {offer.token}")
                return Outcome(f"Request {number} is posted.")
            case "cancel":
                number = order.argument("request", int)
                return Outcome(f"Request {number} is taken back.", self._once("cancel", number, self.marketplace.cancel))
            case "confirm":
                number = order.argument("request", int)
                return Outcome(f"The result of request {number} is confirmed.", self._once("confirm", number, self.marketplace.confirm))
            case "refute":
                return self._refute(order)
        return super()._carry_out(order)

    def _once(self, action: str, number: int, call: Callable[[Wallet, int], Receipt]) -> Receipt:
        receipt = self.journal.once(f"{action} {number}", lambda wallet: call(wallet, number))
        self._read(number)
        return receipt

    def _refute(self, order: Order) -> Outcome:
        """Look at the evidence before gas is spent on it."""
        number = order.argument("request", int)
        request, other = self.marketplace.request(number), Statement.from_json(order.argument("statement", dict))
        chain, contract = self.marketplace.chain_id, self.marketplace.address
        signatures = {who: signed for who, signed in _signatures(order).items() if other.signer(signed, chain, contract) == who}
        valid = [validator for validator in request.validators if validator in signatures]
        needed = len(request.validators) // 2 + 1
        if other.request != number or other == self.marketplace.submitted(number) or len(valid) < needed:
            raise NodeError(
                f"this is no evidence against request {number}: it takes another statement of the same request with {needed} validators' "
                f"signatures, and {len(valid)} of these are valid"
            )
        signed: dict[str, bytes] = {validator: signatures[validator] for validator in valid}
        receipt = self.once_for(order, lambda wallet: self.marketplace.refute(wallet, number, other, signed))
        self._read(number)
        return Outcome(f"The result of request {number} is refuted.", receipt)

    def _concerns(self, request: Request) -> bool:
        return request.buyer == self.wallet.address

    def _consider(self, request: Request) -> None:
        match request.status:
            case Status.TRAINING | Status.SUBMITTED:
                self._work(request)
                if request.status is Status.SUBMITTED and self._confirms and self._latest[1] < request.challenge_end:
                    self.do(f"confirm {request.id}", lambda wallet: self.marketplace.confirm(wallet, request.id), request)
            case Status.SETTLED:
                self._receive(request)
                self._withdraw(request)
            case Status.FAILED | Status.CANCELLED:
                self._lines.release(str(request.id))
                self._withdraw(request)
        self._move_on(request)

    def _work(self, request: Request) -> None:
        self._take_seat(request)
        if str(request.id) in self._seats:
            self._lines.need(request.aggregator, str(request.id))

    def _receive(self, request: Request) -> None:
        if self.home.model(request.id).exists():
            self._lines.release(str(request.id))
            return
        self._work(request)
        role = self._roles.get(request.id)
        if role is None:
            return
        self._settle(request, role)
        if role.model is not None:
            self._write_model(request, role)

    def _settle(self, request: Request, role: ModelBuyer) -> None:
        statement = self.marketplace.submitted(request.id)
        if statement is None:
            raise NodeError(f"the chain shows no result of request {request.id}, which it says is settled")
        role.settled(statement.weights_hash)

    def _write_model(self, request: Request, role: ModelBuyer) -> None:
        assert role.model is not None
        terms = self.document(request).terms
        content = {
            "request": request.id,
            "model": terms.model,
            "features": [column.name for column in terms.requirements.features],
            "target": terms.requirements.target.name,
            "coefficients": role.model[:-1].tolist(),
            "intercept": float(role.model[-1]),
        }
        path = self.home.model(request.id)
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=2)
        os.replace(unfinished, path)
        log.info("the model is in %s", path, extra={"request": str(request.id)})

    def _is_finished(self, request: Request) -> bool:
        received = request.status is not Status.SETTLED or self.home.model(request.id).exists()
        return received and super()._is_finished(request)

    def _let_go(self, number: int) -> None:
        super()._let_go(number)
        self._roles.pop(number, None)
        self._filler.remove(str(number))

    def _sit(self, request: Request, party: Party, randomness: Replayable, nonce: bytes) -> Seat:
        document = self.document(request)
        key = self._keys.pop(document.modulus, None) or self.home.key(document.modulus, document.terms.scheme, self._password)
        key, pool = schemes.with_pool(key, _FACTORS_A_VALIDATOR * len(request.validators))
        role = ModelBuyer(party, key, initial_weights(document.terms, key), request.validators)
        self._roles[request.id] = role
        if request.status is Status.SETTLED:
            self._settle(request, role)

        def prepare(message: Message, digest: bytes, number: int) -> None:
            if isinstance(message, FinalModel):
                self._learn_settlement(request.id)

        seat = Seat(party.request, role, self.wallet, self.mail, randomness, prepare=prepare)
        seat.resume([role.start()])
        self.book.note_request(request.id, seat="buyer")
        self._filler.add(party.request, pool)
        return seat

    def _learn_settlement(self, number: int) -> None:
        """A model may come before this node has looked at the chain again."""
        with self._lock:
            self._read_chain()
            request = self._requests.get(number)
            if request is not None and request.status is Status.SETTLED and number in self._roles:
                self._settle(request, self._roles[number])

    def _end(self) -> None:
        self._lines.close()
        self._filler.close()
        super()._end()


def _signatures(order: Order) -> dict[str, bytes]:
    """Those that came with a statement, by address.

    Raises:
        TermsError: they are none.
    """
    try:
        return {str(who): bytes.fromhex(str(signed).removeprefix("0x")) for who, signed in order.argument("signatures", dict).items()}
    except ValueError as error:
        raise TermsError(f"these are no signatures by address, in hexadecimal: {error!r}") from error
