"""What each of the contract's events says, for people."""

from __future__ import annotations

from collections.abc import Callable

from deltaml_core.chain.events import (
    Accepted,
    Cancelled,
    Closed,
    Confirmed,
    Credited,
    DealBlockFixed,
    Declined,
    Event,
    Failed,
    Left,
    MetricRecorded,
    RefutationAdvanced,
    Registered,
    RequestCreated,
    ResultSubmitted,
    RolesDealt,
    Settled,
    TakenOn,
    Withdrawn,
)
from deltaml_core.chain.types import from_units
from deltaml_core.views.formats import ether, number, percent

Name = Callable[[str], str]
"""What an address is called."""


def text_of(event: Event, name: Name) -> str:
    """A sentence about an event.

    Args:
        event: the event.
        name: what addresses are called.
    """
    match event:
        case Registered():
            return f"{name(event.member)} offers itself as {_role(event)}"
        case Left():
            return f"{name(event.member)} no longer offers itself as {_role(event)}"
        case RequestCreated():
            return f"{name(event.buyer)} posts the request and locks {ether(event.escrow_wei)}"
        case TakenOn():
            return f"{name(event.aggregator)} takes it on"
        case Accepted():
            return f"{name(event.owner)} accepts"
        case Declined():
            return f"{name(event.owner)} declines"
        case Closed():
            return f"acceptances end with {event.owners} owners"
        case DealBlockFixed():
            return f"roles will come from the hash of block {event.deal_block}"
        case RolesDealt():
            trainers, validators = (", ".join(map(name, people)) for people in (event.trainers, event.validators))
            return f"{trainers} will train, {validators} will validate"
        case MetricRecorded():
            return f"round {event.round}: the mean squared error is {number(float(from_units(event.mse)))}"
        case ResultSubmitted():
            first, last = (number(float(from_units(mse))) for mse in (event.statement.initial_mse, event.statement.final_mse))
            return f"the validators' result is submitted: from {first} to {last}"
        case RefutationAdvanced():
            return f"{name(event.refuter)} checks the opening: {event.steps_done} of {event.steps_needed} steps"
        case Confirmed():
            return "the buyer confirms the result"
        case Settled():
            return f"settled: the error fell by {percent(float(from_units(event.improvement)), 2)}, {ether(event.refund_wei)} go back"
        case Cancelled():
            return f"the buyer takes it back, {ether(event.refund_wei)} return"
        case Failed():
            return f"it failed ({event.reason.name.lower().replace('_', ' ')}), {ether(event.refund_wei)} return to the buyer"
        case Credited():
            return f"{name(event.account)} may withdraw {ether(event.amount_wei)} more"
        case Withdrawn():
            return f"{name(event.account)} withdraws {ether(event.amount_wei)}"
    raise ValueError(f"{type(event).__name__} is an event without a text")


def accounts_of(event: Event) -> tuple[str, ...]:
    """Every account that an event names."""
    found: list[str] = []
    for field in ("member", "buyer", "aggregator", "owner", "refuter", "account", "recipient"):
        if (address := getattr(event, field, None)) is not None:
            found.append(address)
    if isinstance(event, RolesDealt):
        found += [*event.trainers, *event.validators]
    return tuple(dict.fromkeys(found))


def _role(event: Registered | Left) -> str:
    return event.role.name.lower().replace("_", " ")
