"""The points of a node's life at which it, or the chain, can be killed: around each store write, send and transaction.

`watch` puts them into the product's own methods, in a process that is to be killed; the product knows nothing of it. A point is named
by when, what, and how often that has happened in all lives of this node: "after Mail.receive 3". Each hit is written to a file before
anything follows from it, so that the count goes on when the node is started again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection
from web3.eth import Eth

from deltaml_core.store.database import Database
from deltaml_core.transport.http.client import HttpTransport

CHAIN = "chain: "
"""Before a point's name: there the chain is killed, and the node lives on."""

_BY_THE_CLOCK = ("Lease._renew",)  # not a step of a round


class Watch:
    """Counts the points that a node passes, and kills where it was told to."""

    def __init__(self, folder: Path, fatal: Collection[str], chain: Path) -> None:
        """Go on counting.

        Args:
            folder: keeps the hits, and which of the fatal ones have killed.
            fatal: names of points, `CHAIN` before some of them; each kills once.
            chain: a file with the number of the chain's process.
        """
        self._hits, self._killed, self._chain = folder / "hits", folder / "killed", chain
        self._counts = Counter(name.rsplit(" ", 1)[0] for name in hits(folder))
        self._fatal = set(fatal) - set(killed(folder))
        self._lock = threading.Lock()

    def hit(self, what: str) -> None:
        """Something happens now."""
        with self._lock:
            self._counts[what] += 1
            name = f"{what} {self._counts[what]}"
            _append(self._hits, name)
            if CHAIN + name in self._fatal and self._kill_chain():
                _append(self._killed, CHAIN + name)
            if name in self._fatal:
                _append(self._killed, name)
                os.kill(os.getpid(), signal.SIGKILL)

    def _kill_chain(self) -> bool:
        """Whether it was alive; when this returns it is not."""
        try:
            process = psutil.Process(int(self._chain.read_text()))
            process.kill()
            process.wait(30)  # until whoever started it has noticed
        except psutil.NoSuchProcess:
            return False
        return True


def watch(watcher: Watch) -> None:
    """Have this process pass its points."""
    for name in ("writing", "noting"):
        setattr(Database, name, _watched(watcher, getattr(Database, name)))
    _around(watcher, HttpTransport, "send")
    _around(watcher, HttpTransport, "acknowledge")
    _around(watcher, Eth, "send_raw_transaction")


def hits(folder: Path) -> list[str]:
    """The points that a node has passed, in order."""
    return _lines(folder / "hits")


def killed(folder: Path) -> list[str]:
    """The points at which it was killed, or killed the chain."""
    return _lines(folder / "killed")


def _watched(watcher: Watch, writing: Callable[[Database], AbstractContextManager[Connection]]) -> Any:
    @contextlib.contextmanager
    def watched_writing(database: Database) -> Iterator[Connection]:
        what = sys._getframe(2).f_code.co_qualname
        if what in _BY_THE_CLOCK:
            with writing(database) as connection:
                yield connection
            return
        watcher.hit(f"before {what}")
        with writing(database) as connection:
            yield connection
        watcher.hit(f"after {what}")

    return watched_writing


def _around(watcher: Watch, owner: type, name: str) -> None:
    method: Callable[..., Any] = getattr(owner, name)

    def watched(self: Any, *arguments: Any) -> Any:
        watcher.hit(f"before {owner.__name__}.{name}")
        result = method(self, *arguments)
        watcher.hit(f"after {owner.__name__}.{name}")
        return result

    setattr(owner, name, watched)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _append(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")
