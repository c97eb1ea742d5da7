"""What every transport shares: whom it delivers to, and how a participant sends and receives through it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from deltaml_core.messages import Message


class Role(Protocol):
    """Whoever answers messages.

    A role is a function of what it was made of, the messages it has handled, in their order, and the random numbers it has drawn: it
    reads no clock and no file. So after a crash a node rebuilds it by handing it the same messages again, from the first, and throws the
    answers away, which were kept when they were drawn. A role whose `handle` raises a `MessageError` has not changed, with two
    exceptions, both of them a `MetricError`: an aggregator that has `failed`, and a buyer that has refused to open what it decrypted,
    for which nobody gets another try. A node that hands over the refused messages as well, in their places, misses neither.

    Attributes:
        leaves_no_trace: the kinds whose handling leaves nothing behind in the role; when it is rebuilt they need not be repeated.
    """

    leaves_no_trace: ClassVar[tuple[type[Message], ...]]

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

    def register(self) -> None:
        """Tell the other side that this owner wants to work with it (T§7.1 step 2).

        Raises:
            TransportError: nobody answered.
            RefusedError: the other side will not have it.
        """

    def close(self) -> None:
        """Let go of connections; nothing that was sent is lost."""
