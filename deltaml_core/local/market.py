"""A whole market as processes of one machine: Ganache, an aggregator, a buyer and the paper's five owners.

Every participant has a home of its own below the market's folder. All their wallets open with one password, which is made on first use
and kept there for this user only: the processes read it, and a person who plays the roles types it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deltaml_core.chain.connection import URL_VARIABLE, connect
from deltaml_core.chain.events import DealBlockFixed, Event
from deltaml_core.chain.ganache import DEFAULT_CHAIN_ID, GanacheProcess
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.stream import EventStream, Reorganised
from deltaml_core.chain.types import Role
from deltaml_core.chain.wallet import Wallet
from deltaml_core.errors import ChainError, NodeError
from deltaml_core.local.supervisor import Supervisor
from deltaml_core.node.home import Home
from deltaml_core.node.hosting import CONTRACT_VARIABLE
from deltaml_core.ports import free_port
from deltaml_core.store.book import Book
from deltaml_core.store.database import Database

DATA = Path(__file__).resolve().parents[2] / "data" / "diabetes"
ETHER = 10**18
GAS_MONEY_WEI = 10 * ETHER
"""What every participant of a local market begins with."""

BUYER, AGGREGATOR = "buyer", "aggregator"
_KEYSTORE_ITERATIONS = 2**12
"""The password is random, so guessing it is hopeless whatever a guess costs."""
_SILENCE_SECONDS = 60.0
"""A chain whose process lives may be silent for so long."""
_DEAL_BLOCKS = 6  # one more than the contract's delay; a public chain mines them by itself

Say = Callable[[str], None]


@dataclass
class LocalMarket:
    """A market; `open_market` makes one.

    Attributes:
        folder: holds homes, chain and password.
        ganache: the chain; started anew when it is killed.
        marketplace: the contract.
        supervisor: of the nodes.
        say: told what happens to the chain's process.
        homes, addresses: of every participant, by name.
    """

    folder: Path
    ganache: GanacheProcess
    marketplace: Marketplace
    supervisor: Supervisor
    say: Say
    homes: dict[str, Home] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the homes that are not there yet."""
        self._stream = EventStream(self.marketplace)
        self._answered = time.monotonic()
        for name in (AGGREGATOR, BUYER, *self.owners):
            home = Home.at(self.folder / "nodes" / name)
            new = not home.keystore.exists()
            self.addresses[name] = home.wallet(self.password, iterations=_KEYSTORE_ITERATIONS).address
            if new:
                self.ganache.fund(self.addresses[name], GAS_MONEY_WEI)
                self._claim(home, _role_of(name), self.addresses[name])
            self.homes[name] = home

    @property
    def owners(self) -> list[str]:
        """The owners' names."""
        return [f"owner-{number}" for number in range(1, len(shards()) + 1)]

    @property
    def password(self) -> str:
        """Opens every wallet of this market."""
        return self.password_file.read_text(encoding="utf-8").strip()

    @property
    def password_file(self) -> Path:
        """Where the password is kept."""
        return self.folder / "password"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this market."""
        stated = {URL_VARIABLE: self.ganache.url, CONTRACT_VARIABLE: self.marketplace.address, "DELTAML_HOMES": str(self.folder / "nodes")}
        return {**os.environ, **stated}

    def start(self, *, aggregator: Sequence[str] = (), owner: Sequence[str] = (), buyer: Sequence[str] = ()) -> None:
        """Start every node, with these options of its command beside the usual ones."""
        self._start(AGGREGATOR, AGGREGATOR, "--port", str(self._port()), *aggregator)
        for name, path in zip(self.owners, shards(), strict=True):
            self._start(name, "owner", "--data", str(path), "--aggregator", self.addresses[AGGREGATOR], *owner)
        self._start(BUYER, BUYER, *buyer)

    def tend(self) -> list[Event]:
        """Look after everything, to be called again and again: start anew what was killed, mine the blocks that a deal waits for.

        Returns:
            What happened on the contract since the last call.

        Raises:
            NodeError: a node gave up.
            ChainError: the chain does not answer for a minute though its process lives.
        """
        self.supervisor.watch()
        if not self.ganache.alive:
            self.say("ganache was killed, starting it again")
            self.ganache.restart()
        try:
            fresh = [event for event in self._stream.new() if not isinstance(event, Reorganised)]
        except ChainError:  # it was killed just now, say, and will be found dead by the next look
            if time.monotonic() - self._answered > _SILENCE_SECONDS:
                raise
            return []
        self._answered = time.monotonic()
        if any(isinstance(event, DealBlockFixed) for event in fresh):
            self.ganache.mine(_DEAL_BLOCKS)
        return fresh

    def _start(self, name: str, command: str, *options: str) -> None:
        home = str(self.homes[name].path)
        common = ("--home", home, "--password-file", str(self.password_file), "--name", name, "--wait-for-chain", "--until-input-ends")
        self.supervisor.start(name, [sys.executable, "-m", "deltaml_core.cli", command, *common, *options], self.environment)

    def _port(self) -> int:
        """The aggregator's, the same in every life of the market: the chain tells it to everybody."""
        file = self.folder / "aggregator-port"
        if not file.exists():
            file.write_text(str(free_port()), encoding="utf-8")
        return int(file.read_text(encoding="utf-8"))

    def _claim(self, home: Home, role: Role, address: str) -> None:
        database = Database(home.store)
        try:
            Book(database).claim(address=address, role=role.name, chain=DEFAULT_CHAIN_ID, contract=self.marketplace.address)
        finally:
            database.close()


@contextmanager
def open_market(
    folder: Path, say_of: Callable[[str, str], None], say: Say, *, port: int | None = None, anew: bool = False
) -> Iterator[LocalMarket]:
    """A market in a folder, as long as the `with` block; nothing of it runs afterwards.

    Args:
        folder: what an earlier market left there goes on.
        say_of: told the name of a node and a line it said.
        say: told what is being done.
        port: of the chain; None for a free one.
        anew: remove what an earlier market left.

    Raises:
        NodeError: another market runs there.
        ChainError: the chain cannot be started.
    """
    folder = folder.resolve()  # kernels, which read it from their environment, work elsewhere
    with _alone_in(folder, anew=anew):
        _make_password(folder / "password")
        say("Starting a local Ganache")
        with GanacheProcess(port, db_path=folder / "chain") as ganache, Supervisor(say_of) as supervisor:
            (folder / "chain-url").write_text(ganache.url + "\n", encoding="utf-8")
            yield LocalMarket(folder, ganache, _contract(folder / "contract", ganache, say), supervisor, say)


def shards() -> list[Path]:
    """The paper's data, a file an owner."""
    return sorted(DATA.glob("owner_*.csv"))


def _contract(file: Path, ganache: GanacheProcess, say: Say) -> Marketplace:
    """The market's contract, deployed on first use."""
    web3 = connect(ganache.url, DEFAULT_CHAIN_ID)
    if file.exists():
        return Marketplace(web3, file.read_text(encoding="utf-8").strip())
    say("Deploying the marketplace contract")
    deployer = Wallet.create()
    ganache.fund(deployer.address, ETHER)
    marketplace = Marketplace.deploy(web3, deployer)
    file.write_text(marketplace.address + "\n", encoding="utf-8")
    return marketplace


@contextmanager
def _alone_in(folder: Path, *, anew: bool) -> Iterator[None]:
    """Keep other markets out of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NodeError(f"another market runs in {folder}: stop it first, or choose another folder") from None
        if anew:
            for old in ("nodes", "chain", "logs"):
                shutil.rmtree(folder / old, ignore_errors=True)
            for file in ("contract", "aggregator-port", "password"):
                (folder / file).unlink(missing_ok=True)
        yield


def _make_password(path: Path) -> None:
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(12))


def _role_of(name: str) -> Role:
    return {AGGREGATOR: Role.FEDERATED_AGGREGATOR, BUYER: Role.MODEL_BUYER}.get(name, Role.DATA_OWNER)
