"""Fills pools of random factors while a node has nothing else to do.

One thread a node. It makes one factor after the other, each in well under a millisecond at an owner, as long as every line of the
node rests: nothing that came is being handled, and nothing that was said is still to be sent. Then it sleeps until it is told to look
again. What is handled meanwhile waits for the factor under way at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from deltaml_core.schemes.pool import ZeroPool


class Filler:
    """The thread and the pools it fills."""

    def __init__(self, resting: Callable[[], bool], fail: Callable[[BaseException], None]) -> None:
        """No pool yet, so no thread.

        Args:
            resting: whether the node has nothing to handle and nothing to send.
            fail: told of an error that ends the thread.
        """
        self._resting, self._fail = resting, fail
        self._pools: dict[str, ZeroPool] = {}
        self._look = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, request: str, pool: ZeroPool | None) -> None:
        """Fill a training's pool from now on; None for a scheme that needs none."""
        if pool is None or not pool.size:
            return
        self._pools[request] = pool
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="fills pools", daemon=True)
            self._thread.start()
        self.look()

    def remove(self, request: str) -> None:
        """A training needs no more factors; those that lie there are forgotten."""
        if (pool := self._pools.pop(request, None)) is not None:
            pool.forget()

    def look(self) -> None:
        """A line of the node may rest now."""
        self._look.set()

    def close(self) -> None:
        """End the thread, and wait until it has ended."""
        self._closed = True
        self.look()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closed:
                self._look.wait()
                self._look.clear()
                for pool in tuple(self._pools.values()):
                    self._fill(pool)
        except BaseException as error:  # the node ends with it: see `Node.run`
            self._fail(error)
            raise

    def _fill(self, pool: ZeroPool) -> None:
        while not self._closed and self._resting() and pool.make_one():
            time.sleep(0)  # lets go of the interpreter: whoever waits for it need not wait for the next switch, up to 5 ms away
