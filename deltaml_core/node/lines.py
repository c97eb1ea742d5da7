"""The lines of an owner or a buyer: one to each aggregator it works with at the moment."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.types import Role
from deltaml_core.errors import NodeError
from deltaml_core.node.line import Line
from deltaml_core.node.seat import Seat
from deltaml_core.store.book import Book
from deltaml_core.store.mail import Mail
from deltaml_core.transport.base import Transport

Connect = Callable[[str, str], Transport]
"""A transport to the aggregator of an address, at a URL."""

log = logging.getLogger(__name__)


def description(name: str, url: str) -> str:
    """What an aggregator registers on the chain, so that others find it."""
    return json.dumps({"name": name, "url": url}, separators=(",", ":"))


def url_of(marketplace: Marketplace, aggregator: str) -> str:
    """Where an aggregator says it is reached.

    Raises:
        NodeError: it is not registered, or says no http or https address.
        ChainError: the chain does not answer.
    """
    for member in marketplace.members(Role.FEDERATED_AGGREGATOR):
        if member.address == aggregator:
            try:
                url = json.loads(member.metadata)["url"]
                if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname:
                    return str(url)
            except (KeyError, TypeError, ValueError) as error:
                raise NodeError(f"aggregator {aggregator} does not say where it is reached: {member.metadata!r}") from error
            raise NodeError(f"aggregator {aggregator} is not reached at an http or https address: {url!r}")
    raise NodeError(f"{aggregator} is not registered as an aggregator")


class Lines:
    """Opens a line when a seat needs one, and closes it when none does."""

    def __init__(
        self,
        address: str,
        marketplace: Marketplace,
        mail: Mail,
        book: Book,
        connect: Connect,
        seat: Callable[[str], Seat | None],
        fail: Callable[[BaseException], None],
        rests: Callable[[], None] = lambda: None,
    ) -> None:
        """No line yet; the arguments are those of `Line`, with how to `connect` to an aggregator."""
        self._address = address
        self._marketplace = marketplace
        self._mail = mail
        self._book = book
        self._connect = connect
        self._seat = seat
        self._fail = fail
        self._rests = rests
        self._lines: dict[str, Line] = {}
        self._ending: list[Line] = []
        self._needed: dict[str, set[str]] = {}

    def need(self, aggregator: str, request: str) -> None:
        """A training's messages go through this aggregator from now on.

        Raises:
            NodeError: where it is reached is not known, or it cannot be reached safely.
        """
        if request in self._needed.get(aggregator, ()):
            return
        url = url_of(self._marketplace, aggregator)
        transport = self._connect(aggregator, url) if aggregator not in self._lines else None
        self._needed.setdefault(aggregator, set()).add(request)
        if transport is None:
            self._lines[aggregator].look()
        else:
            requests = self._requests_of(aggregator)
            self._book.note_peer(aggregator, Role.FEDERATED_AGGREGATOR.name, url)
            self._lines[aggregator] = Line(self._address, aggregator, transport, self._mail, self._seat, requests, self._fail, self._rests)

    @property
    def resting(self) -> bool:
        """Whether none has anything to handle or to send."""
        return all(line.resting for line in tuple(self._lines.values()))

    def release(self, request: str) -> None:
        """A training needs its line no more."""
        for aggregator, requests in self._needed.items():
            requests.discard(request)
            if not requests and (line := self._lines.pop(aggregator, None)) is not None:
                line.hang_up()  # its threads may be waiting for whoever calls this
                self._ending.append(line)

    def close(self) -> None:
        """End all of them, and wait until they have ended."""
        for line in self._lines.values():
            line.hang_up()
        for line in (*self._lines.values(), *self._ending):
            line.join()
        self._lines.clear()

    def _requests_of(self, aggregator: str) -> Callable[[], Collection[str]]:
        return lambda: tuple(self._needed[aggregator])
