"""The paper's market as it would be run for real: every participant a process of its own, talking HTTP and to the chain."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from deltaml_core import schemes
from deltaml_core.chain.connection import URL_VARIABLE, connect
from deltaml_core.chain.events import Cancelled, DealBlockFixed, Event, Failed, Settled
from deltaml_core.chain.ganache import DEFAULT_CHAIN_ID, GanacheProcess
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.result import check_key_length
from deltaml_core.chain.stream import EventStream, Reorganised
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo.display import LiveDisplay
from deltaml_core.demo.market import ETHER, OnEvent
from deltaml_core.demo.paper import DATA, GAS_MONEY_WEI, PAPER_VALIDATOR
from deltaml_core.demo.result import MarketResult, ProcessFigures, read_result
from deltaml_core.demo.supervisor import Supervisor
from deltaml_core.errors import ChainError, InsufficientFundsError, NodeError
from deltaml_core.node.home import Home
from deltaml_core.node.offer import Offer
from deltaml_core.schedule import schedule
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import warn_of
from deltaml_core.transcript import Transcript

BUYER, AGGREGATOR = "buyer", "aggregator"
_KEYSTORE_ITERATIONS = 2**12
"""The demo's passwords are random, so guessing them is hopeless whatever a guess costs."""
_DEAL_BLOCKS = 6  # one more than the contract's delay; a public chain mines them by itself
_LOOK_SECONDS = 0.2
_COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green")


@dataclass
class ProcessMarket:
    """Ganache, an aggregator, a buyer and the paper's five owners, each in a process and a home of its own.

    Attributes:
        folder: holds the homes and the chain's database; what an earlier demo left there is removed.
        ganache: the chain; started anew when it is killed.
        marketplace: the contract.
        supervisor: of the nodes.
        homes, addresses: of every node, by name.
        events: all of the contract's so far.
        on_event: told each of them as it is seen.
    """

    folder: Path
    ganache: GanacheProcess
    marketplace: Marketplace
    supervisor: Supervisor
    homes: dict[str, Home] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    on_event: OnEvent = lambda event: None

    def settle_in(self, offer_terms: TrainingTerms, escrow_wei: int, *, shuffle: bool) -> None:
        """Make the homes, wallets and the buyer's offer."""
        owners = [f"owner-{number}" for number in range(1, len(_data()) + 1)]
        for name in (AGGREGATOR, BUYER, *owners):
            home = Home.at(self.folder / "nodes" / name)
            descriptor = os.open(home.path / "password", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(password := secrets.token_urlsafe(24))
            self.addresses[name] = home.wallet(password, iterations=_KEYSTORE_ITERATIONS).address
            self.ganache.fund(self.addresses[name], GAS_MONEY_WEI)
            self.homes[name] = home
        offer = Offer(
            terms=offer_terms,
            aggregator=self.addresses[AGGREGATOR],
            escrow_wei=escrow_wei,
            minimum_owners=len(owners),
            maximum_owners=len(owners),
            validators=() if shuffle else (self.addresses[owners[PAPER_VALIDATOR]],),
        )
        offer.write(self.homes[BUYER].path / "offer.json")

    def start(self) -> None:
        """Start every node."""
        self._start(AGGREGATOR, AGGREGATOR, "--port", str(_free_port()), "--take-on", "all")
        for number, path in enumerate(_data(), start=1):
            self._start(f"owner-{number}", "owner", "--data", str(path), "--answer", "match", "--aggregator", self.addresses[AGGREGATOR])
        self._start(BUYER, BUYER, "--offer", str(self.homes[BUYER].path / "offer.json"), "--confirm")

    def watch(self, display: LiveDisplay) -> int:
        """Show what happens until the request has ended and nothing is left to do.

        Returns:
            The request's number.

        Raises:
            NodeError: a node gave up.
            ChainError: the request failed.
        """
        stream = EventStream(self.marketplace)
        while True:
            self.supervisor.watch()
            if not self.ganache.alive:
                display.say("ganache was killed, starting it again")
                self.ganache.restart()
            try:
                for event in stream.new():
                    if not isinstance(event, Reorganised):
                        self._happened(event, display)
                for settled in [event for event in self.events if isinstance(event, Settled)]:
                    if self._is_over(settled.id):
                        return settled.id
            except ChainError:
                if self.ganache.alive:
                    raise
            time.sleep(_LOOK_SECONDS)

    def _happened(self, event: Event, display: LiveDisplay) -> None:
        self.events.append(event)
        display.show(event)
        self.on_event(event)
        match event:
            case DealBlockFixed():
                self.ganache.mine(_DEAL_BLOCKS)
            case Cancelled() | Failed():
                raise ChainError(f"request {event.id} ended without a model: {event.refund_wei / ETHER:g} ether went back to the buyer")

    def _is_over(self, request_id: int) -> bool:
        kept = self.homes[BUYER].model(request_id).exists() and self.homes[AGGREGATOR].transcript(request_id).exists()
        return kept and not any(self.marketplace.credit_wei(address) for address in self.addresses.values())

    def result(self, request_id: int, started: float) -> MarketResult:
        """What it came to; the nodes have been stopped."""
        bought = json.loads(self.homes[BUYER].model(request_id).read_text(encoding="utf-8"))
        figures = self.supervisor.figures
        return read_result(
            self.marketplace,
            request_id,
            self.events,
            names={address: name for name, address in self.addresses.items()},
            rows={f"owner-{number}": _rows(path) for number, path in enumerate(_data(), start=1)},
            model=np.array([*bought["coefficients"], bought["intercept"]]),
            transcript=Transcript.load(self.homes[AGGREGATOR].transcript(request_id)),
            gas=self.marketplace.gas_of_all(),
            cpu_seconds=sum(one.cpu_seconds for one in figures.values()),
            wall_seconds=time.perf_counter() - started,
            processes={"ganache": ProcessFigures(self.ganache.process_id, self.ganache.restarts, *self.ganache.usage()), **figures},
        )

    def _start(self, name: str, command: str, *options: str) -> None:
        home = self.homes[name].path
        common = ("--home", str(home), "--password-file", str(home / "password"), "--name", name, "--wait-for-chain", "--until-input-ends")
        self.supervisor.start(name, [sys.executable, "-m", "deltaml_core.cli", command, *common, *options], self._environment())

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, URL_VARIABLE: self.ganache.url, "DELTAML_CONTRACT": self.marketplace.address}


def play_processes(
    console: Console,
    terms: TrainingTerms,
    escrow_wei: int,
    folder: Path,
    *,
    port: int | None = None,
    shuffle: bool = False,
    on_event: OnEvent = lambda event: None,
) -> MarketResult:
    """Play the paper's request with every role a process of its own.

    Args:
        console: where progress is shown, every node's lines under its name.
        terms: how to train.
        escrow_wei: what the buyer locks.
        folder: where homes and chain are kept.
        port: of the chain; None for a free one.
        shuffle: whether the contract deals the roles, instead of the request naming the thesis's validator.
        on_event: told each of the contract's events as it is seen.

    Raises:
        DeltaMLError: something was refused; all processes have been stopped.
    """
    check_key_length(terms)
    schedule(terms, schemes.capacity(terms.scheme, terms.key_bits))
    warn_of(terms)
    if escrow_wei >= GAS_MONEY_WEI:
        raise InsufficientFundsError(f"the buyer has {GAS_MONEY_WEI} wei, and needs some of it for gas: it cannot lock {escrow_wei} wei")
    console.print("Starting a local Ganache")
    with _alone_in(folder), GanacheProcess(port, db_path=folder / "chain") as ganache:
        started = time.perf_counter()
        console.print("Deploying the marketplace contract")
        deployer = Wallet.create()
        ganache.fund(deployer.address, ETHER)
        marketplace = Marketplace.deploy(connect(ganache.url, DEFAULT_CHAIN_ID), deployer)
        with Supervisor(lambda name, line: _print(console, name, line)) as supervisor:
            market = ProcessMarket(folder, ganache, marketplace, supervisor, on_event=on_event)
            market.settle_in(terms, escrow_wei, shuffle=shuffle)
            console.print(f"Starting {len(market.homes)} nodes, their homes are in {folder / 'nodes'}")
            with LiveDisplay(console, terms.rounds, {address: name for name, address in market.addresses.items()}) as display:
                market.start()
                request_id = market.watch(display)
            supervisor.stop()
            return market.result(request_id, started)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other demos out of a folder, and remove what an earlier one left."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise NodeError(f"another demo runs in {folder}: wait for it, or choose another folder with --transcript") from None
        for old in (folder / "nodes", folder / "chain"):
            shutil.rmtree(old, ignore_errors=True)
        yield


def _data() -> list[Path]:
    return sorted(DATA.glob("owner_*.csv"))


def _rows(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _print(console: Console, name: str, line: str) -> None:
    colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
    console.print(f"  [{colour}]{name:>10}[/] [dim]|[/] {escape(line)}", highlight=False, soft_wrap=True)
