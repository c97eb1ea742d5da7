"""Events as they come, across restarts of the node and of the reader, and across reorganisations of a few blocks.

    stream = EventStream(marketplace, cursor)
    for item in stream.new():
        if isinstance(item, Reorganised): forget everything from item.first_block on
        else: take the event in
    save(stream.cursor.to_json())

The cursor moves when all new items were taken: whoever is killed half-way sees them again, and misses none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from web3.exceptions import BlockNotFound

from deltaml_core.chain.events import Event
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.reverts import translated
from deltaml_core.errors import ChainError

REMEMBERED_BLOCKS = 32
"""How deep a reorganisation may be for its events alone to be replaced; a deeper one starts over."""

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Reorganised:
    """The chain dropped blocks: everything from `first_block` on is void, and what replaced it follows."""

    first_block: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader is: number and hash of the last blocks it has seen, newest last."""

    blocks: tuple[tuple[int, str], ...] = ()

    def to_json(self) -> str:
        """For a store."""
        return json.dumps(self.blocks)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From a store.

        Raises:
            ValueError: the text is not what `to_json` wrote.
        """
        loaded = json.loads(text)
        if not isinstance(loaded, list) or not all(
            isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int) and isinstance(pair[1], str) for pair in loaded
        ):
            raise ValueError("not a cursor: expected a list of block numbers and hashes")
        return cls(tuple((number, block_hash) for number, block_hash in loaded))


class EventStream:
    """The marketplace's events from a cursor on.

    Args:
        marketplace: whose events.
        cursor: how far the reader was; None starts at `first_block`.
        first_block: where to start without a cursor, for example the contract's own block.

    Attributes:
        cursor: how far the reader is now; to be saved with what it made of the events.
    """

    def __init__(self, marketplace: Marketplace, cursor: Cursor | None = None, *, first_block: int = 0) -> None:
        self._marketplace = marketplace
        self._first_block = first_block
        self.cursor = cursor or Cursor()

    def new(self) -> Iterator[Event | Reorganised]:
        """What happened since the cursor, then moves the cursor.

        Raises:
            ChainError: the node does not answer, or reorganises faster than it can be read.
        """
        for _ in range(ATTEMPTS):
            head, head_hash = self._head()
            if self.cursor.blocks[-1:] == ((head, head_hash),):
                return
            known = self._still_there()
            first = known[-1][0] + 1 if known else self._first_block
            events = tuple(self._marketplace.events(first, head)) if first <= head else ()
            fresh = self._blocks(max(first, head - REMEMBERED_BLOCKS + 1), head)
            # What was read belongs together only if the chain did not move meanwhile.
            if self._hash_at(head) == head_hash and not self._moved(known, fresh):
                if len(known) < len(self.cursor.blocks):
                    yield Reorganised(first)
                yield from events
                self.cursor = Cursor((known + fresh)[-REMEMBERED_BLOCKS:])
                return
        raise ChainError("the chain reorganises faster than it can be read: wait for it to settle")

    def _still_there(self) -> tuple[tuple[int, str], ...]:
        known = self.cursor.blocks
        while known and self._hash_at(known[-1][0]) != known[-1][1]:
            known = known[:-1]
        return known

    def _moved(self, known: tuple[tuple[int, str], ...], fresh: tuple[tuple[int, str], ...]) -> bool:
        newest = known[-1:] + fresh[:1]
        return any(self._hash_at(number) != block_hash for number, block_hash in newest)

    def _blocks(self, first: int, last: int) -> tuple[tuple[int, str], ...]:
        found = ((number, self._hash_at(number)) for number in range(first, last + 1))
        return tuple((number, block_hash) for number, block_hash in found if block_hash is not None)

    def _head(self) -> tuple[int, str]:
        with translated(()):
            block = self._marketplace.web3.eth.get_block("latest")
        return block["number"], bytes(block["hash"]).hex()

    def _hash_at(self, number: int) -> str | None:
        with translated(()):
            try:
                return bytes(self._marketplace.web3.eth.get_block(number)["hash"]).hex()
            except BlockNotFound:
                return None
