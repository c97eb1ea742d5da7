"""One request from posting to withdrawal among processes that die and are started again."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self

from chaos_market import NODES, Place, model_of
from kill_points import killed

import deltaml_core
from deltaml_core import cli
from deltaml_core.chain import GanacheProcess, Marketplace, Status, connect
from deltaml_core.errors import ChainError

DEADLINE_SECONDS = 300
_LOOK_SECONDS = 0.05
_LOG_TAIL = 3000
_STOPPED = (0, cli.EXIT_INTERRUPTED, -signal.SIGTERM)
"""How a node ends that was asked to: at work, while it starts, and before it has begun to listen to signals."""


class Unfinished(AssertionError):
    """A run did not come to its end, or a node ended that nobody killed; with what all of them said last."""


class Nursery:
    """The process that forks nodes; ends with all of them."""

    def __init__(self) -> None:
        """Start it."""
        program = Path(__file__).with_name("nursery.py")
        same_package = {**os.environ, "PYTHONPATH": str(Path(deltaml_core.__file__).parents[1])}
        self._process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=same_package
        )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def start(self, **order: Any) -> None:
        """Have a node started."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def news(self, seconds: float) -> list[dict[str, Any]]:
        """What was started and what has ended, once there is any, or after so many seconds."""
        assert self._process.stdout is not None
        if select.select([self._process.stdout], [], [], seconds)[0]:
            self._unread += os.read(self._process.stdout.fileno(), 1 << 16)
        *lines, self._unread = self._unread.split(b"\n")
        return [json.loads(line) for line in lines]


class Run:
    """A market at work: entering plays it to its end; the chain lives until the block is left.

    Attributes:
        place: where.
        chain: its Ganache; alive after `play`.
        marketplace: its contract.
        restarts: how often a node was started again.
    """

    def __init__(self, place: Place, nursery: Nursery, fatal: Mapping[str, Collection[str]], deadline: float = DEADLINE_SECONDS) -> None:
        """Nothing runs yet.

        Args:
            place: a copy of a prepared market.
            nursery: starts the nodes.
            fatal: the points at which each node is killed, or kills the chain.
            deadline: seconds that the run may take.
        """
        self.place = place
        self.restarts = 0
        self._nursery = nursery
        self._fatal = {node: sorted(fatal.get(node, ())) for node in NODES}
        self._port = free_port()
        self.chain = GanacheProcess(free_port(), db_path=place.path / "chain")
        self._chain_number = place.path / "chain.pid"
        self._processes: dict[str, int | None] = {}
        self._ended: list[tuple[str, int]] = []
        self._deadline = deadline

    def __enter__(self) -> Self:
        try:
            self.play()
        except BaseException:
            self.chain.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.chain.stop()

    def play(self) -> None:
        """Until the model is bought, everybody is paid and every node has stopped.

        Raises:
            Unfinished: it does not come to that.
        """
        self._ends = time.monotonic() + self._deadline
        self.chain.start()
        self._note_chain()
        self.marketplace = Marketplace(connect(self.chain.url), self.place.contract)
        addresses = {node: self.place.wallet(node).address for node in NODES}
        try:
            for node in NODES:
                self._start(node)
            while not self._is_over(addresses):
                self._revive()
            self._stop()
        finally:
            for process in self._processes.values():
                if process is not None:
                    _signal(process, signal.SIGKILL)
            while any(self._processes.values()):
                self._hear()

    def killed(self) -> set[tuple[str, str]]:
        """(node, point) of all that was killed."""
        return {(node, point) for node in NODES for point in killed(self.place.path / node)}

    def _is_over(self, addresses: Mapping[str, str]) -> bool:
        if model_of(self.place) is None or not self.place.home("aggregator").transcript(1).exists():
            return False
        try:
            settled = self.marketplace.request(1).status is Status.SETTLED
            return settled and not any(self.marketplace.credit_wei(address) for address in addresses.values())
        except ChainError:
            return False

    def _stop(self) -> None:
        """Ask every node to stop; one that is killed while it does is started once more, and asked again."""
        asked: set[int] = set()
        while any(self._processes.values()):
            for process in self._processes.values():
                if process is not None and process not in asked:
                    _signal(process, signal.SIGTERM)
                    asked.add(process)
            for node, code in self._hear():
                if code not in _STOPPED:
                    self._expect_kill(node, code)
                    self._start(node)
            self._revive_chain()
            self._check_time()

    def _revive(self) -> None:
        for node, code in self._hear():
            self._expect_kill(node, code)
            self._start(node)
        self._revive_chain()
        self._check_time()

    def _revive_chain(self) -> None:
        if not self.chain.alive:
            self.chain.restart()
            self._note_chain()

    def _note_chain(self) -> None:
        """For whoever is to kill it."""
        self._chain_number.write_text(str(self.chain.process_id))

    def _start(self, node: str) -> None:
        folder = self.place.path / node
        self._nursery.start(
            name=node,
            folder=str(folder),
            arguments=self.place.arguments(node, self.chain.url, self._port),
            fatal=self._fatal[node],
            chain=str(self._chain_number),
            log=str(folder / "terminal.log"),
            key=self.place.key,
        )
        self._processes[node] = 0
        while self._processes[node] == 0:
            self._listen()
            self._check_time()

    def _hear(self) -> list[tuple[str, int]]:
        """(node, exit code) of those that have ended."""
        self._listen()
        ended, self._ended = self._ended, []
        return ended

    def _listen(self) -> None:
        for news in self._nursery.news(_LOOK_SECONDS):
            if "process" in news:
                self._processes[news["name"]] = news["process"]
            else:
                self._processes[news["name"]] = None
                self._ended.append((news["name"], news["code"]))

    def _expect_kill(self, node: str, code: int) -> None:
        if code != -signal.SIGKILL:
            raise self._unfinished(f"{node} ended by itself with {code}")
        self.restarts += 1

    def _check_time(self) -> None:
        if time.monotonic() > self._ends:
            raise self._unfinished(f"not finished after {self._deadline} s")

    def _unfinished(self, why: str) -> Unfinished:
        tails = [f"--- {node}\n{_tail(self.place.path / node / 'terminal.log')}" for node in NODES]
        return Unfinished("\n".join([f"{why}; killed at {sorted(self.killed())}", *tails]))


def _signal(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just been killed: the nursery will say so
        os.kill(process, number)


def free_port() -> int:
    """A port below those that outgoing connections get, so that it is still free after a restart."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-_LOG_TAIL:] if path.exists() else ""
