"""What the demo shows while it runs: one line an event of the contract, and a bar that grows with the recorded rounds."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from deltaml_core.chain.events import Accepted, Credited, Declined, Event, MetricRecorded, RequestCreated, RolesDealt, Settled, TakenOn
from deltaml_core.chain.types import UNITS_PER_ONE, from_units
from deltaml_core.demo.market import ETHER


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
        self._progress = Progress(
            TextColumn("round {task.completed:>3.0f}/{task.total:.0f}"),
            BarColumn(bar_width=30),
            TextColumn("MSE [bold]{task.fields[mse]:>9}[/] improved [bold green]{task.fields[improvement]:>6}[/]"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Show one event of the contract."""
        match event:
            case RequestCreated():
                self._say(f"{self._name(event.buyer)} posts request {event.id} and locks {event.escrow_wei / ETHER:g} ether")
            case TakenOn():
                self._say(f"{self._name(event.aggregator)} takes request {event.id} on")
            case Accepted():
                self._say(f"{self._name(event.owner)} has matching data and accepts")
            case Declined():
                self._say(f"{self._name(event.owner)} has no matching data and declines")
            case RolesDealt():
                trainers, validators = (", ".join(map(self._name, group)) for group in (event.trainers, event.validators))
                self._say(f"to train: {trainers}; to validate: {validators}")
                self._bar = self._progress.add_task("", total=self._rounds, mse="", improvement="")
            case MetricRecorded():
                self._record(event)
            case Settled():
                self._say(f"settled: improvement {100 * event.improvement / UNITS_PER_ONE:.2f} %")
            case Credited():
                self._say(f"{self._name(event.account)} is credited {event.amount_wei / ETHER:.4f} ether")

    def _record(self, event: MetricRecorded) -> None:
        mse = float(from_units(event.mse))
        if self._initial is None:
            self._initial = mse
        if self._bar is not None:
            improvement = 1 - mse / self._initial if self._initial else 0.0
            self._progress.update(self._bar, completed=event.round, mse=f"{mse:.2f}", improvement=f"{100 * improvement:.2f} %")

    def _name(self, address: str) -> str:
        return self._names.get(address, address)

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", highlight=False)
