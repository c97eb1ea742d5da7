"""What a person asked of a node from elsewhere, a page say: the node does it once, and notes what came of it.

A page and a node of the same participant meet in the store, so that only one of them signs: two processes would race for the
account's next transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, select, true, update
from sqlalchemy.dialects.sqlite import insert

from deltaml_core.errors import NodeError
from deltaml_core.store.database import Database
from deltaml_core.store.schema import orders

WAITING, DONE, REFUSED = "waiting", "done", "refused"

_ALL_WAITING = select(orders).where(orders.c.state == WAITING).order_by(orders.c.placed, orders.c.purpose)  # asked several times a second

T = TypeVar("T")


@dataclass(frozen=True)
class Order:
    """Something a node was asked for.

    Attributes:
        purpose: what it is for; the same purpose is served once.
        action: what is to be done, as the node's role knows it.
        arguments: with what; JSON.
        state: `waiting`, `done` or `refused`.
        note: what came of it, or why it still waits, for a person.
        transaction: hash of the transaction that did it, where one did.
        placed: when it was asked for, Unix seconds.
        changed: when its state changed last, Unix seconds.
    """

    purpose: str
    action: str
    arguments: dict[str, Any]
    state: str
    note: str | None
    transaction: str | None
    placed: float
    changed: float

    def argument(self, name: str, kind: type[T]) -> T:
        """One of the arguments.

        Raises:
            NodeError: it is missing, or something else than it should be.
        """
        found = self.arguments.get(name)
        if not isinstance(found, kind):
            raise NodeError(f"to {self.action} it takes {name!r} ({kind.__name__}), not {found!r}")
        return found


class Orders:
    """The orders of one store; safe for several threads and processes."""

    def __init__(self, database: Database) -> None:
        """Orders of this database."""
        self._database = database

    def place(self, action: str, arguments: dict[str, Any], purpose: str) -> Order:
        """Ask for something; what was asked for before stays as it is, unless it was refused, then it is asked for anew, as said now.

        Returns:
            The order as it stands now.
        """
        now = time.time()
        said = {"action": action, "arguments": arguments, "placed": now, "changed": now}
        fresh = {**said, "state": WAITING, "note": None, "transaction": None}
        row = {"purpose": purpose, **fresh}
        with self._database.writing() as connection:
            again = insert(orders).values(row).on_conflict_do_update(["purpose"], set_=fresh, where=orders.c.state == REFUSED)
            connection.execute(again)
            found = _find(connection, purpose)
        assert found is not None
        return found

    def find(self, purpose: str) -> Order | None:
        """What was asked for with this purpose."""
        with self._database.reading() as connection:
            return _find(connection, purpose)

    def waiting(self) -> list[Order]:
        """What is still to be done, oldest first."""
        with self._database.reading() as connection:
            return [Order(*row) for row in connection.execute(_ALL_WAITING)]

    def all(self) -> list[Order]:
        """Everything that was ever asked for, oldest first."""
        with self._database.reading() as connection:
            return _all(connection, true())

    def delayed(self, purpose: str, note: str) -> None:
        """Note why it waits."""
        self._change(purpose, WAITING, note, None)

    def done(self, purpose: str, note: str, transaction: str | None = None) -> None:
        """Note that it was done."""
        self._change(purpose, DONE, note, transaction)

    def refused(self, purpose: str, note: str) -> None:
        """Note why it cannot be done."""
        self._change(purpose, REFUSED, note, None)

    def _change(self, purpose: str, state: str, note: str, transaction: str | None) -> None:
        values = {"state": state, "note": note, "transaction": transaction, "changed": time.time()}
        with self._database.writing() as connection:
            connection.execute(update(orders).where(orders.c.purpose == purpose).values(values))


def _all(connection: Connection, which: ColumnElement[bool]) -> list[Order]:
    return [Order(*row) for row in connection.execute(select(orders).where(which).order_by(orders.c.placed, orders.c.purpose))]


def _find(connection: Connection, purpose: str) -> Order | None:
    return next(iter(_all(connection, orders.c.purpose == purpose)), None)
