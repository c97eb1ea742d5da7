"""The paper's market as it would be run for real: every participant a process of its own, talking HTTP and to the chain."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from deltaml_core import schemes
from deltaml_core.chain.events import Cancelled, Event, Failed, Settled
from deltaml_core.chain.result import check_key_length
from deltaml_core.demo.display import LiveDisplay
from deltaml_core.demo.market import OnEvent
from deltaml_core.demo.paper import PAPER_VALIDATOR, local_mse
from deltaml_core.demo.result import MarketResult, read_result
from deltaml_core.errors import ChainError, InsufficientFundsError
from deltaml_core.local.dashboards import serve
from deltaml_core.local.market import AGGREGATOR, BUYER, ETHER, GAS_MONEY_WEI, LocalMarket, open_market, shards
from deltaml_core.local.supervisor import ProcessFigures
from deltaml_core.node.offer import Offer
from deltaml_core.schedule import schedule
from deltaml_core.session import warn_of
from deltaml_core.terms import TrainingTerms
from deltaml_core.transcript import Transcript

_LOOK_SECONDS = 0.2
_COLOURS = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green")

Report = Callable[[MarketResult], None]
"""Shows what a market came to."""


@dataclass
class Demo:
    """The paper's request on a local market.

    Attributes:
        market: where it is played.
        events: all of the contract's so far.
        on_event: told each of them as it is seen.
    """

    market: LocalMarket
    events: list[Event] = field(default_factory=list)
    on_event: OnEvent = lambda event: None

    def start(self, terms: TrainingTerms, escrow_wei: int, *, shuffle: bool) -> None:
        """Write the buyer's offer, and start every node."""
        market = self.market
        offer = Offer(
            terms=terms,
            aggregator=market.addresses[AGGREGATOR],
            escrow_wei=escrow_wei,
            minimum_owners=len(market.owners),
            maximum_owners=len(market.owners),
            validators=() if shuffle else (market.addresses[market.owners[PAPER_VALIDATOR]],),
        )
        path = market.homes[BUYER].path / "offer.json"
        offer.write(path)
        market.start(aggregator=["--take-on", "all"], owner=["--answer", "match"], buyer=["--offer", str(path), "--confirm"])

    def watch(self, display: LiveDisplay) -> int:
        """Show what happens until the request has ended and nothing is left to do.

        Returns:
            The request's number.

        Raises:
            NodeError: a node gave up.
            ChainError: the request failed.
        """
        while True:
            for event in self.market.tend():
                self.events.append(event)
                display.show(event)
                self.on_event(event)
                if isinstance(event, Cancelled | Failed):
                    raise ChainError(f"request {event.id} ended without a model: {event.refund_wei / ETHER:g} ether went back to the buyer")
            for event in self.events:
                if isinstance(event, Settled) and self._is_over(event.id):
                    return event.id
            time.sleep(_LOOK_SECONDS)

    def _is_over(self, request_id: int) -> bool:
        homes, marketplace = self.market.homes, self.market.marketplace
        kept = homes[BUYER].model(request_id).exists() and homes[AGGREGATOR].transcript(request_id).exists()
        return kept and not any(marketplace.credit_wei(address) for address in self.market.addresses.values())

    def result(self, request_id: int, started: float) -> MarketResult:
        """What it came to; everybody has withdrawn."""
        market = self.market
        bought = json.loads(market.homes[BUYER].model(request_id).read_text(encoding="utf-8"))
        figures, ganache = market.supervisor.figures, market.ganache
        return read_result(
            market.marketplace,
            request_id,
            self.events,
            names={address: name for name, address in market.addresses.items()},
            rows={name: _rows(path) for name, path in zip(market.owners, shards(), strict=True)},
            model=np.array([*bought["coefficients"], bought["intercept"]]),
            transcript=Transcript.load(market.homes[AGGREGATOR].transcript(request_id)),
            gas=market.marketplace.gas_of_all(),
            cpu_seconds=sum(one.cpu_seconds for one in figures.values()),
            wall_seconds=time.perf_counter() - started,
            processes={"ganache": ProcessFigures(ganache.process_id, ganache.restarts, *ganache.usage()), **figures},
        )


def play_processes(
    console: Console,
    terms: TrainingTerms,
    escrow_wei: int,
    folder: Path,
    *,
    report: Report = lambda result: None,
    port: int | None = None,
    shuffle: bool = False,
    dashboards: int | None = None,
    on_event: OnEvent = lambda event: None,
) -> MarketResult:
    """Play the paper's request with every role a process of its own.

    Args:
        console: where progress is shown, every node's lines under its name.
        terms: how to train.
        escrow_wei: what the buyer locks.
        folder: where homes and chain are kept; what an earlier demo left there is removed.
        report: shown the result.
        port: of the chain; None for a free one.
        shuffle: whether the contract deals the roles, instead of the request naming the thesis's validator.
        dashboards: a port: the dashboards are served there, and everything stays until this process is interrupted. None serves none.
        on_event: told each of the contract's events as it is seen.

    Raises:
        DeltaMLError: something was refused; all processes have been stopped.
    """
    check_key_length(terms)
    schedule(terms, schemes.capacity(terms.scheme, terms.key_bits))
    warn_of(terms)
    if escrow_wei >= GAS_MONEY_WEI:
        raise InsufficientFundsError(f"the buyer has {GAS_MONEY_WEI} wei, and needs some of it for gas: it cannot lock {escrow_wei} wei")
    with open_market(folder, lambda name, line: _print(console, name, line), console.print, port=port, anew=True) as market:
        started = time.perf_counter()
        demo = Demo(market, on_event=on_event)
        if dashboards is not None:
            serve(market, console, dashboards, local_mse(terms))
        console.print(f"Starting {len(market.homes)} nodes, their homes are in {folder / 'nodes'}")
        with LiveDisplay(console, terms.rounds, {address: name for name, address in market.addresses.items()}) as display:
            demo.start(terms, escrow_wei, shuffle=shuffle)
            request_id = demo.watch(display)
        if dashboards is None:
            market.supervisor.stop()
        result = demo.result(request_id, started)
        report(result)
        if dashboards is not None:
            console.print("The dashboards stay until you press Ctrl-C")
            while True:
                market.tend()
                time.sleep(_LOOK_SECONDS)
        return result


def _rows(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines()) - 1


def _print(console: Console, name: str, line: str) -> None:
    colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
    console.print(f"  [{colour}]{name:>10}[/] [dim]|[/] {escape(line)}", highlight=False, soft_wrap=True)
