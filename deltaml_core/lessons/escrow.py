"""Chapter 7: where a request's ether is, after each of the contract's events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import ipywidgets as widgets
import plotly.graph_objects as go

from deltaml_core.chain.events import Credited, Event, RequestCreated, Withdrawn
from deltaml_core.demo.market import ETHER
from deltaml_core.lessons.palette import OWNERS
from deltaml_core.lessons.sheet import Sheet, on_change
from deltaml_core.views.charts import Chart
from deltaml_core.views.event_text import text_of
from deltaml_core.views.formats import ether

Name = Callable[[str], str]

_MILLISECONDS = 600
_LOCKED = "#94a3b8"
_ALPHA = "66"


@dataclass(frozen=True)
class Money:
    """Where the ether of a request is, in wei.

    Law: `escrow_wei == locked_wei + sum(credited_wei)`, and nobody withdraws more than it was credited.

    Attributes:
        escrow_wei: what the buyer put in.
        credited_wei: by account, everything credited so far.
        withdrawn_wei: by account, what of that has left the contract.
    """

    escrow_wei: int = 0
    credited_wei: dict[str, int] = field(default_factory=dict)
    withdrawn_wei: dict[str, int] = field(default_factory=dict)

    @property
    def locked_wei(self) -> int:
        """What nobody has a claim to yet."""
        return self.escrow_wei - sum(self.credited_wei.values())

    @property
    def held_wei(self) -> int:
        """What the contract holds."""
        return self.escrow_wei - sum(self.withdrawn_wei.values())

    def after(self, event: Event) -> Money:
        """Where it is after one more event."""
        match event:
            case RequestCreated():
                return Money(self.escrow_wei + event.escrow_wei, self.credited_wei, self.withdrawn_wei)
            case Credited():
                return Money(self.escrow_wei, _plus(self.credited_wei, event.account, event.amount_wei), self.withdrawn_wei)
            case Withdrawn():
                return Money(self.escrow_wei, self.credited_wei, _plus(self.withdrawn_wei, event.account, event.amount_wei))
        return self


def _plus(amounts: dict[str, int], account: str, amount_wei: int) -> dict[str, int]:
    return {**amounts, account: amounts.get(account, 0) + amount_wei}


class EscrowFlow(Sheet):
    """The ether as it flows: `hear` draws each event as it comes; afterwards the slider goes back to any of them."""

    def __init__(self, name: Name) -> None:
        """`name`: what addresses are called."""
        self._name = name
        self.events: list[Event] = []
        self.moments: list[Money] = [Money()]
        self.play = widgets.Play(min=0, max=0, value=0, interval=_MILLISECONDS, layout={"width": "230px"})
        self.place = widgets.IntSlider(min=0, max=0, value=0, description="event")
        self._link = widgets.jslink((self.play, "value"), (self.place, "value"))
        flow = go.Sankey(
            arrangement="snap",
            valueformat=".4f",
            valuesuffix=" ether",
            node={"label": ["buyer", "contract"], "pad": 18, "thickness": 14},
            link={"source": [0], "target": [1], "value": [1e-9]},
        )
        self.chart = Chart("Where the ether is", "", "", [flow], css="t-escrow", height=380)
        on_change([self.place], self.show)
        super().__init__([widgets.HBox([self.play, self.place]), self.chart])
        self.show()

    def hear(self, event: Event) -> None:
        """Draw one more event of the contract."""
        self.events.append(event)
        self.moments.append(self.moments[-1].after(event))
        self.play.max = self.place.max = len(self.events)
        self.place.value = len(self.events)

    def show(self) -> None:
        """Draw the ether as it was after the slider's event."""
        place = self.place.value
        money = self.moments[place]
        nodes, links = flows(money, self._name)
        with self.chart.figure.batch_update():
            flow = self.chart.figure.data[0]
            flow.node.label = nodes
            flow.node.color = [_colour(place_) for place_ in range(len(nodes))]
            flow.link.source = [link[0] for link in links]
            flow.link.target = [link[1] for link in links]
            flow.link.value = [max(link[2] / ETHER, 1e-9) for link in links]
            flow.link.color = [_colour(link[1]) + _ALPHA for link in links]
        said = text_of(self.events[place - 1], self._name) if place else "nothing has happened yet"
        balance = f"The contract holds {ether(money.held_wei)}, of which {ether(money.locked_wei)} are locked for the request."
        self.chart.say(f"{place} of {len(self.events)}: {said}. {balance}", held=money.held_wei, locked=money.locked_wei)


def flows(money: Money, name: Name) -> tuple[list[str], list[tuple[int, int, int]]]:
    """Names of the places, and (from, to, wei) between them: buyer, contract, then whoever was credited, then wallets."""
    nodes = ["buyer pays", "contract", "locked", "can be withdrawn", "in wallets"]
    links = [(0, 1, money.escrow_wei), (1, 2, money.locked_wei)]
    for account, amount_wei in money.credited_wei.items():
        nodes.append(f"{name(account)} (refund)" if name(account) == "buyer" else name(account))
        taken_wei = money.withdrawn_wei.get(account, 0)
        here = len(nodes) - 1
        links += [(1, here, amount_wei), (here, 3, amount_wei - taken_wei), (here, 4, taken_wei)]
    return nodes, [link for link in links if link[2] > 0] or [(0, 1, 0)]


def _colour(node: int) -> str:
    return (*OWNERS[1:3], _LOCKED, *OWNERS)[node % (len(OWNERS) + 3)]
