"""Work that would block the kernel, done beside it; and the one poller of a page.

Whatever goes wrong reaches the page as a sentence and the log as a traceback.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from deltaml_core.errors import DeltaMLError

T = TypeVar("T")
OnTrouble = Callable[[str], None]

log = logging.getLogger(__name__)
_running: set[asyncio.Task[None]] = set()


def do(work: Callable[[], T], then: Callable[[T], None], trouble: OnTrouble) -> None:
    """Call `work` in a thread, then hand its result to `then` in the kernel's own.

    Args:
        work: what may take long: it asks the chain, opens a keystore, reads a store.
        then: shows the result.
        trouble: told in a sentence what went wrong, in `work` or in `then`.
    """
    _start(_do(work, then, trouble))


async def _do(work: Callable[[], T], then: Callable[[T], None], trouble: OnTrouble) -> None:
    try:
        then(await asyncio.to_thread(work))
    except Exception as error:  # a page's outermost frame: nobody above could tell the person
        trouble(explained(error))


def explained(error: Exception) -> str:
    """A sentence for whoever looks at the page; what nobody expected goes to the log with its traceback."""
    if isinstance(error, DeltaMLError):
        return str(error)
    log.error("not expected", exc_info=error)
    return "Something went wrong that nobody expected; the log has the details. What you entered is not lost."


class Poller:
    """Looks again and again, and shows what it finds when that has changed."""

    def __init__(self, look: Callable[[], T], show: Callable[[T], None], trouble: OnTrouble, *, seconds: float = 0.4) -> None:
        """What it is made of.

        Args:
            look: called in a thread; returns the same object while nothing has changed.
            show: called in the kernel's thread with what is new.
            trouble: told what went wrong, and the empty text when that is over.
            seconds: pause between two looks.
        """
        self._look: Callable[[], Any] = look
        self._show: Callable[[Any], None] = show
        self._trouble = trouble
        self._seconds = seconds
        self._shown: object = None
        self._troubled = False
        self._wake: asyncio.Event | None = None

    def start(self) -> None:
        """Begin; to be called where an event loop runs, as in a notebook's cell."""
        _start(self._run())

    def soon(self) -> None:
        """Look at once instead of after the pause."""
        if self._wake is not None:
            self._wake.set()

    async def _run(self) -> None:
        self._wake = asyncio.Event()
        while True:
            self._wake.clear()
            await self.turn()
            try:
                await asyncio.wait_for(self._wake.wait(), self._seconds)
            except TimeoutError:
                continue

    async def turn(self) -> None:
        """Look once."""
        try:
            found = await asyncio.to_thread(self._look)
            if found is not self._shown:
                self._show(found)
                self._shown = found
        except Exception as error:  # as in `_do`
            self._troubled = True
            self._trouble(explained(error))
            return
        if self._troubled:
            self._troubled = False
            self._trouble("")


def _start(coroutine: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(coroutine)
    _running.add(task)  # the loop itself keeps only weak references
    task.add_done_callback(_running.discard)
