"""Messages from one participant to another, through the store of the aggregator's node.

The relay sees what the aggregator sees anyway: all messages between owners and buyer go through it by protocol. It cannot change
one, for each is signed. It passes on what a participant of a training says to another participant of the same training, and only
to whom it is addressed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from deltaml_core.errors import MessageError, RefusedError, SignatureError
from deltaml_core.messages import Message
from deltaml_core.signatures import SignedMessage
from deltaml_core.store.mail import Mail

Participants = Callable[[str], frozenset[str] | None]
Registered = Callable[[str], None]

LONGEST_WAIT = 30.0
"""Seconds that a recipient's call may wait for a message."""
ANSWER_BYTES = 16 << 20
"""Of messages handed out together; a longer one comes alone."""
UNTAKEN_MESSAGES = 20_000
UNTAKEN_BYTES = 256 << 20
"""What one participant may have sent in one training without its being taken."""
MAXIMUM_POLLS = 8
"""Calls of one recipient that wait at the same time."""

T = TypeVar("T")


class Relay:
    """One aggregator's. Its methods run in one event loop; what takes time runs in threads.

    Attributes:
        address: the aggregator's.
        polls: calls that wait.
    """

    def __init__(self, mail: Mail, address: str, participants: Participants, registered: Registered) -> None:
        """A relay over a store.

        Args:
            mail: the aggregator's.
            address: of the aggregator.
            participants: who takes part in a training; None while it is not known here. Called in a thread: it may ask the chain.
            registered: called in a thread with an owner who wants to work with this aggregator.
        """
        self.address = address
        self.polls = 0
        self._mail = mail
        self._participants = participants
        self._registered = registered
        self._members: dict[str, frozenset[str]] = {}  # nobody joins or leaves a training that is under way
        self._room: dict[tuple[str, str], tuple[int, int]] = {}  # messages and bytes that each may still send before they are counted
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._speaking: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        # two pools, so that a chain that does not answer holds up no message of a training that is known
        self._store_threads = ThreadPoolExecutor(4, "relay-store")
        self._node_threads = ThreadPoolExecutor(4, "relay-node")

    def open(self) -> None:
        """Hear of new messages from now on, in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._mail.subscribe(self._arrived)

    def end_polls(self) -> None:
        """Let every waiting call return, and none wait any more. Called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_polls)

    def close(self) -> None:
        """Let go of the store's notices and of the threads."""
        self._mail.unsubscribe(self._arrived)
        self._loop = None
        self._store_threads.shutdown(wait=False)
        self._node_threads.shutdown(wait=False)

    # --- sending ---

    async def admit(self, sender: str, request: str) -> frozenset[str]:
        """Who takes part in a training, for somebody who does.

        Raises:
            RefusedError: the training is not known here (404), or the caller takes no part in it (403).
        """
        members = self._members.get(request)
        if members is None:
            members = await self._in_thread(self._node_threads, partial(self._participants, request))
            if members is None:
                raise RefusedError("this training request is not known here; if it is new, try again later", 404)
            self._members[request] = members
        if sender not in members:
            raise RefusedError("you take no part in this training request", 403)
        return members

    @contextlib.contextmanager
    def speaking(self, sender: str) -> Iterator[None]:
        """While somebody hands a message over: one at a time, which bounds what is held in memory.

        Raises:
            RefusedError: the one before has not ended (429).
        """
        if sender in self._speaking:
            raise RefusedError("one message at a time: wait for the answer to the one before", 429)
        self._speaking.add(sender)
        try:
            yield
        finally:
            self._speaking.discard(sender)

    async def pass_on(self, sender: str, request: str, members: frozenset[str], data: bytes) -> tuple[Message, bool]:
        """Keep a message for its recipient; when this returns it is on the disk.

        Returns:
            the message, and whether it is new here.

        Raises:
            RefusedError: it is malformed (400), signed or sent by another, or for nobody in this training (403), or too much
                waits already (429).
        """
        return await self.in_thread(partial(self._keep, sender, request, members, data))

    def _keep(self, sender: str, request: str, members: frozenset[str], data: bytes) -> tuple[Message, bool]:
        try:
            signed = SignedMessage.decode(data)
            message = signed.open()
        except SignatureError as error:
            raise RefusedError(str(error), 403) from error
        except MessageError as error:
            raise RefusedError(str(error), 400) from error
        if message.sender != sender:
            raise RefusedError(f"this message is {message.sender}'s: hand over your own only", 403)
        if message.request != request:
            raise RefusedError("this message belongs to another training request than the call names", 400)
        if message.recipient not in members:
            raise RefusedError("the recipient takes no part in this training request", 403)
        if not self._has_room(sender, request, members, len(data)):
            if self._mail.has(signed.digest):
                return message, False
            raise RefusedError("too much that you sent has not been taken yet: try again later", 429)
        return message, self._mail.keep(signed, message)

    def _has_room(self, sender: str, request: str, members: frozenset[str], length: int) -> bool:
        """Whether so many bytes more may wait. What waits is counted only when there would be too much if nothing had been taken since."""
        count, size = self._room.get((sender, request), (0, 0))
        if count < 1 or size < length:
            untaken, together = self._mail.untaken(request, sender, members)
            count, size = UNTAKEN_MESSAGES - untaken, UNTAKEN_BYTES - together
        fits = count >= 1 and size >= length
        self._room[sender, request] = (count - 1, size - length) if fits else (0, 0)
        return fits

    # --- receiving ---

    async def collect(self, recipient: str, after: int, wait: float) -> bytes:
        """The oldest messages for somebody, as JSON, once there are any or the wait is over; those up to `after` are taken.

        Raises:
            RefusedError: too many calls of this recipient wait already (429).
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(wait, LONGEST_WAIT)
        with self._listening(recipient) as arrived:
            while True:
                arrived.clear()
                answer, some = await self.in_thread(partial(self._batch, recipient, after))
                after = 0
                if some or self._loop is None or loop.time() >= deadline:
                    return answer
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await arrived.wait()

    def _batch(self, recipient: str, taken: int) -> tuple[bytes, bool]:
        if taken:
            self._mail.taken_up_to(recipient, taken)
        batch = self._mail.batch(recipient, ANSWER_BYTES)
        deliveries = [{"number": kept.number, "envelope": kept.body.decode("ascii")} for kept in batch]
        return json.dumps({"messages": deliveries}, separators=(",", ":")).encode("ascii"), bool(deliveries)

    @contextlib.contextmanager
    def _listening(self, recipient: str) -> Iterator[asyncio.Event]:
        events = self._waiting.setdefault(recipient, set())
        if len(events) >= MAXIMUM_POLLS:
            raise RefusedError("too many of your calls wait already", 429)
        event = asyncio.Event()
        events.add(event)
        self.polls += 1
        try:
            yield event
        finally:
            self.polls -= 1
            events.discard(event)
            if not events:
                self._waiting.pop(recipient, None)

    def _arrived(self, recipients: Collection[str]) -> None:
        """Called in whichever thread wrote to the store."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed: nobody waits
                loop.call_soon_threadsafe(self._wake, tuple(recipients))

    def _wake(self, recipients: Collection[str]) -> None:
        for recipient in recipients:
            for event in self._waiting.get(recipient, ()):
                event.set()

    def _end_polls(self) -> None:
        self._loop = None
        self._wake(tuple(self._waiting))

    # --- registering ---

    async def register(self, owner: str) -> None:
        """An owner wants to work with this aggregator."""
        await self._in_thread(self._node_threads, partial(self._registered, owner))

    # --- threads ---

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Work that takes a processor, or the disk, for a while."""
        return await self._in_thread(self._store_threads, work)

    async def _in_thread(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)
