"""What an attacker works from: the messages its own seat received, and its own secrets. No other role's memory is within reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from deltaml_core.errors import DeltaMLError
from deltaml_core.messages import Message
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.terms import TrainingTerms
from deltaml_core.transport.base import Role

M = TypeVar("M", bound=Message)


class AttackFailed(DeltaMLError):
    """What was captured does not give the attacker what it is after."""


class Diary:
    """A seat that answers as the honest role would, and keeps what it is sent: no other participant can tell.

    Attributes:
        received: every message so far, in order.
    """

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, role: Role) -> None:
        """`role`: who answers."""
        self._role = role
        self.received: list[Message] = []

    def handle(self, message: Message) -> list[Message]:
        """Keep it, and let the role answer."""
        self.received.append(message)
        return self._role.handle(message)


@dataclass(frozen=True)
class BuyersView:
    """All that a Model Buyer's process has.

    Attributes:
        terms: of the request it posted; training starts from zeros.
        key: its own.
        received: what it was sent.
    """

    terms: TrainingTerms
    key: PrivateKey
    received: Sequence[Message]

    @property
    def capacity(self) -> int:
        """Bits of a signed integer under its key."""
        return self.key.public.capacity


def of_kind(kind: type[M], messages: Iterable[Message]) -> list[M]:
    """The messages of one kind, in order."""
    return [message for message in messages if isinstance(message, kind)]
