"""What every transport shares: whom it delivers to."""

from __future__ import annotations

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
