"""What a Federated Aggregator sees and does: requests to take on, trainings in progress, who answers, what a round costs, its earnings."""

from __future__ import annotations

import time
from collections.abc import Sequence

import ipywidgets as widgets

from deltaml_core.chain.picture import MarketPicture, RequestPicture
from deltaml_core.chain.types import Request, Status
from deltaml_core.store.mail import RoundTraffic
from deltaml_core.views.deed import Deed, Plan
from deltaml_core.views.earnings import Withdrawal, earned_wei
from deltaml_core.views.figures import Figure, Figures
from deltaml_core.views.formats import ago, ether, size, span, wei
from deltaml_core.views.node_card import NodeCard
from deltaml_core.views.request_detail import RequestDetail
from deltaml_core.views.request_table import RequestTable
from deltaml_core.views.source import NodeSight, Sight, Source
from deltaml_core.views.surroundings import Session
from deltaml_core.views.table import Cell, Row, Table

_COLUMNS = ("request", "state", "asks for", "buyer", "owners", "escrow", "improvement", "accepts until")
_ROUNDS = 12
"""The latest rounds that are listed; the figures are of all."""


class AggregatorDesk(widgets.VBox):
    """A federated aggregator's page, once its wallet is open."""

    def __init__(self, session: Session, source: Source) -> None:
        self._session, self._source = session, source
        self._sight: Sight | None = None
        self._chosen: int | None = None
        self._dark = False
        self._node, self._figures, self._withdrawal = NodeCard(session, source), Figures(), Withdrawal(session, source)
        self._table = RequestTable("Requests that name you", columns=_COLUMNS, extra=("you earned", "take on"), opens=True)
        self._table.on_action(self._act)
        self._deed = Deed()
        self._training = _Training()
        self._detail_place = widgets.VBox()
        self._detail: RequestDetail | None = None
        parts = [self._node, self._figures, self._withdrawal, widgets.HTML("<h2>Requests</h2>"), self._deed, self._table]
        super().__init__([*parts, self._training, self._detail_place])

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self._dark = dark
        if self._detail is not None:
            self._detail.paint(dark=dark)

    def show(self, sight: Sight) -> None:
        """Show what was seen."""
        assert sight.node is not None
        self._sight = sight
        market, me = sight.market, self._session.address
        mine = [one for one in market.requests.values() if one.request.aggregator == me]
        running = [one for one in mine if one.request.status in (Status.TRAINING, Status.SUBMITTED)]
        earned, credit = earned_wei(market, me), market.credits_wei.get(me, 0)
        traffic = [one for rounds in sight.node.traffic.values() for one in rounds]
        self._node.show(sight)
        self._figures.show(
            [
                Figure("Earned so far", ether(earned), exact=wei(earned), key="earned"),
                Figure("To withdraw", ether(credit), "held by the contract for you", wei(credit), "credit"),
                Figure("Trainings in progress", str(len(running))),
                Figure("Messages relayed", f"{sum(one.messages for one in traffic):,}", size(sum(one.bytes for one in traffic))),
            ]
        )
        self._withdrawal.show(sight)
        self._table.show_requests(market, mine, extra=self._extra, chosen=self._chosen)
        self._deed.show(sight)
        if self._chosen is None and mine:
            self._chosen = max(one.request.id for one in (running or mine))
        if self._chosen is not None and self._chosen in market.requests:
            self._show_chosen(market.requests[self._chosen], market, sight.node)

    def _show_chosen(self, one: RequestPicture, market: MarketPicture, node: NodeSight) -> None:
        self._training.show(one.request, market, node)
        if self._detail is None or self._detail.number != one.request.id:
            self._detail = RequestDetail(one, market, dark=self._dark)
            self._detail_place.children = (self._detail,)
        self._detail.show(one, market)

    def _extra(self, one: RequestPicture) -> Sequence[Cell]:
        request, earned = one.request, one.credits.get(self._session.address, 0)
        waits = request.status is Status.OPEN and not request.taken_on
        button = Cell(
            "Take on", f"Take on request {request.id}", action="take on", css="t-take-on mod-primary", enabled=not self._deed.busy
        )
        return (Cell(ether(earned) if earned else "–", title=wei(earned) if earned else "", numeric=True), button if waits else Cell(""))

    def _act(self, action: str, row: str) -> None:
        if action == "take on":
            self._deed.propose(lambda: self._take_on(int(row)))
        else:
            self._chosen = int(row)
            if self._sight is not None:
                self.show(self._sight)

    def _take_on(self, number: int) -> Plan:
        def outcome(sight: Sight) -> str | None:
            if sight.market.requests[number].request.taken_on:
                return f"You have taken on request {number}."
            note = sight.node.notes.get(number) if sight.node else None
            return f"Your node did not: {note.note}" if note is not None and note.answer == "no" and note.note else None

        share = "your share of its escrow is paid when it settles"
        question = f"Your node relays and runs the training of request {number}; {share}. You pay the gas, and you cannot take it back."
        return Plan(question, f"Yes, take on request {number}", lambda: self._source.answer(number, "yes"), outcome)

    def close_desk(self) -> None:
        """End what runs on this page."""
        self._node.stop()


class _Training(widgets.VBox):
    """One training from the relay's point of view: who answers, and what the rounds cost."""

    def __init__(self) -> None:
        self._people = Table("Who takes part", ("who", "part", "answers", "last heard of"), empty="roles are not dealt yet", css="t-people")
        self._rounds = Table("Latest rounds", ("round", "took", "messages", "bytes"), empty="no round yet", css="t-rounds-table")
        pair = widgets.VBox([self._people, self._rounds])
        pair.add_class("d-grid")
        super().__init__([pair])

    def show(self, request: Request, market: MarketPicture, node: NodeSight) -> None:
        waiting, seen = node.waiting.get(request.id, {}), {peer.address: peer.seen for peer in node.peers}
        running = request.status in (Status.TRAINING, Status.SUBMITTED)
        parts = [(address, "trainer") for address in request.trainers] + [(address, "validator") for address in request.validators]
        self._people.show(
            [
                Row(
                    address,
                    (
                        Cell(market.name(address), title=address),
                        Cell(part),
                        _answers(waiting.get(address), running),
                        Cell(_seen(seen, address)),
                    ),
                )
                for address, part in [*parts, *([(request.buyer, "buyer")] if parts else [])]
            ]
        )
        self._rounds.show([_round(one) for one in reversed(node.traffic.get(request.id, ())[-_ROUNDS:])])


def _answers(since: float | None, running: bool) -> Cell:
    if not running:
        return Cell("–")
    if since is None:
        return Cell("up to date", tone="good", sign="✓")
    late = time.time() - since
    return Cell(f"has not taken a message for {span(late)}", tone="bad" if late > 30 else "busy", sign="…")


def _seen(seen: dict[str, float], address: str) -> str:
    return ago(seen[address]) if address in seen else "–"


def _round(one: RoundTraffic) -> Row:
    cells = (Cell(str(one.round), numeric=True), Cell(f"{one.last - one.first:.2f} s", numeric=True))
    return Row(
        str(one.round), (*cells, Cell(str(one.messages), numeric=True), Cell(size(one.bytes), title=f"{one.bytes:,} bytes", numeric=True))
    )
