"""What the marketplace told the world, one frozen dataclass for each of its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_typing import ChecksumAddress

from deltaml_core.chain.types import FailureReason, Role, Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Where on the chain an event stands.

    Attributes:
        block: number of its block.
        block_hash: hash of its block; another one for the same number means the chain was reorganised.
        transaction_hash: its transaction, `0x...`.
        log_index: its place within the block.
    """

    block: int
    block_hash: bytes
    transaction_hash: str
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered(Event):
    """An account offered itself in a role."""

    member: ChecksumAddress
    role: Role
    metadata: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Event):
    """An account no longer offers itself in a role."""

    member: ChecksumAddress
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvent(Event):
    """An event of one request."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestCreated(RequestEvent):
    """A buyer locked an escrow; `requirements` is the JSON text."""

    buyer: ChecksumAddress
    aggregator: ChecksumAddress
    escrow_wei: int
    requirements: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOn(RequestEvent):
    """The named aggregator agreed to the work."""

    aggregator: ChecksumAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(RequestEvent):
    """A data owner accepted."""

    owner: ChecksumAddress
    dataset_commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined(RequestEvent):
    """A data owner declined."""

    owner: ChecksumAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(RequestEvent):
    """Acceptances ended with the quorum reached."""

    owners: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DealBlockFixed(RequestEvent):
    """Roles will come from this block's hash."""

    deal_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesDealt(RequestEvent):
    """Roles were dealt and training began."""

    trainers: tuple[ChecksumAddress, ...]
    validators: tuple[ChecksumAddress, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRecorded(RequestEvent):
    """The mean squared error after a round, 18 decimals."""

    round: int
    mse: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSubmitted(RequestEvent):
    """A result signed by a majority of the validators."""

    digest: bytes
    statement: Statement
    challenge_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefutationAdvanced(RequestEvent):
    """Part of a deferred opening's check was done."""

    refuter: ChecksumAddress
    steps_done: int
    steps_needed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed(RequestEvent):
    """The buyer ended the challenge window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(RequestEvent):
    """Everyone was credited; `improvement` has 18 decimals."""

    improvement: int
    refund_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(RequestEvent):
    """The buyer took the request back."""

    refund_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(RequestEvent):
    """The request ended without a result."""

    reason: FailureReason
    refund_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Credited(RequestEvent):
    """An account may withdraw this much more."""

    account: ChecksumAddress
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Event):
    """An account withdrew its credit."""

    account: ChecksumAddress
    recipient: ChecksumAddress
    amount_wei: int


KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        Registered,
        Left,
        RequestCreated,
        TakenOn,
        Accepted,
        Declined,
        Closed,
        DealBlockFixed,
        RolesDealt,
        MetricRecorded,
        ResultSubmitted,
        RefutationAdvanced,
        Confirmed,
        Settled,
        Cancelled,
        Failed,
        Credited,
        Withdrawn,
    )
}
"""Every event of the contract, by its name there."""


def from_log(name: str, arguments: Mapping[str, Any], place: Event) -> Event:
    """The event of this name with the contract's decoded arguments.

    Args:
        name: the event's name in the contract.
        arguments: its values, by their names there.
        place: where it stands.
    """
    values: dict[str, Any] = {}
    for key, value in arguments.items():
        snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
        values[snake] = _READERS.get(key, _plain)(value)
    return KINDS[name](
        block=place.block,
        block_hash=place.block_hash,
        transaction_hash=place.transaction_hash,
        log_index=place.log_index,
        **values,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return bytes(value)
    return tuple(value) if isinstance(value, list | tuple) else value


_READERS: dict[str, Any] = {"role": Role, "reason": FailureReason, "statement": Statement.from_abi}
