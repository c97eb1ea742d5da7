"""What the broker has delivered to one participant, until that has acknowledged it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING

from deltaml_core.errors import MessageError
from deltaml_core.transport.base import Delivery
from deltaml_core.transport.nats import naming
from deltaml_core.transport.nats.connection import BROKEN, Connection, unpack

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_CONFIRM_SECONDS = 2.0
_NUMBER = re.compile(r"[1-9][0-9]{0,15}")


class Inbox:
    """What was delivered and not acknowledged. Used in the loop only."""

    def __init__(self, address: str) -> None:
        """Empty, of the participant of this address."""
        self._address = address
        self._waiting: dict[int, Delivery] = {}
        self._receipts: dict[int, list[tuple[Connection, str]]] = {}
        self._taken = 0
        self._ended = False
        self._changed = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()

    async def arrived(self, connection: Connection, message: Msg) -> None:
        """Keep a message in memory; a copy of one that was acknowledged is acknowledged again."""
        stated = (message.headers or {}).get(naming.NUMBER, "")
        if not _NUMBER.fullmatch(stated):
            return
        number = int(stated)
        if number <= self._taken:
            self._acknowledge(connection, number, message.reply)
            return
        if number not in self._waiting:
            try:
                self._waiting[number] = Delivery(number, await asyncio.to_thread(unpack, message.data, message.headers))
            except MessageError:
                self._waiting[number] = Delivery(number, b"")  # whoever reads it says that it is no message
        self._receipts.setdefault(number, []).append((connection, message.reply))
        self._changed.set()

    async def wait(self, connection: Connection, seconds: float) -> list[Delivery]:
        """What waits, once there is something; nothing when that takes too long, the connection breaks, or this has ended."""
        lost = asyncio.ensure_future(connection.lost.wait())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._waiting and not self._ended and not lost.done():
                    self._changed.clear()
                    changed = asyncio.ensure_future(self._changed.wait())
                    try:
                        await asyncio.wait({changed, lost}, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        changed.cancel()
        lost.cancel()
        return [] if self._ended else [self._waiting[number] for number in sorted(self._waiting)]

    async def take(self, number: int) -> None:
        """Hold everything up to a number no longer."""
        self._taken = max(self._taken, number)
        for taken in sorted(one for one in self._waiting if one <= number):
            del self._waiting[taken]
            for connection, receipt in self._receipts.pop(taken):
                self._acknowledge(connection, taken, receipt)

    async def end(self) -> None:
        """Let nobody wait any more, and wait until the relay knows what was taken, if it is there."""
        self._ended = True
        self._changed.set()
        if self._telling:
            await asyncio.wait(self._telling, timeout=_CONFIRM_SECONDS)

    def _acknowledge(self, connection: Connection, number: int, receipt: str) -> None:
        task = asyncio.get_running_loop().create_task(self._tell(connection, f"{number} {receipt}".encode("ascii")))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, connection: Connection, data: bytes) -> None:
        if connection.is_open:
            with contextlib.suppress(*BROKEN):  # it comes again
                await connection.confirmed(naming.subject("taken", self._address), data, _CONFIRM_SECONDS)
