"""What every transport shares: whom it delivers to, and how a participant sends and receives through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from deltaml_core.messages import Message


class Role(Protocol):
    """Whoever answers messages."""

    def handle(self, message: Message) -> list[Message]:
        """The answers to a message."""


@dataclass(frozen=True)
class Delivery:
    """A signed message that waits for its recipient.

    Attributes:
        number: its place in the queue; a later message has a larger one.
        data: the signed message as it travels. Nothing of it was checked on the recipient's behalf.
    """

    number: int
    data: bytes


class Transport(Protocol):
    """One participant's way to the others: a durable queue, as a relay, a broker or a mail room in memory can all give it.

    What `send` has taken is delivered to its recipient in the order in which each sender sent it, at least once, however often either
    side or the relay is killed meanwhile. The recipient tells copies by their digest.
    """

    def send(self, data: bytes) -> None:
        """Hand a signed message over. When this returns the other side keeps it; the same message once more changes nothing.

        Raises:
            TransportError: nobody answered: send the same bytes again later.
            RefusedError: the other side will not have it.
        """

    def receive(self, wait: float) -> list[Delivery]:
        """The oldest messages for this participant that it has not acknowledged; empty when there are none after `wait` seconds.

        `close`, called in another thread, ends the wait; from then on it is empty at once.

        Raises:
            TransportError: nobody answered.
            RefusedError: this participant may not receive here.
        """

    def acknowledge(self, delivery: Delivery) -> None:
        """This message and all before it are kept here, and need not be delivered again."""

    def close(self) -> None:
        """Let go of connections; nothing that was sent is lost."""
