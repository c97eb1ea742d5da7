"""A local Ganache chain that lives exactly as long as the program that started it.

For development and demonstrations only: its blocks come when a transaction does, its clock can be moved, and one account
hands out ether. Nothing but this file knows about Ganache; everything else speaks JSON-RPC to whatever node there is.
"""

from __future__ import annotations

import json
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

import psutil
from web3 import Web3
from web3.types import RPCEndpoint, TxParams, Wei

from deltaml_core.chain.reverts import translated
from deltaml_core.errors import ChainError, LocalChainError, PortTakenError
from deltaml_core.ports import free_port

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
LAUNCHER = CONTRACTS / "tools" / "ganache.mjs"
DEFAULT_CHAIN_ID = 1337
_ONE_AT_A_TIME = {"asyncRequestProcessing": False}
"""Ganache 7.9.2 never answers an `eth_estimateGas` that meets a block being mined."""

START_SECONDS = 60
STOP_SECONDS = 10


def find_node() -> str:
    """Path of the `node` program: on PATH, else beside this Python.

    Raises:
        LocalChainError: there is none.
    """
    beside = shutil.which("node", path=str(Path(sys.executable).parent))
    found = shutil.which("node") or beside
    if found is None:
        raise LocalChainError("Node.js was not found: run `make setup`, or put a Node 18-22 on PATH")
    return found


class GanacheProcess:
    """Runs Ganache; use it as a context manager, or call `start` and `stop`.

    The child reads a pipe that this process holds open, and ends when the pipe closes: also when this process is killed.

    Attributes:
        restarts: how often it was started anew.

    Args:
        port: TCP port on the loopback interface; None for a free one.
        chain_id: chain id and network id.
        db_path: directory that keeps the chain between runs; None keeps it in memory. It must not be used twice at a time.

    Raises:
        PortTakenError: from `start`, another program listens on the port.
        LocalChainError: from `start`, Node or Ganache is missing, or Ganache ended; says what it printed last.
    """

    def __init__(self, port: int | None = None, *, chain_id: int = DEFAULT_CHAIN_ID, db_path: Path | None = None) -> None:
        self._port = port
        self._chain_id = chain_id
        self._db_path = db_path
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.restarts = 0
        self._web3 = Web3()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the chain answers JSON-RPC."""
        if self._process is None:
            raise LocalChainError("the local chain is not running: call start() first")
        return f"http://127.0.0.1:{self._port}"

    @property
    def process_id(self) -> int:
        """Process id of the running chain."""
        if self._process is None:
            raise LocalChainError("the local chain is not running: call start() first")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the chain runs: it may have been killed."""
        return self._process is not None and self._process.poll() is None

    def restart(self) -> None:
        """Start the chain again on its port, after it was killed; with a `db_path` it has its blocks."""
        self.stop()
        self.start()
        self.restarts += 1

    def usage(self) -> tuple[float, int]:
        """Processor seconds and bytes of memory that the running chain has used."""
        process = psutil.Process(self.process_id)
        times = process.cpu_times()
        return round(times.user + times.system, 2), process.memory_info().rss

    def start(self) -> None:
        """Start the chain and return when it answers."""
        if self._process is not None:
            raise LocalChainError("the local chain is running already")
        if not (CONTRACTS / "node_modules" / "ganache").is_dir():
            raise LocalChainError("Ganache is not installed: run `make setup`, or `npm ci --prefix contracts`")
        options, node = self._options(), find_node()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        self._process = subprocess.Popen(
            [node, str(LAUNCHER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=CONTRACTS
        )
        try:
            ready = self._first_line(json.dumps(options))
        except BaseException:
            self.stop()
            raise
        self._port = int(ready["port"])
        self._web3 = Web3(Web3.HTTPProvider(self.url))

    def stop(self) -> None:
        """End the chain; harmless when it has ended already."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, self._log):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue  # closing flushes what a child that died early never read

    def fund(self, address: str, amount_wei: int) -> None:
        """Give an account ether from nowhere. Development chains only.

        Args:
            address: who receives it.
            amount_wei: how much, in wei.
        """
        hand_out(self._web3, address, amount_wei)

    def mine(self, blocks: int = 1) -> None:
        """Add empty blocks. Development chains only."""
        self._request("evm_mine", [{"blocks": blocks}])

    def increase_time(self, seconds: int) -> None:
        """Move the chain's clock forward and add a block that shows it. Development chains only."""
        self._request("evm_increaseTime", [seconds])
        self.mine()

    def _request(self, method: str, parameters: list[Any]) -> Any:
        response = self._web3.provider.make_request(RPCEndpoint(method), parameters)
        if "error" in response:
            raise ChainError(f"{method}: {response['error']}")
        return response["result"]

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "port": self._port or free_port(),
            "chain": {"chainId": self._chain_id, "networkId": self._chain_id, "hardfork": "shanghai", **_ONE_AT_A_TIME},
            "wallet": {"totalAccounts": 1, "defaultBalance": 1_000_000, "seed": secrets.token_hex(32)},
            "logging": {"quiet": True},
        }
        if self._db_path is not None:
            self._db_path.mkdir(parents=True, exist_ok=True)
            options["database"] = {"dbPath": str((self._db_path / "chain").resolve())}
            options["wallet"]["seed"] = _kept_seed(self._db_path / "faucet-seed")
        return options

    def _first_line(self, line_in: str) -> dict[str, Any]:
        process = cast("subprocess.Popen[bytes]", self._process)
        stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        deadline = time.monotonic() + START_SECONDS
        try:
            stdin.write(line_in.encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(deadline - time.monotonic()):
                raise LocalChainError(f"Ganache did not answer within {START_SECONDS} s; it said: {self._said() or 'nothing'}")
        line = stdout.readline()
        if not line:
            process.wait(STOP_SECONDS)
            raise self._death()
        ready: dict[str, Any] = json.loads(line)
        return ready

    def _said(self) -> str:
        log = cast("IO[bytes]", self._log)
        log.seek(0)
        return log.read()[-2000:].decode(errors="replace").strip()

    def _death(self) -> ChainError:
        said = self._said()
        if "EADDRINUSE" in said:
            return PortTakenError(f"port {self._port} is taken by another program: stop that program, or choose another port")
        return LocalChainError(f"Ganache ended while starting; it said: {said or 'nothing'}")


def hands_out_ether(web3: Web3) -> bool:
    """Whether a node has a rich account of its own, as development chains do."""
    with translated(()):
        return bool(web3.eth.accounts)


def hand_out(web3: Web3, address: str, amount_wei: int) -> None:
    """Have a development chain give an account ether.

    Raises:
        ChainError: the node has no account of its own, or does not answer.
    """
    with translated(()):
        accounts = web3.eth.accounts
        if not accounts:
            raise ChainError("this chain hands out no ether: send some to the wallet from elsewhere")
        transaction: TxParams = {"from": accounts[0], "to": Web3.to_checksum_address(address), "value": Wei(amount_wei)}
        receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction(transaction))
    if receipt["status"] != 1:
        raise ChainError(f"handing {amount_wei} wei to {address} failed")


def _kept_seed(path: Path) -> str:
    """The seed of a stored chain's funding account, made on first use; a stored chain knows no other rich account."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text()
