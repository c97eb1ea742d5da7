"""Messages between roles of one process, in the order they were sent, as the signed bytes every other transport would carry.

The mail room is the node's half of a participant: it names the message an answer answers, has it signed by its sender's key,
verifies what arrives, and keeps the transcript. Roles know nothing of this.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace

from deltaml_core.errors import MessageError
from deltaml_core.messages import Message
from deltaml_core.signatures import SignedMessage, Signer
from deltaml_core.transcript import Transcript
from deltaml_core.transport.base import Role


class LocalTransport:
    """A mail room.

    Attributes:
        transcript: every message that was accepted, in that order; None when nobody keeps one.
        sent: messages by kind.
        bytes: their bytes by kind, signatures included.
    """

    def __init__(self, transcript: Transcript | None = None) -> None:
        """An empty one; `transcript` is the aggregator's."""
        self.transcript = transcript
        self._roles: dict[str, Role] = {}
        self._signers: dict[str, Signer] = {}
        self._waiting: deque[tuple[Message, bytes]] = deque()
        self._seen: set[bytes] = set()
        self.sent: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def join(self, signer: Signer, role: Role) -> None:
        """Deliver here what is addressed to the signer, and sign what the role says."""
        self._roles[signer.address] = role
        self._signers[signer.address] = signer

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
        if message.recipient not in self._roles:
            raise MessageError(f"{message.kind} is addressed to {message.recipient!r}, who is not here", message.sender)
        self._seen.add(signed.digest)
        if self.transcript is not None:
            self.transcript.append(signed)
        self.sent[message.kind] += 1
        self.bytes[message.kind] += len(data)
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
