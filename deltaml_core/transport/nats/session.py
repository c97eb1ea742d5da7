"""One connection's life at the relay: it begins with all that was not acknowledged, in its order, and ends when something breaks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from deltaml_core import canonical
from deltaml_core.errors import ChainError, MessageError, RefusedError
from deltaml_core.extras import require
from deltaml_core.messages import decode
from deltaml_core.signatures import SignedMessage
from deltaml_core.store.mail import Mail
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.nats import naming
from deltaml_core.transport.nats.connection import Connection, pack, unpack

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.js import JetStreamContext

_api = require("nats.js.api", "nats")
_stream_errors = require("nats.js.errors", "nats")

MAXIMUM_LISTENERS = 20_000
"""Participants with a consumer at the broker."""
MAXIMUM_QUESTIONS = 4
"""Of one participant, at the same time."""
DUPLICATE_SECONDS = 3600
"""For so long the broker tells copies by their message's id; the stores always do."""
KEPT_SECONDS = 30 * 24 * 3600
"""For so long a message waits for an owner that is away; the aggregator's store has it longer."""
UNRELAYED_MESSAGES = 20_000
"""Of one participant, while the aggregator is away; then the broker takes no more of it."""
_DELIVERED_AT_ONCE, _TAKEN_IN_AT_ONCE = 64, 256
_REDELIVERY_SECONDS = 300  # a new session does not wait for it
_AT_ONCE = 16
_CHAIN_PAUSE = 1.0
_TIMEOUT = 10.0

log = logging.getLogger(__name__)


class Session:
    """A session; used in the loop of `background` only.

    Attributes:
        forwarded: the place of the newest message handed to the broker for each participant.
    """

    def __init__(self, connection: Connection, relay: Relay, mail: Mail, replicas: int) -> None:
        """Arguments as in `Bridge`; `run` begins."""
        self._connection = connection
        self._relay, self._mail, self._replicas = relay, mail, replicas
        self._streams: JetStreamContext = connection.streams
        self._listening: set[str] = set()
        self._asking: Counter[str] = Counter()
        self.forwarded: dict[str, int] = {}
        self._due: set[str] = set()
        self._is_due = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Carry messages until the connection breaks or the bridge stops."""
        await self._prepare()
        incoming = await self._connection.subscribe(inbox := self._connection.new_inbox())
        await self._renew(naming.UP, naming.RELAY, naming.everybodys("up"), inbox, _TAKEN_IN_AT_ONCE)
        for kind, handle in (("ask", self._asked), ("taken", self._taken)):
            await self._connection.subscribe(naming.everybodys(kind), self._in_tasks(handle))
        self._mail.subscribe(self._arrived)
        self._begin(self._forward_all())
        self._begin(self._take_in_all(incoming))
        self._arrived(self._listening)
        ends = [asyncio.ensure_future(one.wait()) for one in (stopping, self._connection.lost)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._mail.unsubscribe(self._arrived)
            for task in (*ends, *self._tasks):
                task.cancel()
            await asyncio.gather(*ends, *self._tasks, return_exceptions=True)

    # --- the streams ---

    async def _prepare(self) -> None:
        """Make the streams, or see that they are as they should be, and learn who listens."""
        common: dict[str, Any] = {
            "retention": _api.RetentionPolicy.WORK_QUEUE,
            "storage": _api.StorageType.FILE,
            "discard": _api.DiscardPolicy.NEW,
            "max_age": KEPT_SECONDS,
            "duplicate_window": DUPLICATE_SECONDS,
            "num_replicas": self._replicas,
        }
        bounded = {"max_msgs_per_subject": UNRELAYED_MESSAGES, "discard_new_per_subject": True}
        for name, kind, more in ((naming.UP, "up", bounded), (naming.DOWN, "down", {})):
            await self._streams.add_stream(_api.StreamConfig(name=name, subjects=[naming.everybodys(kind)], **common, **more))
        offset = 0
        while page := await self._streams.consumers_info(naming.DOWN, offset=offset):
            self._listening |= {consumer.name for consumer in page}
            offset += len(page)

    async def _renew(self, stream: str, name: str, its_subject: str, deliver: str, at_once: int) -> None:
        """A consumer that begins with whatever was not acknowledged, in its order, instead of after a while and behind newer ones."""
        try:
            await self._streams.delete_consumer(stream, name)
        except _stream_errors.NotFoundError:
            log.debug("%s has a first consumer %s", stream, name)
        config = _api.ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=its_subject,
            deliver_subject=deliver,
            ack_policy=_api.AckPolicy.EXPLICIT,
            ack_wait=_REDELIVERY_SECONDS,
            max_ack_pending=at_once,
        )
        await self._streams.add_consumer(stream, config)

    # --- in ---

    async def _take_in_all(self, incoming: Subscription) -> None:
        async for message in incoming.messages:
            await self._take_in(message)

    async def _take_in(self, message: Msg) -> None:
        sender = naming.participant_of(message.subject)
        while True:
            try:
                await self._keep(sender, message)
            except ChainError as error:
                log.warning("messages wait for the chain: %s", error)
                await asyncio.sleep(_CHAIN_PAUSE)
                continue
            except RefusedError as error:
                if error.status == 429:
                    await message.nak(delay=_CHAIN_PAUSE)
                    return
                log.warning("dropped what %s sent: %s", sender, error)
            break
        await message.ack()

    async def _keep(self, sender: str, message: Msg) -> None:
        data, request = await self._relay.in_thread(lambda: _read(message))
        members = await self._relay.admit(sender, request)
        await self._relay.pass_on(sender, request, members, data)

    # --- out ---

    def _arrived(self, recipients: Collection[str]) -> None:
        """Called in whichever thread wrote to the store."""
        self._loop.call_soon_threadsafe(self._note_due, tuple(recipients))

    def _note_due(self, recipients: Collection[str]) -> None:
        self._due |= self._listening.intersection(recipients)
        self._is_due.set()

    async def _forward_all(self) -> None:
        at_once = asyncio.Semaphore(_AT_ONCE)
        while True:
            await self._is_due.wait()
            self._is_due.clear()
            due, self._due = self._due, set()
            async with asyncio.TaskGroup() as group:
                for recipient in due:
                    group.create_task(self._forward(recipient, at_once))

    async def _forward(self, recipient: str, at_once: asyncio.Semaphore) -> None:
        async with at_once:
            while waiting := await self._relay.in_thread(lambda: self._mail.waiting(recipient, self.forwarded.get(recipient, 0))):
                for kept in waiting:
                    packed, headers = await self._relay.in_thread(partial(pack, kept.body))
                    headers |= {"Nats-Msg-Id": kept.digest.hex(), naming.NUMBER: str(kept.number)}
                    if len(packed) + 1024 > self._connection.largest:
                        log.error("message %d for %s is longer than the broker takes: raise its max_payload", kept.number, recipient)
                        return
                    await self._streams.publish(naming.subject("down", recipient), packed, _TIMEOUT, naming.DOWN, headers)
                    self.forwarded[recipient] = kept.number

    # --- questions ---

    async def _asked(self, message: Msg) -> None:
        participant = naming.participant_of(message.subject)
        if not message.reply:
            return
        try:
            if self._asking[participant] >= MAXIMUM_QUESTIONS:
                raise RefusedError("too many questions at a time", 429)
            self._asking[participant] += 1
            try:
                answer = await self._answer(participant, message.data)
            finally:
                self._asking[participant] -= 1
                self._asking += Counter()  # forget who asks nothing
        except RefusedError as error:
            answer = {"error": str(error), "status": error.status}
        except ChainError as error:
            answer = {"error": f"the aggregator waits for the chain: {error}", "status": 429}
        await self._connection.publish(message.reply, canonical.dump(answer))

    async def _answer(self, participant: str, data: bytes) -> dict[str, Any]:
        try:
            question = json.loads(data)
        except (ValueError, RecursionError):
            question = None
        match question:
            case {"listen": True}:
                return {"taken": await self._listen(participant)}
            case {"participants": str(request)} if len(request) <= 200:
                return {"participants": sorted(await self._relay.admit(participant, request))}
        raise RefusedError("this is no question", 400)

    async def _listen(self, participant: str) -> int:
        """Have everything delivered again that a participant has not acknowledged.

        Returns:
            The place of the newest message that it has: a broker that was killed may deliver some of those again.
        """
        if participant not in self._listening and len(self._listening) >= MAXIMUM_LISTENERS:
            raise RefusedError("too many listen already: try again later", 429)
        its_subject = naming.subject("down", participant)
        await self._renew(naming.DOWN, participant, its_subject, naming.subject(naming.DELIVERY, participant), _DELIVERED_AT_ONCE)
        self._listening.add(participant)
        self._note_due([participant])
        return await self._relay.in_thread(lambda: self._mail.last_taken(participant))

    async def _taken(self, message: Msg) -> None:
        participant = naming.participant_of(message.subject)
        number, _, receipt = message.data[:500].decode("ascii", "replace").partition(" ")
        if not message.reply or not (number.isdecimal() and len(number) < 17 and naming.is_acknowledgement(receipt, participant)):
            log.warning("%s acknowledges what is no message of its", participant)
            return
        await self._relay.in_thread(lambda: self._mail.taken_up_to(participant, int(number)))
        await self._connection.confirmed(receipt, b"", _TIMEOUT)
        await self._connection.publish(message.reply, b"{}")

    # --- tasks ---

    def _in_tasks(self, handle: Callable[[Msg], Coroutine[Any, Any, None]]) -> Callable[[Msg], Coroutine[Any, Any, None]]:
        """So that who asks what takes a while holds up nobody else."""

        async def begin(message: Msg) -> None:
            self._begin(handle(message))

        return begin

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("the session with the broker ends: %s", error)
            self._connection.lost.set()


def _read(message: Msg) -> tuple[bytes, str]:
    """(signed message, its training), before anything of it is checked.

    Raises:
        RefusedError: no message (400).
    """
    try:
        data = unpack(message.data, message.headers)
        return data, decode(SignedMessage.decode(data).message).request
    except MessageError as error:
        raise RefusedError(str(error), 400) from error
