"""A small market at rest: a chain on disk with a contract and five funded accounts, and a home for each. Every run plays in a copy.

Two owners train and one validates, named in the request; the metrics are verifiable under a 2048-bit key that was made once.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deltaml_core import schemes
from deltaml_core.chain import GanacheProcess, Marketplace, Wallet, connect
from deltaml_core.node.home import Home
from deltaml_core.node.offer import Offer
from deltaml_core.statistics import Column, Requirements
from deltaml_core.terms import TrainingTerms

NODES = ("aggregator", "owner-1", "owner-2", "owner-3", "buyer")
VALIDATOR = "owner-3"
ETHER = 10**18
ESCROW_WEI = 5 * ETHER
PASSWORD = "chaos"
KEY_BITS = 2048
TARGET_RANGE = 8.0

_ROWS = {"owner-1": 9, "owner-2": 12, "owner-3": 7}
_ITERATIONS = 16  # of scrypt: these homes hold nothing


@dataclass(frozen=True)
class Kind:
    """What is played.

    Attributes:
        name: for people and folders.
        rounds: of training.
        features: the largest magnitudes of the two columns; far apart they make the scale run out, so that a refresh is due.
        step: of the gradient.
        refreshes: whether a refresh's masks are mixed into the result.
    """

    name: str
    rounds: int
    features: tuple[float, float]
    step: float
    refreshes: bool

    @property
    def terms(self) -> TrainingTerms:
        """How to train and measure: an evaluation every round, Shapley values at the end."""
        columns = tuple(Column(name, -largest, largest) for name, largest in zip(("age", "weight"), self.features, strict=True))
        requirements = Requirements(columns, Column("height", -TARGET_RANGE / 2, TARGET_RANGE / 2), minimum_rows=5)
        return TrainingTerms(requirements, rounds=self.rounds, step=self.step, evaluate_every=1, key_bits=KEY_BITS)


PLAIN = Kind("plain", rounds=2, features=(1.0, 1.0), step=0.5, refreshes=False)
REFRESHED = Kind("refreshed", rounds=5, features=(1e12, 1e-12), step=1.5e-24, refreshes=True)


@dataclass(frozen=True)
class Place:
    """A folder with a market in it.

    Attributes:
        path: the folder.
        kind: what is played there.
        contract: the marketplace's address.
        key: the buyer's decryption key, hexadecimal.
    """

    path: Path
    kind: Kind
    contract: str
    key: str

    def home(self, node: str) -> Home:
        """Where a node lives."""
        return Home.at(self.path / node)

    def wallet(self, node: str) -> Wallet:
        """A node's wallet."""
        return self.home(node).wallet(PASSWORD)

    def arguments(self, node: str, chain: str, port: int) -> list[str]:
        """What `deltaml` is called with for a node."""
        home = self.path / node
        at = ["--home", str(home), "--rpc", chain, "--contract", self.contract, "--password-file", str(self.path / "password")]
        common = [node.split("-")[0], *at, "--name", node, "--wait-for-chain"]
        if node == "aggregator":
            return [*common, "--take-on", "all", "--port", str(port)]
        if node == "buyer":
            return [*common, "--confirm", "--offer", str(self.path / "offer.json")]
        return [*common, "--answer", "match", "--data", str(self.path / f"{node}.csv")]

    def copy(self, path: Path) -> Place:
        """The same market elsewhere, to be played in."""
        shutil.copytree(self.path, path)
        return Place(path, self.kind, self.contract, self.key)


def prepare(path: Path, kind: Kind) -> Place:
    """Make a market that nobody has played in."""
    path.mkdir(parents=True)
    (path / "password").write_text(PASSWORD + "\n")
    with GanacheProcess(db_path=path / "chain") as ganache:
        deployer = Wallet.create()
        ganache.fund(deployer.address, ETHER)
        contract = Marketplace.deploy(connect(ganache.url), deployer).address
        addresses = {}
        for node in NODES:
            addresses[node] = Home.at(path / node).wallet(PASSWORD, iterations=_ITERATIONS).address
            ganache.fund(addresses[node], 10 * ETHER)
    offer = Offer(
        terms=kind.terms,
        aggregator=addresses["aggregator"],
        escrow_wei=ESCROW_WEI,
        minimum_owners=3,
        maximum_owners=3,
        validators=(addresses[VALIDATOR],),
    )
    offer.write(path / "offer.json")
    for seed, (owner, rows) in enumerate(_ROWS.items()):
        _write_rows(path / f"{owner}.csv", kind, rows, seed)
    return Place(path, kind, contract, schemes.generate("paillier", KEY_BITS).secret().hex())


def _write_rows(path: Path, kind: Kind, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (rows, 2))
    y = TARGET_RANGE * (X @ [0.2, -0.15] + 0.05 * rng.uniform(-1, 1, rows))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "weight", "height"])
        writer.writerows(np.column_stack([X * kind.features, y]).tolist())


def model_of(place: Place) -> list[float] | None:
    """What the buyer has bought: the coefficients, and the intercept last; None while there is nothing."""
    path = place.home("buyer").model(1)
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    return [*content["coefficients"], content["intercept"]]
