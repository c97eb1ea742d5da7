"""What holds for every message, whatever it says: it is signed by a participant, new, of this request, and answers an earlier one."""

from __future__ import annotations

from deltaml_core.messages import Message
from deltaml_core.signatures import SignedMessage, recover
from deltaml_core.transcript import Header, Sealed, chained


class Fault(Exception):
    """Something does not hold.

    Attributes:
        check: what was checked.
    """

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check


class Record:
    """The messages so far, numbered from 1.

    Attributes:
        hashes: the record's hash before the first message, and after each.
    """

    def __init__(self, header: Header, first_hash: bytes) -> None:
        self._header = header
        self._numbers: dict[str, int] = {}
        self._shown: dict[str, Message] = {}
        self.hashes = [first_hash]

    def add(self, entry: SignedMessage | Sealed, message: Message | None) -> None:
        """Check an entry and keep it; `message` is what a shown one holds, its signature checked.

        Raises:
            Fault, SignatureError: something does not hold.
        """
        name = entry.digest.hex()
        if name in self._numbers:
            raise Fault("order", f"it is message {self._numbers[name]} once more")
        sender = recover(entry.digest, entry.signature) if message is None else message.sender
        if sender not in self._header.participants:
            raise Fault("participants", f"it is signed by {sender}, who takes no part in this request")
        if message is not None:
            self._check(message)
            self._shown[name] = message
        self._numbers[name] = len(self._numbers) + 1
        self.hashes.append(chained(self.hashes[-1], entry))

    def answered(self, message: Message) -> Message | None:
        """What a message answers; None for nothing, or what is sealed."""
        return self._shown.get(message.answers)

    def hash_after_question(self, message: Message) -> bytes:
        """The record's hash up to the message that this one answers, it included."""
        return self.hashes[self._numbers[message.answers]]

    def _check(self, message: Message) -> None:
        if message.request != self._header.request:
            raise Fault("request", f"it belongs to request {message.request!r}, the record to {self._header.request!r}")
        if message.recipient not in self._header.participants:
            raise Fault("participants", f"its recipient {message.recipient} takes no part in this request")
        if not message.answers:
            return
        if message.answers not in self._numbers:
            raise Fault("order", "what it answers is not among the messages before it")
        asked = self.answered(message)
        if asked is not None and asked.recipient != message.sender:
            raise Fault("order", f"it answers message {self._numbers[message.answers]}, which was for {asked.recipient}")
