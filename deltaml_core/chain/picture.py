"""The whole market as the chain shows it, kept up to date with a few questions a block: what dashboards draw.

    reader = PictureReader(marketplace)
    picture = reader.read()

It is the same object again while nothing has happened.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from web3 import Web3

from deltaml_core.chain.events import (
    Accepted,
    Confirmed,
    Credited,
    Declined,
    Event,
    Failed,
    Left,
    MetricRecorded,
    Registered,
    RequestCreated,
    RequestEvent,
    ResultSubmitted,
    Settled,
    Withdrawn,
)
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.reverts import translated
from deltaml_core.chain.stream import Block, EventStream, Reorganised
from deltaml_core.chain.types import Request, Role, Status, from_units


@dataclass(frozen=True)
class Fee:
    """What a transaction cost its sender, and when it was mined (Unix seconds)."""

    gas: int
    wei: int
    time: int


@dataclass(frozen=True)
class RequestPicture:
    """A request's state and its history.

    Attributes:
        request: as the contract has it.
        events: its events, in order.
    """

    request: Request
    events: tuple[RequestEvent, ...]

    @property
    def document(self) -> str:
        """The JSON text it was created with."""
        return next(event.requirements for event in self.events if isinstance(event, RequestCreated))

    @property
    def history(self) -> list[tuple[int, float]]:
        """(round, mean squared error) as they were recorded."""
        return [(event.round, float(from_units(event.mse))) for event in self.events if isinstance(event, MetricRecorded)]

    @property
    def recorded(self) -> list[tuple[int, int]]:
        """The same exactly, as on chain: 18 decimals."""
        return [(event.round, event.mse) for event in self.events if isinstance(event, MetricRecorded)]

    @property
    def credits(self) -> dict[str, int]:
        """What each account was credited for it, in wei."""
        found: dict[str, int] = defaultdict(int)
        for event in self.events:
            if isinstance(event, Credited):
                found[event.account] += event.amount_wei
        return dict(found)

    @property
    def declined(self) -> frozenset[str]:
        """Owners that will not take part."""
        return frozenset(event.owner for event in self.events if isinstance(event, Declined))

    @property
    def accepted(self) -> frozenset[str]:
        """Owners that take part."""
        return frozenset(event.owner for event in self.events if isinstance(event, Accepted)) | frozenset(self.request.owners)

    @property
    def confirmed(self) -> bool:
        """Whether the buyer has ended the challenge window."""
        return any(isinstance(event, Confirmed) for event in self.events)

    @property
    def submitted(self) -> ResultSubmitted | None:
        """The result, once there is one."""
        return next((event for event in self.events if isinstance(event, ResultSubmitted)), None)

    @property
    def improvement(self) -> float | None:
        """By how much the error has fallen, as a share of the first one; None before a second measurement."""
        settled = next((event for event in self.events if isinstance(event, Settled)), None)
        if settled is not None:
            return float(from_units(settled.improvement))
        history = self.history
        return None if len(history) < 2 or not history[0][1] else max(0.0, 1 - history[-1][1] / history[0][1])


@dataclass(frozen=True)
class MarketPicture:
    """The market as of a block.

    Attributes:
        head: that block.
        chain_id, contract: where it is.
        events: all of the contract's, in order.
        requests: by number.
        members: what each account of a role says about itself.
        balance_wei: what the contract holds.
        credits_wei: what each account may withdraw.
        fees: of every transaction with an event, by its hash.
    """

    head: Block
    chain_id: int
    contract: str
    events: tuple[Event, ...] = ()
    requests: Mapping[int, RequestPicture] = field(default_factory=dict)
    members: Mapping[Role, Mapping[str, str]] = field(default_factory=dict)
    balance_wei: int = 0
    credits_wei: Mapping[str, int] = field(default_factory=dict)
    fees: Mapping[str, Fee] = field(default_factory=dict)

    @property
    def locked_wei(self) -> int:
        """What the contract holds for requests that have not ended."""
        return sum(one.request.locked_wei for one in self.requests.values())

    @property
    def paid_wei(self) -> int:
        """What was earned so far: credited to anybody but the request's buyer."""
        return sum(amount for one in self.requests.values() for account, amount in one.credits.items() if account != one.request.buyer)

    def name(self, address: str) -> str:
        """What an account calls itself, else its address, shortened."""
        for members in self.members.values():
            if said := name_of(members.get(address, "")):
                return said
        return short(address)

    def in_status(self, *wanted: Status) -> list[RequestPicture]:
        """Requests of these states."""
        return [one for one in self.requests.values() if one.request.status in wanted]


def short(address: str) -> str:
    """An address for people, who see the whole of it elsewhere."""
    return f"{address[:6]}…{address[-4:]}" if len(address) > 12 else address


def name_of(metadata: str) -> str:
    """The name in what a member says about itself; an aggregator's is JSON with its URL."""
    try:
        said = json.loads(metadata)
    except ValueError:
        return metadata
    return str(said.get("name", "")) if isinstance(said, dict) else metadata


class PictureReader:
    """Keeps a picture of one marketplace; to be used by one thread at a time."""

    def __init__(self, marketplace: Marketplace) -> None:
        """Nothing is read yet."""
        self._marketplace = marketplace
        self._stream = EventStream(marketplace)
        self._events: list[Event] = []
        self._requests: dict[int, Request] = {}
        self._unread: set[int] = set()
        self._fees: dict[str, Fee] = {}
        self._picture: MarketPicture | None = None

    def read(self) -> MarketPicture:
        """The market after the latest block: events, states and balances are all of that one, however fast the chain goes on.

        Raises:
            ChainError: the chain does not answer.
        """
        fresh = list(self._stream.new())
        for item in fresh:
            if isinstance(item, Reorganised):
                self._events = [event for event in self._events if event.block < item.first_block]
                self._unread |= set(self._requests)
            else:
                self._events.append(item)
                if isinstance(item, RequestEvent):
                    self._unread.add(item.id)
        if self._picture is not None and self._picture.head == self._stream.head and not self._unread:
            return self._picture
        existing = {event.id for event in self._events if isinstance(event, RequestCreated)}
        for number in sorted(self._unread):
            if number in existing:
                self._requests[number] = self._marketplace.request(number, self._stream.head.number)
            else:
                self._requests.pop(number, None)
            self._unread.discard(number)
        self._read_fees()
        self._picture = self._draw()
        return self._picture

    def _read_fees(self) -> None:
        web3, times = self._marketplace.web3, dict[int, int]()
        for event in self._events:
            if event.transaction_hash not in self._fees:
                with translated(()):
                    receipt = web3.eth.get_transaction_receipt(Web3.to_bytes(hexstr=event.transaction_hash))  # type: ignore[arg-type]
                    if event.block not in times:
                        times[event.block] = web3.eth.get_block(event.block)["timestamp"]
                gas = receipt["gasUsed"]
                self._fees[event.transaction_hash] = Fee(gas, gas * receipt["effectiveGasPrice"], times[event.block])

    def _draw(self) -> MarketPicture:
        of_request: dict[int, list[RequestEvent]] = defaultdict(list)
        members: dict[Role, dict[str, str]] = {role: {} for role in Role}
        credits: dict[str, int] = defaultdict(int)
        for event in self._events:
            if isinstance(event, RequestEvent):
                of_request[event.id].append(event)
            match event:
                case Registered():
                    members[event.role][event.member] = event.metadata
                case Left():
                    members[event.role].pop(event.member, None)
                case Credited():
                    credits[event.account] += event.amount_wei
                case Withdrawn():
                    credits[event.account] -= event.amount_wei
        return MarketPicture(
            head=self._stream.head,
            chain_id=self._marketplace.chain_id,
            contract=self._marketplace.address,
            events=tuple(self._events),
            requests={number: RequestPicture(self._requests[number], tuple(of_request[number])) for number in sorted(self._requests)},
            members=members,
            balance_wei=self._marketplace.balance_wei(self._stream.head.number),
            credits_wei=dict(credits),
            fees=dict(self._fees),
        )


def reason_of(picture: RequestPicture) -> str:
    """Why a request failed, for people; empty when it did not."""
    failed = next((event for event in picture.events if isinstance(event, Failed)), None)
    return "" if failed is None else failed.reason.name.lower().replace("_", " ")
