"""What every role knows: its name, the request it works for, the terms, and the buyer's public key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from deltaml_core.errors import MessageError
from deltaml_core.messages import Message
from deltaml_core.randomness import SYSTEM, Randomness
from deltaml_core.schedule import Step, schedule
from deltaml_core.schemes import public_key
from deltaml_core.schemes.base import Ciphertexts, PublicKey
from deltaml_core.terms import RequestDocument, TrainingTerms

M = TypeVar("M", bound=Message)


class Seat:
    """What any seat can do with messages and ciphertexts, whatever was agreed on.

    Attributes:
        request: identifies the training request.
        name: who sits here.
        key: the buyer's public key, with randomness of this party's own.
    """

    request: str
    name: str
    key: PublicKey

    def say(self, kind: type[M], recipient: str, round_number: int, **content: Any) -> M:
        """A message from here."""
        return kind(request=self.request, round=round_number, sender=self.name, recipient=recipient, **content)

    def sum(self, vectors: Sequence[Ciphertexts]) -> Ciphertexts:
        """Of at least one vector, entry by entry, under encryption. Not fresh."""
        total = vectors[0]
        for vector in vectors[1:]:
            total = self.key.add(total, vector)
        return total

    def admit(self, message: Message, senders: Collection[str]) -> None:
        """Refuse what was meant for another seat, or is said by somebody who has no say here.

        Raises:
            MessageError: another request, recipient or sender.
        """
        if message.request != self.request:
            raise MessageError(f"{message.kind}: it belongs to request {message.request!r}, not {self.request!r}", message.sender)
        if message.recipient != self.name:
            raise MessageError(f"{message.kind}: it is meant for {message.recipient!r}, not {self.name!r}", message.sender)
        if message.sender not in senders:
            raise MessageError(f"{message.kind}: only {' or '.join(senders)} may say that to {self.name}", message.sender)

    def unexpected(self, message: Message, why: str = "nobody asked for it") -> MessageError:
        """The error for a message that is not due."""
        return MessageError(f"{message.kind} of round {message.round} is not expected by {self.name}: {why}", message.sender)


@dataclass(frozen=True)
class Party(Seat):
    """A seat at one training.

    Attributes:
        request: identifies the training request.
        name: who sits here.
        terms: the request's terms.
        key: the buyer's public key, with randomness of this party's own.
        buyer: the Model Buyer's name.
        aggregator: the Federated Aggregator's.
        randomness: what everything drawn at this seat is drawn from; the key's as well.
        pooled: the same key, taking random factors that were made while the node waited; None where nobody makes them.
    """

    request: str
    name: str
    terms: TrainingTerms
    key: PublicKey
    buyer: str
    aggregator: str
    randomness: Randomness = SYSTEM
    pooled: PublicKey | None = None

    @property
    def sending_key(self) -> PublicKey:
        """For ciphertexts of which the role keeps nothing: they may come out under another random factor when it is rebuilt."""
        return self.pooled or self.key

    @classmethod
    def take(
        cls, request: str, name: str, document: RequestDocument, buyer: str, aggregator: str, *, randomness: Randomness = SYSTEM
    ) -> Party:
        """Take a seat at a posted request, after checking the stranger's key.

        Raises:
            PublicKeyError: the modulus is not of the stated length, or not proven fit.
            TermsError: the scheme is not known.
        """
        key = public_key(document.terms.scheme, document.modulus, randomness)
        key.check_modulus(document.terms.key_bits, document.proof)
        return cls(request, name, document.terms, key, buyer, aggregator, randomness)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The run's schedule, the same for everyone.

        Raises:
            ScaleBudgetError: the key is too small for the terms.
        """
        return schedule(self.terms, self.key.capacity)

    def gone(self, message: Message, owner: str) -> MessageError:
        """The error for a message from, or for, an owner that was dropped."""
        silence = f"{owner} was silent for {self.terms.owner_timeout} seconds and was dropped"
        return MessageError(f"{message.kind} of round {message.round} is refused by {self.name}: {silence}", message.sender)
