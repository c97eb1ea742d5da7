"""A table at which somebody cheats: every message is signed bytes, a meddler rewrites what one party says before it is signed, and
the buyer may sit in a process of its own, which shares no memory with anybody.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from multiprocessing.connection import Connection
from typing import Any, Self, TypeVar

from helpers import Shard, random_shards

from deltaml_core import schemes
from deltaml_core.aggregator import Aggregator
from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.errors import MessageError
from deltaml_core.messages import FinalModel, Message
from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.statistics import Dataset
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.training import declared_ranges
from deltaml_core.transcript import Header, Transcript

M = TypeVar("M", bound=Message)
Meddler = Callable[[Message], Iterable[Message]]
Lie = Callable[[Sequence[Message], Message, PrivateKey], Sequence[Message]]

REQUEST = "request-1"


def honest(answers: Sequence[Message], asked: Message, key: PrivateKey) -> Sequence[Message]:
    """The buyer that tells no lie."""
    return answers


class HereBuyer:
    """A buyer in this process."""

    def __init__(self, terms: TrainingTerms, lie: Lie = honest) -> None:
        self._signer = LocalSigner()
        self._key = schemes.generate(terms.scheme, terms.key_bits)
        self._lie = lie
        self._received: list[Message] = []
        self.address = self._signer.address
        self.document = RequestDocument(terms, self._key.public.modulus, self._key.prove_modulus())

    def start(self, aggregator: str, validators: Sequence[str]) -> list[bytes]:
        terms = self.document.terms
        party = Party.take(REQUEST, self.address, self.document, self.address, aggregator)
        self._role = ModelBuyer(party, self._key, initial_weights(terms, self._key), validators)
        return self._signed([self._role.start()])

    def hear(self, envelope: bytes) -> list[bytes]:
        signed = SignedMessage.decode(envelope)
        message = signed.open()
        self._received.append(message)
        answers = self._lie(self._role.handle(message), message, self._key)
        return self._signed([replace(answer, answers=signed.digest.hex()) for answer in answers])

    def settled(self, weights_hash: bytes) -> None:
        self._role.settled(weights_hash)

    def model(self) -> list[float] | None:
        return None if self._role.model is None else self._role.model.tolist()

    def readable(self) -> list[tuple[str, str, list[int]]]:
        """All it could decrypt of what it received: kind, field, plaintexts."""
        found = []
        for message in self._received:
            for name, values in ((field.name, getattr(message, field.name)) for field in fields(message)):
                if isinstance(values, tuple) and values and all(isinstance(value, int) and value > 1 << 64 for value in values):
                    found.append((message.kind, name, self._key.decrypt(values)))
        return found

    def _signed(self, messages: Iterable[Message]) -> list[bytes]:
        return [SignedMessage.of(message, self._signer).encode() for message in messages]


def _serve(pipe: Connection) -> None:
    """The buyer's process: it knows the posted terms, its own keys, and the bytes that arrive."""
    buyer: Any = None
    while order := pipe.recv():
        name, arguments = order
        try:
            if name == "sit":
                buyer = HereBuyer(*arguments)
                pipe.send(("said", (buyer.address, buyer.document.to_json())))
            else:
                pipe.send(("said", getattr(buyer, name)(*arguments)))
        except MessageError as refusal:
            pipe.send(("refused", (type(refusal), refusal.args[0].removeprefix(f"from {refusal.sender}: "), refusal.sender)))


class BuyersProcess:
    """A process for one buyer after the other, and a pipe to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, name: str, *arguments: Any) -> Any:
        self._pipe.send((name, arguments))
        outcome, answer = self._pipe.recv()
        if outcome == "refused":
            kind, text, sender = answer
            raise kind(text, sender)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join()
        self._pipe.close()


class ApartBuyer:
    """A buyer in another process."""

    def __init__(self, process: BuyersProcess, terms: TrainingTerms, lie: Lie = honest) -> None:
        self._ask = process.ask
        self.address, document = self._ask("sit", terms, lie)
        self.document = RequestDocument.from_json(document)

    def start(self, aggregator: str, validators: Sequence[str]) -> list[bytes]:
        return list(self._ask("start", aggregator, validators))

    def hear(self, envelope: bytes) -> list[bytes]:
        return list(self._ask("hear", envelope))

    def settled(self, weights_hash: bytes) -> None:
        self._ask("settled", weights_hash)

    def model(self) -> list[float] | None:
        return self._ask("model")  # type: ignore[no-any-return]

    def readable(self) -> list[tuple[str, str, list[int]]]:
        return list(self._ask("readable"))


class Table:
    """Three trainers, two validators, an aggregator and a buyer.

    Attributes:
        names: of the owners, in the order of the shards; by default the second and third validate.
        meddlers: by name, what rewrites what a party says.
        said: every message, as it was accepted.
    """

    def __init__(
        self,
        shards: Sequence[Shard] | None = None,
        *,
        lie: Lie = honest,
        process: BuyersProcess | None = None,
        judges: Sequence[int] = (1, 2),
        **changes: Any,
    ) -> None:
        self.shards = list(shards or random_shards(7, (9, 6, 12, 5, 4), 2))
        chosen = {"rounds": 4, "step": 0.5, "evaluate_every": 2, "key_bits": 512, **changes}
        self.terms = TrainingTerms(requirements=declared_ranges([Dataset.of(X, y) for X, y in self.shards]), **chosen)
        self.buyer = ApartBuyer(process, self.terms, lie) if process else HereBuyer(self.terms, lie)
        signers = [LocalSigner() for _ in range(1 + len(self.shards))]
        self._signers = {signer.address: signer for signer in signers}
        self.aggregator_name, *self.names = (signer.address for signer in signers)
        self.validators = tuple(self.names[index] for index in judges)
        self.trainers = tuple(name for name in self.names if name not in self.validators)
        data = {name: Dataset.of(X, y) for name, (X, y) in zip(self.names, self.shards, strict=True)}
        header = Header(REQUEST, self.buyer.document, self.buyer.address, self.aggregator_name, self.trainers, self.validators)
        self.transcript = Transcript(header)
        self.aggregator = Aggregator(self.seat(self.aggregator_name), self.trainers, self.validators, self.transcript)
        self.owners: dict[str, Trainer | Validator] = {
            name: Trainer(self.seat(name), data[name], self.validators) for name in self.trainers
        }
        self.owners |= {
            name: Validator(self.seat(name), data[name], validators=self.validators, trainers=self.trainers) for name in self.validators
        }
        self.roles: dict[str, Any] = {**self.owners, self.aggregator_name: self.aggregator}
        self.meddlers: dict[str, Meddler] = {}
        self.said: list[Message] = []
        self._waiting: deque[bytes] = deque()
        self._started = False

    def meddle(self, meddlers: Mapping[str, Meddler]) -> Self:
        self.meddlers.update(meddlers)
        return self

    def seat(self, name: str) -> Party:
        """Every participant checks the buyer's key, and makes its own object of it."""
        return Party.take(REQUEST, name, self.buyer.document, self.buyer.address, self.aggregator_name)

    def say(self, messages: Iterable[Message]) -> None:
        """Sign and send, after the meddler's work."""
        for message in messages:
            meddler = self.meddlers.get(message.sender, lambda unchanged: [unchanged])
            for meant in meddler(message):
                self.post(SignedMessage.of(meant, self._signers[meant.sender]).encode())

    def post(self, envelope: bytes) -> None:
        """Put on record and queue what arrived as bytes."""
        signed = SignedMessage.decode(envelope)
        self.said.append(signed.open())
        self.transcript.append(signed)
        self._waiting.append(envelope)

    def step(self) -> Message | None:
        """Deliver the next message; the one delivered, or None when none waits."""
        if not self._waiting:
            return None
        envelope = self._waiting.popleft()
        signed = SignedMessage.decode(envelope)
        message = signed.open()
        if message.recipient == self.buyer.address:
            for answer in self.buyer.hear(envelope):
                self.post(answer)
        else:
            self.transcript.mark(signed.digest)
            answers = self.roles[message.recipient].handle(message)
            self.say(replace(answer, answers=signed.digest.hex()) for answer in answers)
        return message

    def start(self) -> None:
        if not self._started:
            self._started = True
            self.say(owner.ready() for owner in self.owners.values())
            for envelope in self.buyer.start(self.aggregator_name, self.validators):
                self.post(envelope)

    def until(self, kind: type[M], skip: int = 0) -> M:
        """Deliver until a message of this kind (after `skip` others) waits first, and return it, not yet delivered."""
        self.start()
        while True:
            message = SignedMessage.decode(self._waiting[0]).open()
            if isinstance(message, kind):
                if skip == 0:
                    return message
                skip -= 1
            self.step()

    def run(self) -> Self:
        """Let the messages flow until none waits."""
        self.start()
        while self.step():
            pass
        return self

    def settle(self, served_by: str | None = None) -> list[float]:
        """The contract settles on what the validators stand for, and somebody serves the model."""
        assert self.aggregator.done
        assert self.aggregator.proposal is not None
        self.buyer.settled(bytes.fromhex(self.aggregator.proposal.weights_hash))
        self.say([self.roles[served_by or self.aggregator_name].deliver()])
        self.run()
        model = self.buyer.model()
        assert model is not None
        return model

    def heard(self, kind: type[M]) -> list[M]:
        """What was said of a kind."""
        return [message for message in self.said if isinstance(message, kind)]


def only(kind: type[M], change: Callable[[M], Message | Iterable[Message]], *, when: Callable[[M], bool] = lambda message: True) -> Meddler:
    """A meddler that rewrites messages of one kind and lets the others pass."""

    def meddle(message: Message) -> Iterable[Message]:
        if not isinstance(message, kind) or not when(message):
            return [message]
        changed = change(message)
        return [changed] if isinstance(changed, Message) else changed

    return meddle


def final_model(table: Table, sender: str, weights: tuple[int, ...], scale: int) -> FinalModel:
    """What somebody serves as the bought model."""
    return FinalModel(request=REQUEST, round=table.terms.rounds, sender=sender, recipient=table.buyer.address, scale=scale, weights=weights)
