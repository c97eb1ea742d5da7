"""The parties of an experiment as processes of this machine: who runs them all hides nothing from itself, but all is computed as apart."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from deltaml_core.errors import ComputingPartyError
from deltaml_core.extras import require
from deltaml_core.ports import free_port
from deltaml_core.schemes.integers import IntegerKeyring, IntegerVectors
from deltaml_core.schemes.mpc.client import TOKEN_VARIABLE, Parties, reach

_GRACE_SECONDS = 5.0
_LAST_WORDS = 600


class LocalParties:
    """The processes, and what they say.

    Attributes:
        processes: in the parties' order.
        addresses: where each is reached.
    """

    def __init__(self, parties: int, depth: int, token: str) -> None:
        """Start them; they listen on the loopback interface."""
        self.addresses = [f"127.0.0.1:{free_port()}" for _ in range(parties)]
        among = ",".join(f"127.0.0.1:{free_port()}" for _ in range(parties))
        root = str(Path(__file__).parents[3])
        environment = os.environ | {TOKEN_VARIABLE: token, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        self.processes: list[subprocess.Popen[bytes]] = []
        self._said: list[IO[bytes]] = []
        for index, address in enumerate(self.addresses):
            said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
            command = [sys.executable, "-m", "deltaml_core.schemes.mpc.party", "--index", str(index), "--depth", str(depth)]
            command += ["--control", address, "--parties", among]
            self._said.append(said)
            self.processes.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment)
            )

    @property
    def all_alive(self) -> bool:
        """Whether none has ended."""
        return all(process.poll() is None for process in self.processes)

    def last_words(self, party: int) -> str:
        """The end of what a party said on standard output and error."""
        said = self._said[party]
        said.seek(0, os.SEEK_END)
        said.seek(max(0, said.tell() - _LAST_WORDS))
        return said.read().decode(errors="replace").strip()

    def all_last_words(self) -> str:
        """Those of the parties that have ended."""
        return "; ".join(
            f"party {index} ended with code {process.returncode}: {self.last_words(index)}"
            for index, process in enumerate(self.processes)
            if process.poll() is not None
        )

    def end(self, grace: float = 0.0) -> None:
        """End and reap all of them.

        Args:
            grace: seconds that each may take to end by itself, as they do when their client has gone.
        """
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        for said in self._said:
            said.close()


class LocalKeyring(IntegerKeyring):
    """Encrypted vectors whose parties end with it.

    Attributes:
        processes: the parties'.
    """

    def __init__(self, public: IntegerVectors, parties: Parties, local: LocalParties) -> None:
        """Of parties that are connected."""
        super().__init__(public, parties)
        self.processes: Sequence[subprocess.Popen[bytes]] = local.processes
        self._local = local

    def close(self) -> None:
        """Leave, and wait until the parties have ended."""
        super().close()
        self._local.end(_GRACE_SECONDS)


def local_parties(depth: int = 2, parties: int = 3) -> LocalKeyring:
    """Encrypted vectors on parties that are started on this machine; `close` ends them.

    Args:
        depth: products in a row, one of `FIELDS`.
        parties: how many, at least 3.

    Raises:
        MissingExtraError: MPyC is not installed.
        ComputingPartyError: a party could not be started; the message holds what it said.
    """
    if importlib.util.find_spec("mpyc") is None:  # not imported here: it reads this program's command line
        require("mpyc", "mpc")
    if parties < 3:
        raise ComputingPartyError(f"{parties} parties have no honest majority: start at least three")
    token = secrets.token_hex(16)
    local = LocalParties(parties, depth, token)
    with contextlib.ExitStack() as undo:
        undo.callback(local.end)
        connections = []
        for address in local.addresses:
            try:
                connections.append(undo.enter_context(contextlib.closing(reach(address, lambda: local.all_alive))))
            except ComputingPartyError as error:
                raise ComputingPartyError(f"{error}. {local.all_last_words()}") from error
        connected = Parties(connections, local.addresses, depth, token, local.last_words)
        keyring = LocalKeyring(IntegerVectors(connected, depth), connected, local)
        undo.pop_all()
    return keyring
