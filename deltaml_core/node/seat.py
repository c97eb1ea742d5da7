"""One participant's part in one training: a pure role, and the messages that it is rebuilt from.

What a role is follows from the messages it has handled and the random numbers it drew meanwhile. Both can be had again after a
crash: messages are in the store before anybody is told that they arrived, and the numbers follow from the wallet's key, a nonce
drawn once for this seat, and the digest of the message that is handled. So nothing is drawn anew that may have been seen: a message
handled a second time leads to the same answers, and those in the store are the ones that are sent. (Of ciphertexts that a role keeps
nothing of, the random factors may be others: `party.Party.sending_key`.)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from deltaml_core.errors import MessageError, ReleasesSpentError
from deltaml_core.messages import Message, decode
from deltaml_core.randomness import Replayable
from deltaml_core.signatures import SignedMessage, Signer
from deltaml_core.store.mail import Kept, Mail
from deltaml_core.transport.base import Role

Complete = Callable[[Message], Message]
"""What a node adds to an answer before it is signed."""

Prepare = Callable[[Message, bytes, int], None]
"""What a node does before a message of this digest, at this place in the store (0: not there yet), reaches the role."""

_REFUSALS = (MessageError, ReleasesSpentError)

log = logging.getLogger(__name__)


class Seat:
    """A role at work.

    Attributes:
        request: identifies the training.
        role: what answers messages.
        fault: why the latest message was refused; None when none was.
        lock: held while a message is handled.
    """

    def __init__(
        self,
        request: str,
        role: Role,
        signer: Signer,
        mail: Mail,
        randomness: Replayable,
        *,
        complete: Complete = lambda message: message,
        prepare: Prepare = lambda message, digest, number: None,
    ) -> None:
        """Sit down; `resume` before anything else.

        Args:
            request: identifies the training.
            role: new, as its constructor left it, drawing its random numbers from `randomness`.
            signer: the participant's key.
            mail: the participant's messages.
            randomness: this seat's.
            complete: what the node adds to an answer before it is signed.
            prepare: what it does before the role is handed a message.
        """
        self.request = request
        self.role = role
        self.fault: str | None = None
        self.lock = threading.RLock()
        self._signer = signer
        self._mail = mail
        self._randomness = randomness
        self._complete = complete
        self._prepare = prepare

    def resume(self, opening: Sequence[Message] = ()) -> None:
        """Bring the role to where it was, and let it say what it begins with, unless it has.

        Args:
            opening: what the role says without being asked.

        Raises:
            MessageError: the stored messages no longer lead where they led: another version of DeltaML wrote them.
        """
        for kept in self._mail.handled(self.request, self._signer.address, refused=True):
            message = decode(SignedMessage.decode(kept.body).message, kept.sender)
            if isinstance(message, self.role.leaves_no_trace):
                continue
            self._prepare(message, kept.digest, kept.number)
            self._randomness.begin(kept.digest)
            try:
                # Refused ones too: some refusals are part of what a role is (`transport.base.Role`). One may be taken now, where it
                # was refused for what the role did not know yet: a model that came before its settlement.
                self.role.handle(message)
            except _REFUSALS as error:
                if kept.fault is None:
                    raise MessageError(f"a message that was handled before is refused now: {error}", kept.sender) from error
        self.say(opening)

    def say(self, messages: Sequence[Message]) -> None:
        """Write what the role says without being asked; what it has said before changes nothing."""
        self._mail.say([(SignedMessage.of(message, self._signer), message) for message in messages])

    def arrived(self, signed: SignedMessage, message: Message) -> None:
        """Handle a message that a transport brought, and write it with its answers. One that was here before changes nothing.

        Args:
            signed: as it travelled.
            message: the same, opened: its signature was verified.
        """
        with self.lock:
            if not self._mail.has(signed.digest):
                self._prepare(message, signed.digest, 0)
                answers, fault = self._handle(message, signed.digest)
                self._mail.receive(signed, message, answers, fault)

    def take(self, kept: Kept) -> None:
        """Handle a message that waits in this store already, and write that with its answers."""
        message = decode(SignedMessage.decode(kept.body).message, kept.sender)
        with self.lock:
            self._prepare(message, kept.digest, kept.number)
            self._mail.take(kept.number, *self._handle(message, kept.digest))

    def _handle(self, message: Message, digest: bytes) -> tuple[list[tuple[SignedMessage, Message]], str | None]:
        self._randomness.begin(digest)
        try:
            said = self.role.handle(message)
        except _REFUSALS as error:
            self.fault = str(error)
            log.warning("refused a message: %s", error, extra={"request": self.request, "kind": message.kind, "round": message.round})
            return [], str(error)
        log.debug("handled %s", message.kind, extra={"request": self.request, "kind": message.kind, "round": message.round})
        answers = [self._complete(replace(answer, answers=digest.hex())) for answer in said]
        return [(SignedMessage.of(answer, self._signer), answer) for answer in answers], None
