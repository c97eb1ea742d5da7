"""Messages within one process, in the order they were sent, as the signed bytes every other transport would carry.

Between roles, the mail room is the node's half of a participant: it names the message an answer answers, has it signed by its
sender's key, verifies what arrives, and keeps the transcript. Roles know nothing of this. Between nodes, each has its own end of
the room, which is a `Transport` like any other.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from deltaml_core.errors import MessageError, RefusedError, SignatureError, TransportError
from deltaml_core.messages import Message
from deltaml_core.signatures import SignedMessage, Signer
from deltaml_core.transcript import Transcript
from deltaml_core.transport.base import Delivery, Role


class LocalTransport:
    """A mail room.

    Attributes:
        transcript: every message that was accepted, in that order; None when nobody keeps one.
        sent: messages by kind.
        bytes: their bytes by kind, signatures included.
        registered: owners that offered themselves through their ends.
    """

    def __init__(self, transcript: Transcript | None = None) -> None:
        """An empty one; `transcript` is the aggregator's."""
        self.transcript = transcript
        self._roles: dict[str, Role] = {}
        self._signers: dict[str, Signer] = {}
        self._waiting: deque[tuple[Message, bytes]] = deque()
        self._queues: dict[str, _Queue] = {}
        self._seen: set[bytes] = set()
        self._posting = threading.Lock()
        self.sent: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.registered: set[str] = set()

    def join(self, signer: Signer, role: Role) -> None:
        """Deliver here what is addressed to the signer, and sign what the role says."""
        self._roles[signer.address] = role
        self._signers[signer.address] = signer

    def at(self, address: str) -> LocalEnd:
        """A participant's own end; what it has not acknowledged stays, also when it comes back for another."""
        return LocalEnd(self, address, self._queues.setdefault(address, _Queue()))

    def send(self, messages: Iterable[Message]) -> None:
        """Sign and queue messages.

        Raises:
            MessageError: sender or recipient has not joined.
        """
        for message in messages:
            if message.sender not in self._signers:
                raise MessageError(f"{message.kind}: its sender is not here", message.sender)
            self.post(SignedMessage.of(message, self._signers[message.sender]).encode())

    def post(self, data: bytes) -> bool:
        """Queue a signed message, whoever brings it.

        Returns:
            False when it was here before: a message is delivered once.

        Raises:
            MessageError: it is malformed, not signed by its sender, or the recipient has not joined. It is not on record then.
        """
        signed = SignedMessage.decode(data)
        if signed.digest in self._seen:
            return False
        message = signed.open()
        queue = self._queues.get(message.recipient)
        if queue is None and message.recipient not in self._roles:
            raise MessageError(f"{message.kind} is addressed to {message.recipient!r}, who is not here", message.sender)
        with self._posting:
            if signed.digest in self._seen:
                return False
            self._seen.add(signed.digest)
            if self.transcript is not None:
                self.transcript.append(signed)
            self.sent[message.kind] += 1
            self.bytes[message.kind] += len(data)
            if queue is not None:
                queue.put(data)
            else:
                self._waiting.append((message, signed.digest))
        return True

    def deliver(self) -> bool:
        """Hand over the next message and queue the answers; False when none waits."""
        if not self._waiting:
            return False
        message, digest = self._waiting.popleft()
        if self.transcript is not None:
            self.transcript.mark(digest)
        answers = self._roles[message.recipient].handle(message)
        self.send(replace(answer, answers=digest.hex()) for answer in answers)
        return True


class LocalEnd:
    """One participant's end of a mail room: a `Transport`."""

    def __init__(self, room: LocalTransport, address: str, queue: _Queue) -> None:
        """Made by `LocalTransport.at`."""
        self._room = room
        self._address = address
        self._queue = queue
        self._closed = False

    def send(self, data: bytes) -> None:
        """Hand a signed message over.

        Raises:
            TransportError: this end was closed.
            RefusedError: it is malformed, another's, or for somebody who is not here.
        """
        if self._closed:
            raise TransportError("this end was closed")
        try:
            sender = SignedMessage.decode(data).open().sender
            if sender != self._address:
                raise SignatureError("hand over your own messages only", sender)
            self._room.post(data)
        except MessageError as error:
            raise RefusedError(str(error)) from error

    def receive(self, wait: float) -> list[Delivery]:
        """What this participant has not acknowledged; empty when there is nothing after `wait` seconds, and after `close`."""
        return self._queue.get(wait, lambda: self._closed)

    def acknowledge(self, delivery: Delivery) -> None:
        """This message and all before it need not be delivered again."""
        self._queue.drop(delivery.number)

    def register(self) -> None:
        """Be among the room's `registered`."""
        self._room.registered.add(self._address)

    def close(self) -> None:
        """End a `receive` that waits."""
        self._closed = True
        self._queue.wake()


class _Queue:
    """What waits for one participant."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._count = 0
        self._changed = threading.Condition()

    def put(self, data: bytes) -> None:
        with self._changed:
            self._count += 1
            self._waiting.append(Delivery(self._count, data))
            self._changed.notify_all()

    def get(self, wait: float, ended: Callable[[], bool]) -> list[Delivery]:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or ended(), wait)
            return [] if ended() else list(self._waiting)

    def drop(self, number: int) -> None:
        with self._changed:
            while self._waiting and self._waiting[0].number <= number:
                self._waiting.popleft()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
