"""The market for everybody: its requests, every event, the gas, and whether the contract holds exactly what it owes."""

from __future__ import annotations

import time

import ipywidgets as widgets

from deltaml_core.chain.picture import MarketPicture
from deltaml_core.chain.types import Role, Status
from deltaml_core.views.figures import Figure, Figures
from deltaml_core.views.formats import ago, badge, ether, wei
from deltaml_core.views.ledger import EventLedger
from deltaml_core.views.request_detail import RequestDetail
from deltaml_core.views.request_table import RequestTable
from deltaml_core.views.source import Sight


def state_figures(market: MarketPicture) -> list[Figure]:
    """The market's state now."""
    return [
        Figure("Open requests", str(len(market.in_status(Status.OPEN, Status.CLOSED))), key="open"),
        Figure("Trainings running", str(len(market.in_status(Status.TRAINING, Status.SUBMITTED))), key="training"),
        Figure("Models sold", str(len(market.in_status(Status.SETTLED))), key="settled"),
        Figure("Paid for work so far", ether(market.paid_wei), "to owners and aggregators", wei(market.paid_wei), "paid"),
    ]


class PublicRequests(widgets.VBox):
    """Every request, and the chosen one in full: what anybody may see."""

    def __init__(self) -> None:
        self._sight: Sight | None = None
        self._chosen: int | None = None
        self._dark = False
        self._table = RequestTable(opens=True)
        self._table.on_action(lambda _, row: self.choose(int(row)))
        self._detail: RequestDetail | None = None
        self._place = widgets.VBox()
        super().__init__([self._table, self._place])

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self._dark = dark
        if self._detail is not None:
            self._detail.paint(dark=dark)

    def show(self, sight: Sight) -> None:
        """Show what was seen."""
        self._sight = sight
        pictures = list(sight.market.requests.values())
        self._table.show_requests(sight.market, pictures, chosen=self._chosen)
        if self._chosen is not None and self._chosen in sight.market.requests:
            one = sight.market.requests[self._chosen]
            if self._detail is None or self._detail.number != self._chosen:
                self._detail = RequestDetail(one, sight.market, dark=self._dark)
                self._place.children = (self._detail,)
            self._detail.show(one, sight.market)

    def choose(self, number: int) -> None:
        """Show one request in full."""
        self._chosen = number
        if self._sight is not None:
            self.show(self._sight)


class MarketDesk(widgets.VBox):
    """The marketplace's page."""

    def __init__(self) -> None:
        self._state, self._money, self._health = Figures(), Figures(), Figures()
        self._balance = widgets.HTML()
        self._requests, self._ledger = PublicRequests(), EventLedger()
        money = [widgets.HTML("<h2>The contract's balance</h2>"), self._money, self._balance]
        health = [widgets.HTML("<h2>The chain</h2>"), self._health]
        events = [widgets.HTML("<h2>Everything that happened</h2>"), self._ledger]
        super().__init__([self._state, widgets.HTML("<h2>Requests</h2>"), self._requests, *money, *health, *events])

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self._requests.paint(dark=dark)

    def show(self, sight: Sight) -> None:
        """Show what was seen."""
        market = sight.market
        locked, owed = market.locked_wei, sum(market.credits_wei.values())
        self._state.show(state_figures(market))
        self._requests.show(sight)
        self._money.show(
            [
                Figure("Locked escrows", ether(locked), exact=wei(locked), key="locked"),
                Figure("+ credits not withdrawn", ether(owed), exact=wei(owed), key="credits"),
                Figure("= the contract holds", ether(market.balance_wei), exact=wei(market.balance_wei), key="balance"),
            ]
        )
        self._balance.value = _equation(locked + owed, market.balance_wei)
        self._health.show(_health(sight))
        self._ledger.show(market)


def _equation(owed_wei: int, balance_wei: int) -> str:
    if owed_wei == balance_wei:
        verdict = f"{badge('good', '✓', 'equal')} to the wei"
    elif balance_wei > owed_wei:
        verdict = f"{badge('busy', '+', 'more')} by {wei(balance_wei - owed_wei)}: somebody forced ether in"
    else:
        verdict = f"{badge('bad', '▲', 'less')} by {wei(owed_wei - balance_wei)}: this must never happen"
    return f'<p data-figure="equation">Locked escrows and credits against what the contract holds: {verdict}.</p>'


def _health(sight: Sight) -> list[Figure]:
    market = sight.market
    fees, gas = sum(fee.wei for fee in market.fees.values()), sum(fee.gas for fee in market.fees.values())
    members = ", ".join(f"{len(market.members[role])} {role.name.lower().replace('_', ' ')}s" for role in Role)
    return [
        Figure("Latest block", str(market.head.number), f"of {ago(market.head.timestamp, time.time())}", market.head.hash, "block"),
        Figure("Answers within", f"{sight.answer_ms:.0f} ms", f"chain {market.chain_id}"),
        Figure("Gas spent", f"{gas:,}", f"{ether(fees)} in {len(market.fees)} transactions", wei(fees), "gas"),
        Figure("Members", str(sum(len(market.members[role]) for role in Role)), members),
        Figure("Contract", f"{market.contract[:8]}…{market.contract[-6:]}", exact=market.contract),
    ]
