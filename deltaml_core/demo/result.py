"""What a market's request came to, read from the chain once everybody has withdrawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deltaml_core.chain.events import Credited, Event, MetricRecorded, RequestEvent, ResultSubmitted, Settled
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.types import Request, Statement, from_units
from deltaml_core.contributions import shares
from deltaml_core.errors import ChainError
from deltaml_core.local.supervisor import ProcessFigures
from deltaml_core.payouts import Payouts
from deltaml_core.statistics import Array
from deltaml_core.transcript import Transcript


@dataclass(frozen=True)
class MarketResult:
    """What the chain says after everybody withdrew, and what the buyer received.

    Attributes:
        request: as the contract ended it.
        mse_history: (round, mse) from the contract's events, in squared target units.
        roles: each owner's, "trainer" or "validator", by name.
        rows: how many each owner has, by name.
        contributions: each trainer's share, by name.
        payouts_wei: what each owner and the aggregator were credited, by name.
        refund_wei: what the buyer was credited.
        contract_balance_wei: left in the contract.
        coefficients: of the bought model, a weight a feature.
        intercept: of the bought model.
        gas: used by all transactions on the contract, its deployment included.
        chain: the node's own name and version.
        cpu_seconds: of all roles' training together.
        wall_seconds: from deployment to the last withdrawal.
        transcript: every message of the training.
        statement: what the validators signed and the contract took.
        payouts: what the contract credited, in its order of participants.
        processes: of every participant that ran in a process of its own, by name.
    """

    request: Request
    mse_history: list[tuple[int, float]]
    roles: dict[str, str]
    rows: dict[str, int]
    contributions: dict[str, float]
    payouts_wei: dict[str, int]
    refund_wei: int
    contract_balance_wei: int
    coefficients: Array
    intercept: float
    gas: int
    chain: str
    cpu_seconds: float
    wall_seconds: float
    transcript: Transcript
    statement: Statement
    payouts: Payouts
    processes: Mapping[str, ProcessFigures] = field(default_factory=dict)


def read_result(
    marketplace: Marketplace,
    request_id: int,
    events: Sequence[Event],
    *,
    names: Mapping[str, str],
    rows: Mapping[str, int],
    model: Array,
    transcript: Transcript,
    gas: int,
    cpu_seconds: float,
    wall_seconds: float,
    processes: Mapping[str, ProcessFigures] | None = None,
) -> MarketResult:
    """Put a request's result together.

    Args:
        marketplace: the contract.
        request_id: which request.
        events: all of the contract's so far.
        names: every participant's, by address.
        rows: every owner's, by name.
        model: (d,), as the buyer received it.
        transcript: the aggregator's record.
        gas: of all transactions.
        cpu_seconds: of all roles.
        wall_seconds: from deployment to now.
        processes: of every participant that ran in a process of its own.

    Raises:
        ChainError: the request was not settled.
    """
    request = marketplace.request(request_id)
    own = [event for event in events if isinstance(event, RequestEvent) and event.id == request_id]
    settled = [event for event in own if isinstance(event, Settled)]
    submitted = [event for event in own if isinstance(event, ResultSubmitted)]
    if not settled or not submitted:
        raise ChainError(f"request {request_id} ended as {request.status.name} without a model")
    credited: dict[str, int] = {event.account: event.amount_wei for event in own if isinstance(event, Credited)}
    paid = {names[address]: credited.get(address, 0) for address in names if address != request.buyer}
    roles = {names[trainer]: "trainer" for trainer in request.trainers} | {
        names[validator]: "validator" for validator in request.validators
    }
    return MarketResult(
        request=request,
        mse_history=[(event.round, float(from_units(event.mse))) for event in own if isinstance(event, MetricRecorded)],
        roles=roles,
        rows=dict(rows),
        contributions={names[trainer]: share for trainer, share in zip(request.trainers, shares(request.gains), strict=True)},
        payouts_wei=paid,
        refund_wei=settled[-1].refund_wei,
        contract_balance_wei=marketplace.balance_wei(),
        coefficients=model[:-1],
        intercept=float(model[-1]),
        gas=gas,
        chain=marketplace.web3.client_version,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall_seconds,
        transcript=transcript,
        statement=submitted[-1].statement,
        payouts=Payouts(
            trainers_wei=tuple(credited.get(trainer, 0) for trainer in request.trainers),
            validators_wei=tuple(credited.get(validator, 0) for validator in request.validators),
            aggregator_wei=credited.get(request.aggregator, 0),
            refund_wei=credited.get(request.buyer, 0),
        ),
        processes=processes or {},
    )
