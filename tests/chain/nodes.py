"""The two chains that every scenario runs on: Ganache (shanghai) and Anvil with the newest hardfork it offers."""

from __future__ import annotations

import collections
import re
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from web3 import Web3
from web3.types import RPCEndpoint

from deltaml_core.chain.ganache import CONTRACTS, GanacheProcess

NEWEST_HARDFORK = "osaka"
# Anvil ends when this process does: the shell waits for the end of its standard input, then ends its child.
ANVIL_SCRIPT = '"$0" "$@" & child=$!; read -r line; kill $child; wait $child'


class DevNode(Protocol):
    """A development chain whose blocks, clock and balances a test may set."""

    @property
    def url(self) -> str: ...

    def fund(self, address: str, amount_wei: int) -> None: ...

    def mine(self, blocks: int = 1) -> None: ...

    def increase_time(self, seconds: int) -> None: ...


class AnvilProcess:
    """Anvil on a free port, with each chain's limits as they are."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.url = ""

    def __enter__(self) -> Self:
        program = next((CONTRACTS / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*"))
        arguments = [str(program), "--port", "0", "--hardfork", NEWEST_HARDFORK, "--enable-tx-gas-limit", "--accounts", "1", *self._options]
        self._process = subprocess.Popen(
            ["sh", "-c", ANVIL_SCRIPT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        said = ""
        for line in self._process.stdout:
            said += line
            found = re.search(r"Listening on ([0-9.]+:[0-9]+)", line)
            if found:
                self.url = f"http://{found[1]}"
                self._web3 = Web3(Web3.HTTPProvider(self.url))
                # What it goes on saying must be read, or it stops once the pipe is full.
                self._reader = threading.Thread(target=collections.deque, args=(self._process.stdout, 0), daemon=True)
                self._reader.start()
                return self
        raise AssertionError(f"Anvil did not start: {said}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def fund(self, address: str, amount_wei: int) -> None:
        web3_balance = self._web3.eth.get_balance(Web3.to_checksum_address(address))
        self._ask("anvil_setBalance", [address, hex(web3_balance + amount_wei)])

    def mine(self, blocks: int = 1) -> None:
        self._ask("anvil_mine", [hex(blocks)])

    def increase_time(self, seconds: int) -> None:
        self._ask("evm_increaseTime", [seconds])
        self.mine()

    def _ask(self, method: str, parameters: list[Any]) -> None:
        response = self._web3.provider.make_request(RPCEndpoint(method), parameters)
        assert "error" not in response, response


def start_node(name: str, folder: Path | None = None) -> GanacheProcess | AnvilProcess:
    """The chain of this name, to be entered as a context."""
    return GanacheProcess(db_path=folder) if name == "ganache" else AnvilProcess()
