"""Real nodes as threads of one process: real stores, a real chain, a real server on the loopback; small keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Shard, random_shards, stable_step

from deltaml_core.chain import GanacheProcess, Marketplace, Request, Status, Wallet, connect
from deltaml_core.node.aggregator import AggregatorNode, TakeOnRule
from deltaml_core.node.base import Identity, Node
from deltaml_core.node.buyer import BuyerNode
from deltaml_core.node.home import Home
from deltaml_core.node.lines import description
from deltaml_core.node.offer import Offer
from deltaml_core.node.owner import AnswerRule, OwnerNode
from deltaml_core.ports import free_port
from deltaml_core.statistics import Dataset
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges
from deltaml_core.transport.base import Transport
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.server import HttpServer

ETHER = 10**18
PASSWORD = "correct horse battery staple"
ITERATIONS = 2**10
ROUNDS = 4


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 400) -> None:
    """Return when the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.02)


def close_to(weights: np.ndarray[Any, np.dtype[np.float64]], rounds: int = ROUNDS) -> Any:
    """What a training of so many rounds comes to where exact arithmetic comes to these weights, each of them 1 at most, or little more.

    A round multiplies by a matrix whose entries, and those of the vector added, are rounded to 28 fractional bits or more: by half a
    unit each at most. A step with which training converges makes no earlier error larger.
    """
    return pytest.approx(weights, rel=1e-6, abs=rounds * (len(weights) + 1) * 2**-29)


@dataclass
class Running:
    """A node in a thread of its own."""

    node: Node
    error: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.node.run()
        except BaseException as error:
            self.error.append(error)

    def stop(self) -> None:
        """End the node cleanly."""
        self.node.stop()
        self.thread.join(120)
        assert not self.thread.is_alive(), "the node did not end"
        assert not self.error, self.error


class Market:
    """A contract of its own on a shared chain, and whoever was started on it.

    Attributes:
        shards: of the owners, by number from 1.
        running: nodes by name.
    """

    def __init__(self, ganache: GanacheProcess, folder: Path, rows: Sequence[int] = (12, 9, 14)) -> None:
        self.ganache = ganache
        self.folder = folder
        deployer = Wallet.create()
        ganache.fund(deployer.address, ETHER)
        self.marketplace = Marketplace.deploy(connect(ganache.url), deployer)
        self.shards: list[Shard] = random_shards(11, rows, 2)
        self.running: dict[str, Running] = {}
        self.url = f"http://127.0.0.1:{free_port()}"

    # --- identities ---

    def home(self, name: str) -> Home:
        return Home.at(self.folder / name)

    def wallet(self, name: str) -> Wallet:
        """The wallet that lives in a home; made, and given ether, on first use."""
        home = self.home(name)
        new = not home.keystore.exists()
        wallet = home.wallet(PASSWORD, iterations=ITERATIONS)
        if new:
            self.ganache.fund(wallet.address, 10 * ETHER)
        return wallet

    def address(self, name: str) -> str:
        return self.wallet(name).address

    def identity(self, name: str, text: str = "") -> Identity:
        marketplace = Marketplace(connect(self.ganache.url), self.marketplace.address)
        return Identity(home=self.home(name), wallet=self.wallet(name), marketplace=marketplace, description=text)

    def file(self, number: int) -> Path:
        """An owner's rows as a file."""
        path = self.folder / f"owner-{number}.csv"
        if not path.exists():
            X, y = self.shards[number - 1]
            rows = [",".join(map(repr, [*x.tolist(), float(target)])) for x, target in zip(X, y, strict=True)]
            path.write_text("\n".join(["x1,x2,target", *rows]) + "\n")
        return path

    # --- starting ---

    def connect_as(self, name: str) -> Callable[[str, str], Transport]:
        wallet, chain_id = self.wallet(name), self.marketplace.chain_id
        return lambda aggregator, url: HttpTransport(url, wallet, chain_id, patience=2)

    def aggregator(self, rule: TakeOnRule = TakeOnRule.ALL, name: str = "aggregator") -> AggregatorNode:
        """A node that does not run yet."""

        def serve(node: AggregatorNode) -> HttpServer:
            relay = Relay(node.mail, node.wallet.address, node.participants, node.register_owner)
            return HttpServer(relay, node.marketplace.chain_id, port=int(self.url.rpartition(":")[2]), url=self.url)

        return AggregatorNode(self.identity(name, description(name, self.url)), serve, rule=rule)

    def start_aggregator(self, rule: TakeOnRule = TakeOnRule.ALL, name: str = "aggregator") -> Running:
        return self.start(name, self.aggregator(rule, name))

    def start_owner(self, number: int, rule: AnswerRule = AnswerRule.MATCH, aggregators: Sequence[str] = ()) -> Running:
        name = f"owner-{number}"
        return self.start(
            name, OwnerNode(self.identity(name), self.connect_as(name), [self.file(number)], rule=rule, aggregators=aggregators)
        )

    def start_buyer(self, *offers: Offer, name: str = "buyer") -> Running:
        node = BuyerNode(self.identity(name), self.connect_as(name), PASSWORD, offers, confirms=True, iterations=ITERATIONS)
        return self.start(name, node)

    def start(self, name: str, node: Node) -> Running:
        self.running[name] = Running(node)
        return self.running[name]

    def stop(self, name: str) -> None:
        self.running.pop(name).stop()

    def close(self) -> None:
        """End all nodes; none of them may have failed."""
        for name in list(self.running):
            self.stop(name)

    # --- requests ---

    def terms(self, **changes: Any) -> TrainingTerms:
        ranges = declared_ranges([Dataset.of(X, y) for X, y in self.shards])
        chosen: dict[str, Any] = {
            "rounds": ROUNDS,
            "step": stable_step(self.shards) / 2,
            "key_bits": 512,
            "metrics": "noise",
            "contributions": "leave_one_out",
        }
        return TrainingTerms(ranges, **{**chosen, **changes})

    def offer(self, terms: TrainingTerms | None = None, validators: Sequence[int] = (2,), **changes: Any) -> Offer:
        owners = len(self.shards)
        chosen: dict[str, Any] = {
            "terms": terms or self.terms(),
            "aggregator": self.address("aggregator"),
            "escrow_wei": 3 * ETHER,
            "minimum_owners": owners,
            "maximum_owners": owners,
            "validators": tuple(self.address(f"owner-{number}") for number in validators),
        }
        return Offer(**{**chosen, **changes})

    def request(self, number: int = 1) -> Request:
        return self.marketplace.request(number)

    def reaches(self, status: Status, number: int = 1, seconds: float = 400) -> Request:
        """The request, once it has this status."""
        wait_until(lambda: number in self.marketplace.requests() and self.request(number).status is status, f"{status.name}", seconds)
        return self.request(number)

    def model(self, name: str = "buyer", number: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What a buyer bought, intercept last."""
        path = self.home(name).model(number)
        wait_until(path.exists, "the model's arrival")
        bought = json.loads(path.read_text())
        return np.array([*bought["coefficients"], bought["intercept"]])

    def has_withdrawn(self, *names: str) -> bool:
        return not any(self.marketplace.credit_wei(self.address(name)) for name in names)
