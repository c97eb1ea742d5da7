"""What a node remembers beside its messages: whose store it is, its requests, data-set cards, peers, and where keys are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from deltaml_core.errors import StoreError
from deltaml_core.store.database import Database
from deltaml_core.store.schema import datasets, facts, keys, peers, requests


@dataclass(frozen=True)
class RequestNote:
    """A training request as this participant sees it; the contract has the rest.

    Attributes:
        id: the contract's number.
        status: the contract's, as it was last read.
        seat: this participant's part: buyer, aggregator, trainer or validator; `refused` when it found that it cannot work for it; None
            before roles are dealt.
        nonce: what the seat's randomness follows from, together with the wallet's key.
        dataset: digest of the rows it was accepted with.
        salt: of the commitment on chain.
        answer: what a person decided by hand, yes or no; None while nobody did.
        note: what a person should know of it.
        ended: whether nothing is left to do in it.
        known_releases, total_releases: how often the rows were measured for it (`releases.py`).
        matches: of an owner's data sets, by digest, why it does not serve the request; None where it does.
    """

    id: int
    status: str
    seat: str | None = None
    nonce: bytes | None = None
    dataset: str | None = None
    salt: bytes | None = None
    answer: str | None = None
    note: str | None = None
    ended: bool = False
    known_releases: int = 0
    total_releases: int = 0
    matches: dict[str, str | None] | None = None


@dataclass(frozen=True)
class Card:
    """A data set without its rows.

    Attributes:
        digest: of the rows, hexadecimal.
        path: where its owner keeps it.
        rows: how many.
        columns: (name, lowest value, highest value) of each.
    """

    digest: str
    path: str
    rows: int
    columns: tuple[tuple[str, float, float], ...]


@dataclass(frozen=True)
class Peer:
    """Somebody this node has dealt with."""

    address: str
    role: str
    url: str
    seen: float


class Book:
    """The notes of one store; safe for several threads."""

    def __init__(self, database: Database) -> None:
        """Notes of this database."""
        self._database = database

    # --- facts ---

    def fact(self, name: str) -> Any:
        """What was noted under a name; None when nothing was."""
        with self._database.reading() as connection:
            found = connection.execute(select(facts.c.value).where(facts.c.name == name)).first()
        return None if found is None else found.value

    def note_fact(self, name: str, value: Any) -> None:
        """Note something there is one of; it must be JSON."""
        with self._database.writing() as connection:
            connection.execute(insert(facts).values(name=name, value=value).on_conflict_do_update(["name"], set_={"value": value}))

    def claim(self, **identity: Any) -> None:
        """Note on first use whose store this is and what it works for; afterwards see that it is the same.

        Raises:
            StoreError: it belongs to something else.
        """
        for name, value in identity.items():
            known = self.fact(name)
            if known is None:
                self.note_fact(name, value)
            elif known != value:
                raise StoreError(f"{self._database.path} belongs to {name} {known}, not {value}: use another home, or the right settings")

    # --- requests ---

    def request(self, number: int) -> RequestNote | None:
        """What is known of a request."""
        with self._database.reading() as connection:
            row = connection.execute(select(requests).where(requests.c.id == number)).first()
        return None if row is None else RequestNote(*row)

    def requests(self) -> list[RequestNote]:
        """All of them, by number."""
        with self._database.reading() as connection:
            return [RequestNote(*row) for row in connection.execute(select(requests).order_by(requests.c.id))]

    def note_request(self, number: int, **values: Any) -> None:
        """Note something of a request, `status` at least when it is new."""
        with self._database.writing() as connection:
            changed = connection.execute(update(requests).where(requests.c.id == number).values(values)).rowcount
            if not changed:
                connection.execute(insert(requests).values(id=number, **{"status": "OPEN", **values}))

    # --- data sets ---

    def cards(self) -> list[Card]:
        """All data sets that were ever offered."""
        with self._database.reading() as connection:
            rows = connection.execute(select(datasets).order_by(datasets.c.path)).all()
        return [Card(r.digest, r.path, r.rows, tuple((n, a, b) for n, a, b in r.columns)) for r in rows]

    def note_card(self, card: Card) -> None:
        """Note a data set, or that it lies elsewhere now."""
        row = {"digest": card.digest, "path": card.path, "rows": card.rows, "columns": [list(column) for column in card.columns]}
        with self._database.writing() as connection:
            connection.execute(insert(datasets).values(row).on_conflict_do_update(["digest"], set_={"path": card.path}))

    # --- peers and keys ---

    def note_peer(self, address: str, role: str, url: str = "") -> None:
        """Note that somebody was heard of just now."""
        row = {"address": address, "role": role, "url": url, "seen": time.time()}
        with self._database.writing() as connection:
            connection.execute(insert(peers).values(row).on_conflict_do_update(["address"], set_=row))

    def peers(self) -> list[Peer]:
        """Everybody that was heard of, the latest first."""
        with self._database.reading() as connection:
            return [Peer(*row) for row in connection.execute(select(peers).order_by(peers.c.seen.desc()))]

    def note_key(self, purpose: str, path: str) -> None:
        """Note where an encrypted key is kept, within the node's home."""
        with self._database.writing() as connection:
            connection.execute(insert(keys).values(purpose=purpose, path=path).on_conflict_do_update(["purpose"], set_={"path": path}))

    def key_paths(self) -> Sequence[tuple[str, str]]:
        """(purpose, path) of every key."""
        with self._database.reading() as connection:
            return [(row.purpose, row.path) for row in connection.execute(select(keys).order_by(keys.c.purpose))]
