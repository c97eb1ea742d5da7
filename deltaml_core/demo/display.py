"""What the demo shows while it runs: a line an event of the contract, and a bar that grows with the recorded rounds.

Where nobody looks on (a pipe, a file), some of the recorded rounds are lines too, and there is no bar.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deltaml_core.chain.events import (
    Accepted,
    Cancelled,
    Confirmed,
    Declined,
    Event,
    Failed,
    MetricRecorded,
    RequestCreated,
    ResultSubmitted,
    RolesDealt,
    Settled,
    TakenOn,
    Withdrawn,
)
from deltaml_core.chain.types import UNITS_PER_ONE, from_units
from deltaml_core.demo.market import ETHER

LINES = 10
"""About so many recorded rounds become lines where there is no bar."""


class LiveDisplay:
    """Shows the contract's events as they are read from the chain; nothing else reaches it.

    Args:
        console: where to.
        rounds: how many the request asks for.
        names: of the participants, by address.
    """

    def __init__(self, console: Console, rounds: int, names: dict[str, str]) -> None:
        self._console = console
        self._rounds = rounds
        self._names = names
        self._initial: float | None = None
        self._next_line = 0.0
        self._progress = Progress(
            TextColumn(f"  round {{task.completed:>{len(str(rounds))}.0f}}/{rounds}"),
            BarColumn(bar_width=22),
            TextColumn("[bold]{task.fields[figures]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[clock]}"),
            console=console,
            disable=not console.is_interactive,
        )
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Show one event of the contract."""
        match event:
            case RequestCreated():
                self.say(f"{self._name(event.buyer)} posts request {event.id} and locks {_ether(event.escrow_wei)}")
            case TakenOn():
                self.say(f"{self._name(event.aggregator)} takes it on")
            case Accepted():
                self.say(f"{self._name(event.owner)} has matching data and accepts")
            case Declined():
                self.say(f"{self._name(event.owner)} has no matching data and declines")
            case RolesDealt():
                self.say(f"{self._all(event.trainers)} will train, {self._all(event.validators)} will validate")
            case MetricRecorded():
                self._record(event)
            case ResultSubmitted():
                self._progress.stop()
                self.say("aggregator submits the result that the validators signed")
            case Confirmed():
                self.say("buyer confirms it")
            case Settled():
                self.say(
                    f"settled: the error fell by {100 * event.improvement / UNITS_PER_ONE:.2f} %, "
                    f"{_ether(event.refund_wei)} are left for the buyer"
                )
            case Cancelled():
                self.say(f"buyer cancels request {event.id}, {_ether(event.refund_wei)} go back to it")
            case Failed():
                self._progress.stop()
                self.say(f"request {event.id} has failed, {_ether(event.refund_wei)} go back to the buyer")
            case Withdrawn():
                self.say(f"{self._name(event.account):<10} withdraws {event.amount_wei / ETHER:.4f} ether")

    def _record(self, event: MetricRecorded) -> None:
        mse = float(from_units(event.mse))
        if self._initial is None:
            self._initial = mse
        fallen = 100 * (1 - mse / self._initial) if self._initial else 0.0
        figures = f"MSE {mse:8.2f}, " + (f"{fallen:5.2f} % lower" if event.round else "untrained    ")
        if self._progress.disable:
            if event.round >= self._next_line or event.round == self._rounds:
                self._next_line = event.round + self._rounds / LINES
                self.say(f"round {event.round:>{len(str(self._rounds))}}/{self._rounds}: {figures.rstrip()}")
            return
        shown: dict[str, Any] = {"completed": event.round, "figures": figures, "clock": "in all" if event.round == self._rounds else "left"}
        if self._bar is None:
            self._bar = self._progress.add_task("", total=self._rounds, **shown)
            self._progress.start()
        else:
            self._progress.update(self._bar, **shown)

    def _name(self, address: str) -> str:
        return self._names.get(address, address)

    def _all(self, addresses: tuple[str, ...]) -> str:
        return ", ".join(map(self._name, addresses))

    def say(self, text: str) -> None:
        """Show a line of text."""
        self._console.print(f"  {text}", highlight=False, markup=False, soft_wrap=not self._console.is_interactive)


def _ether(amount_wei: int) -> str:
    return f"{amount_wei / ETHER:.4f}".rstrip("0").rstrip(".") + " ether"
