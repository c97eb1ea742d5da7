"""What a page finds around it: which chain, which contract, which wallets live on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deltaml_core.chain.connection import URL_VARIABLE, connect
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.types import Role
from deltaml_core.errors import NodeError, WrongPasswordError
from deltaml_core.node.home import HOME_VARIABLE, Home
from deltaml_core.node.hosting import CONTRACT_VARIABLE
from deltaml_core.store.book import Book
from deltaml_core.store.database import Database

HOMES_VARIABLE = "DELTAML_HOMES"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
MINIMUM_PASSWORD = 8


@dataclass(frozen=True)
class Session:
    """A person that has opened its wallet on a page.

    Attributes:
        name: of the home's folder.
        home: where its node lives.
        address: of the wallet.
        role: what it takes part as.
        password: what opens the wallet; kept by this process only.
    """

    name: str
    home: Home
    address: str
    role: Role
    password: str

    def __repr__(self) -> str:
        return f"Session({self.name!r}, {self.address})"


@dataclass(frozen=True)
class Surroundings:
    """Where a page is.

    Attributes:
        url: of the chain's node; empty when none is stated.
        contract: address of the marketplace.
        homes: the folder of the wallets' homes.
    """

    url: str
    contract: str
    homes: Path

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Surroundings:
        """As the environment states them: `DELTAML_RPC_URL`, `DELTAML_CONTRACT`, `DELTAML_HOMES` (default `~/.deltaml/homes`)."""
        homes = Path(environment.get(HOMES_VARIABLE) or Path.home() / ".deltaml" / "homes")
        return cls(environment.get(URL_VARIABLE, ""), environment.get(CONTRACT_VARIABLE, ""), homes)

    def marketplace(self) -> Marketplace:
        """The contract, through a new connection.

        Raises:
            NodeError: none is stated.
            ChainError: the chain does not answer, or has no contract there.
        """
        if not self.url or not self.contract:
            raise NodeError(f"no market is stated: set {URL_VARIABLE} and {CONTRACT_VARIABLE}, or start `make dashboards`")
        return Marketplace(connect(self.url), self.contract)

    def known(self) -> dict[str, Home]:
        """The homes with a wallet, by name; also the one in `DELTAML_HOME`."""
        folders = sorted(self.homes.iterdir()) if self.homes.is_dir() else []
        found = {path.name: Home(path) for path in folders if (path / "wallet.json").exists()}
        if (single := os.environ.get(HOME_VARIABLE)) and (Path(single) / "wallet.json").exists():
            found.setdefault(Path(single).name, Home(Path(single)))
        return found

    def log_in(self, name: str, password: str) -> Session:
        """Open a wallet.

        Raises:
            NodeError: there is none of that name, or it has no role yet.
            WrongPasswordError: the password does not open it.
            KeystoreError: the keystore is damaged.
        """
        home = self.known().get(name)
        if home is None:
            raise NodeError(f"there is no wallet named {name!r} here: choose one of the list, or create one")
        if not password:
            raise WrongPasswordError("the password is missing: type it")
        wallet = home.wallet(password)
        role = role_of(home)
        if role is None:
            raise NodeError(f"the wallet {name} has no role yet: start its node once, or create a new wallet for the role you want")
        return Session(name, home, wallet.address, role, password)

    def create(self, name: str, role: Role, password: str, again: str) -> Session:
        """Make a wallet and its home.

        Raises:
            NodeError: the name or the password will not do.
            KeystoreError: there is one of that name.
            ChainError: the chain does not answer, so that the home cannot be bound to it.
        """
        if not _NAME.fullmatch(name):
            raise NodeError("a wallet's name has 1 to 40 letters, digits, dots, dashes and underscores, and begins with a letter or digit")
        if len(password) < MINIMUM_PASSWORD:
            raise NodeError(f"a password of at least {MINIMUM_PASSWORD} characters is needed")
        if password != again:
            raise NodeError("the two passwords differ: type the same twice")
        if name in self.known():
            raise NodeError(f"there is a wallet named {name} already: choose another name, or log in with it")
        marketplace = self.marketplace()
        home = Home.at(self.homes / name)
        address = home.wallet(password).address
        in_store(home, lambda book: book.claim(address=address, role=role.name, chain=marketplace.chain_id, contract=marketplace.address))
        return Session(name, home, address, role, password)


def role_of(home: Home) -> Role | None:
    """The role of whoever lives there; None while no node has lived there."""
    if not home.store.exists():
        return None
    found: list[str | None] = []
    in_store(home, lambda book: found.append(book.fact("role")))
    return Role[found[0]] if found[0] else None


def in_store(home: Home, use: Callable[[Book], None]) -> None:
    """Do something with a home's notes.

    Raises:
        StoreError: the store cannot be used.
    """
    database = Database(home.store)
    try:
        use(Book(database))
    finally:
        database.close()
