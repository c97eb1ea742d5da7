"""Every event of the contract, newest first, with a filter by request and by account."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from deltaml_core.chain.events import Event, MetricRecorded, RequestEvent
from deltaml_core.chain.picture import MarketPicture
from deltaml_core.views.event_text import accounts_of, text_of
from deltaml_core.views.formats import clock, wei
from deltaml_core.views.table import Cell, Row, Table

_PAGE = 100
_HEADINGS = ("block", "time", "request", "round", "what happened", "account", "gas", "transaction")


class EventLedger(widgets.VBox):
    """The contract's events in order; a click on a request or an account shows only what concerns it."""

    def __init__(self) -> None:
        self._picture: MarketPicture | None = None
        self._request: int | None = None
        self._account: str | None = None
        self._most = _PAGE
        self.table = Table("Ledger", _HEADINGS, empty="no event yet")
        self.table.on_action(self._act)
        self._filter = widgets.HTML()
        self._all = widgets.Button(description="Show everything", layout={"display": "none"})
        self._all.on_click(lambda _: self.only())
        self._more = widgets.Button(description="Show older events", layout={"display": "none"})
        self._more.on_click(self._show_more)
        super().__init__([widgets.HBox([self._filter, self._all]), self.table, self._more])
        self.add_class("t-ledger")

    def show(self, picture: MarketPicture) -> None:
        """Show a picture's events."""
        self._picture = picture
        self._draw()

    def only(self, *, request: int | None = None, account: str | None = None) -> None:
        """Show only the events of a request or of an account; without either, all."""
        self._request, self._account, self._most = request, account, _PAGE
        self._draw()

    def _draw(self) -> None:
        if self._picture is None:
            return
        chosen = [event for event in self._picture.events if self._concerns(event)]
        self.table.show([self._row(event) for event in reversed(chosen[-self._most :])])
        narrowed = self._request is not None or self._account is not None
        of = f"request {self._request}" if self._request is not None else self._picture.name(self._account or "")
        self._filter.value = f"{len(chosen)} events of {escape(of)}" if narrowed else f"{len(chosen)} events"
        self._all.layout.display = None if narrowed else "none"
        self._more.layout.display = None if len(chosen) > self._most else "none"

    def _concerns(self, event: Event) -> bool:
        if self._request is not None:
            return isinstance(event, RequestEvent) and event.id == self._request
        return self._account is None or self._account in accounts_of(event)

    def _row(self, event: Event) -> Row:
        assert self._picture is not None
        fee, name = self._picture.fees.get(event.transaction_hash), self._picture.name
        request = str(event.id) if isinstance(event, RequestEvent) else ""
        account = next(iter(accounts_of(event)), "")
        cells = (
            Cell(str(event.block), numeric=True),
            Cell(clock(fee.time)[11:] if fee else "", title=clock(fee.time) if fee else ""),
            Cell(request, title=f"Only request {request}", action="request", css="d-link") if request else Cell(""),
            Cell(str(event.round) if isinstance(event, MetricRecorded) else "", numeric=True),
            Cell(text_of(event, name)),
            Cell(name(account), title=account, action="account", css="d-link") if account else Cell(""),
            Cell(f"{fee.gas:,}" if fee else "", title=wei(fee.wei) if fee else "", numeric=True),
            Cell(f"{event.transaction_hash[:10]}…", title=event.transaction_hash, css="d-mono"),
        )
        return Row(f"{event.block}-{event.log_index}-{request}-{account}", cells)

    def _act(self, action: str, row: str) -> None:
        _, _, request, account = row.split("-", 3)
        if action == "request":
            self.only(request=int(request))
        else:
            self.only(account=account)

    def _show_more(self, _: object) -> None:
        self._most += _PAGE
        self._draw()
