"""Messages between roles of one process, in the order they were sent, as the bytes every other transport would carry."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Protocol

from deltaml_core.errors import MessageError
from deltaml_core.messages import Message, decode, encode


class Role(Protocol):
    """Whoever answers messages."""

    def handle(self, message: Message) -> list[Message]:
        """The answers to a message."""


class LocalTransport:
    """A mail room.

    Attributes:
        sent: messages by kind.
        bytes: their bytes by kind.
    """

    def __init__(self) -> None:
        """An empty one."""
        self._roles: dict[str, Role] = {}
        self._waiting: deque[tuple[str, str, bytes]] = deque()
        self.sent: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def join(self, name: str, role: Role) -> None:
        """Deliver here what is addressed to `name`."""
        self._roles[name] = role

    def send(self, messages: Iterable[Message]) -> None:
        """Queue messages.

        Raises:
            MessageError: nobody of the recipient's name has joined.
        """
        for message in messages:
            if message.recipient not in self._roles:
                raise MessageError(f"{message.kind} is addressed to {message.recipient!r}, who is not here", message.sender)
            data = encode(message)
            self.sent[message.kind] += 1
            self.bytes[message.kind] += len(data)
            self._waiting.append((message.sender, message.recipient, data))

    def deliver(self) -> bool:
        """Hand over the next message and queue the answers; False when none waits."""
        if not self._waiting:
            return False
        sender, recipient, data = self._waiting.popleft()
        self.send(self._roles[recipient].handle(decode(data, sender)))
        return True
