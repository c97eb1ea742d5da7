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
from web3.types import BlockData

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
class Block:
    """A block without what is in it: its hash and the one before it in hexadecimal, its Unix time."""

    number: int
    hash: str
    parent: str
    timestamp: int

    @classmethod
    def of(cls, block: BlockData) -> Self:
        """As the node shows it."""
        return cls(block["number"], bytes(block["hash"]).hex(), bytes(block["parentHash"]).hex(), block["timestamp"])


_Blocks = tuple[tuple[int, str], ...]


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
        head: the chain's latest block when it was read last.
    """

    def __init__(self, marketplace: Marketplace, cursor: Cursor | None = None, *, first_block: int = 0) -> None:
        self._marketplace = marketplace
        self._first_block = first_block
        self.cursor = cursor or Cursor()
        self.head = Block(-1, "", "", 0)

    def new(self) -> Iterator[Event | Reorganised]:
        """What happened since the cursor, then moves the cursor.

        Raises:
            ChainError: the node does not answer, or reorganises faster than it can be read.
        """
        for _ in range(ATTEMPTS):
            head = self._latest()
            if self.cursor.blocks[-1:] == ((head.number, head.hash),):
                self.head = head
                return
            linked = self._linked(head)
            if linked is None:
                continue
            known, fresh = linked
            first = known[-1][0] + 1 if known else self._first_block
            events = tuple(self._marketplace.events(first, head.number)) if first <= head.number else ()
            # What was read belongs together only if the chain did not move meanwhile.
            again = self._block(head.number)
            if again is not None and again.hash == head.hash:
                if len(known) < len(self.cursor.blocks):
                    yield Reorganised(first)
                yield from events
                self.cursor = Cursor((known + fresh)[-REMEMBERED_BLOCKS:])
                self.head = head
                return
        raise ChainError("the chain reorganises faster than it can be read: wait for it to settle")

    def _linked(self, head: Block) -> tuple[_Blocks, _Blocks] | None:
        """The cursor's blocks that the head stands on, and those from there to the head; None when the chain moves meanwhile.

        A block names the one before it, so a chain that goes on is followed with one question a new block. What is further ahead than
        is remembered is compared with the cursor's blocks by their numbers.
        """
        known, fresh, block = dict(self.cursor.blocks), list[tuple[int, str]](), head
        while known.get(block.number) != block.hash:
            fresh.insert(0, (block.number, block.hash))
            if known.get(block.number - 1) == block.parent or block.number <= self._first_block:
                break
            if len(fresh) == REMEMBERED_BLOCKS:
                return self._still_there(), tuple(fresh)
            before = self._block(block.number - 1)
            if before is None or before.hash != block.parent:
                return None
            block = before
        below = fresh[0][0] - 1 if fresh else head.number
        return tuple(pair for pair in self.cursor.blocks if pair[0] <= below), tuple(fresh)

    def _still_there(self) -> _Blocks:
        known = self.cursor.blocks
        while known and ((block := self._block(known[-1][0])) is None or block.hash != known[-1][1]):
            known = known[:-1]
        return known

    def _latest(self) -> Block:
        with translated(()):
            return Block.of(self._marketplace.web3.eth.get_block("latest"))

    def _block(self, number: int) -> Block | None:
        with translated(()):
            try:
                return Block.of(self._marketplace.web3.eth.get_block(number))
            except BlockNotFound:
                return None
