"""The aggregator's seat at a training: every message of it passes this store, whose order is the record's."""

from __future__ import annotations

import time

from deltaml_core.aggregator import Aggregator
from deltaml_core.messages import ApproveResult, Message, decode
from deltaml_core.node.seat import Seat
from deltaml_core.randomness import Replayable
from deltaml_core.signatures import SignedMessage, Signer
from deltaml_core.store.mail import Mail
from deltaml_core.transcript import Transcript


class Desk(Seat):
    """A seat with the record of the training.

    Attributes:
        aggregator: the role.
        transcript: the record, as far as the role has come.
    """

    def __init__(self, aggregator: Aggregator, request: str, signer: Signer, mail: Mail, randomness: Replayable) -> None:
        """`aggregator`: new, its transcript empty."""
        super().__init__(request, aggregator, signer, mail, randomness, prepare=self._record)
        self.aggregator = aggregator
        self.transcript: Transcript = aggregator.transcript
        self._recorded = 0
        self._since = time.time()

    def complete_record(self) -> Transcript:
        """The record with everything that was said so far."""
        with self.lock:
            self._extend(None)
        return self.transcript

    def signatures(self) -> dict[str, bytes]:
        """What those who approved the result have signed, by address; nothing is said yet of whether it holds.

        The role knows of an approval a moment before the store has it; whoever asks here waits for that moment to pass.
        """
        found = {}
        with self.lock:
            for kept in self._mail.handled(self.request, self._signer.address, ApproveResult.kind):
                message = decode(SignedMessage.decode(kept.body).message, kept.sender)
                if isinstance(message, ApproveResult) and message.statement_signature:
                    found[message.sender] = bytes.fromhex(message.statement_signature)
        return found

    def silent(self, seconds: float) -> set[str]:
        """Of the owners that the role waits for, those that have not answered for so long.

        An owner is silent when it has not taken what waits for it, or when nothing waits for anybody and it still owes an answer: while
        a message waits for the buyer, say, a validator that owes its errors may only be waiting for the buyer itself.

        Time in which this node was down does not count.
        """
        now, since = time.time(), self._since
        with self.lock:
            awaited = self.aggregator.awaited
        if not awaited:
            return set()
        waiting = self._mail.oldest_waiting(self.request)
        late = {owner for owner in awaited if owner in waiting and now - max(waiting[owner], since) > seconds}
        if not waiting and now - max(self._mail.newest(self.request), since) > seconds:
            late |= awaited
        return late

    def drop(self, owner: str) -> None:
        """Go on without an owner: said by the aggregator to itself, so that it is on record before anything follows from it."""
        self.say([self.aggregator.drop(owner)])

    def _record(self, message: Message, digest: bytes, number: int) -> None:
        self._extend(number)
        self.transcript.mark(digest)

    def _extend(self, up_to: int | None) -> None:
        for number, body in self._mail.record(self.request, self._recorded, up_to):
            self.transcript.append(SignedMessage.decode(body))
            self._recorded = number
