"""The one event loop of this process in which all its NATS connections live, in a thread of its own.

nats-py is asynchronous and nodes are threads: what a thread wants done goes to the loop, and the thread waits for it. The loop is made
on first use and lasts as long as the process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The loop; never closed."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="nats", daemon=True).start()
    return made


def spawn(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Begin something in the loop, from another thread."""
    return asyncio.run_coroutine_threadsafe(work, loop())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Have something done in the loop, from another thread, and wait for it; raises what it raises."""
    return spawn(work).result()
