"""A nats-server on this machine, for the demo, the benchmarks and the tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import psutil

from deltaml_core.errors import NodeError
from deltaml_core.ports import free_port
from deltaml_core.transport.http.server import Certificate
from deltaml_core.transport.nats.configuration import server_configuration
from deltaml_core.transport.nats.keys import BrokerKeys

_START_SECONDS = 20.0
_LOOK_SECONDS = 0.01


class NatsServer:
    """A broker on the loopback.

    Attributes:
        url: where it is reached.
    """

    def __init__(self, keys: BrokerKeys, folder: Path, certificate: Certificate | None = None) -> None:
        """Write its configuration; `start` begins.

        Args:
            keys: of its aggregator.
            folder: for its configuration, log and streams.
            certificate: for TLS.

        Raises:
            NodeError: nats-server is not installed.
        """
        program = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin:/usr/local/bin")
        if program is None:
            raise NodeError("nats-server is not installed: apt-get install nats-server, or see docs/deploy.md")
        self._port = free_port()
        self.url = f"{'tls' if certificate else 'nats'}://127.0.0.1:{self._port}"
        self._log = folder / "nats.log"
        self._command = [program, "-c", str(folder / "nats.conf")]
        listen = f"127.0.0.1:{self._port}"
        text = server_configuration(keys, "local", listen=listen, store=folder / "streams", maximum_store="4GB", certificate=certificate)
        (folder / "nats.conf").write_text(text, encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Run it, and return when it answers.

        Raises:
            NodeError: it does not; says what its log says.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NodeError(f"nats-server does not start: {self._log.read_text(encoding='utf-8', errors='replace')[-500:]}")
            time.sleep(_LOOK_SECONDS)

    @property
    def memory_bytes(self) -> int:
        """What it holds in memory; 0 while it does not run."""
        return psutil.Process(self._process.pid).memory_info().rss if self._process is not None else 0

    def kill(self) -> None:
        """End it at once, as kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as its service manager would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False
