"""One request in full: its state, the error round by round, what it has cost, who contributed what and is paid what."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from deltaml_core.chain.picture import MarketPicture, RequestPicture, reason_of
from deltaml_core.chain.types import Request, Status
from deltaml_core.contributions import shares
from deltaml_core.payouts import split_escrow
from deltaml_core.views.badge import StatusBadge
from deltaml_core.views.charts import Contribution, ContributionsChart, MseChart
from deltaml_core.views.figures import Figure, Figures
from deltaml_core.views.formats import ether, number, percent, wei
from deltaml_core.views.payouts_table import Payout, PayoutsTable
from deltaml_core.views.states import public_state


class RequestDetail(widgets.VBox):
    """A request, drawn anew whenever something has happened to it."""

    def __init__(self, one: RequestPicture, market: MarketPicture, *, local: float | None = None, dark: bool = False) -> None:
        """What it is made of.

        Args:
            one: the request.
            market: where it is.
            local: what owners reach without each other, where that is known (the demo).
            dark: the page's scheme.
        """
        self.number = one.request.id
        self._badge = StatusBadge(public_state(one))
        self._words = widgets.HTML()
        self._figures = Figures()
        self.mse = MseChart(local=local, dark=dark)
        self.contributions = ContributionsChart(dark=dark)
        self.payouts = PayoutsTable()
        charts = widgets.VBox([self.mse, self.contributions])
        charts.add_class("d-grid")
        title = widgets.HTML(f"<h2>Request {one.request.id}</h2>")
        super().__init__([widgets.HBox([title, self._badge]), self._words, self._figures, charts, self.payouts])
        self.add_class("t-detail")
        self._shown: RequestPicture | None = None
        self.show(one, market)

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self.mse.paint(dark=dark)
        self.contributions.paint(dark=dark)

    def show(self, one: RequestPicture, market: MarketPicture) -> None:
        """Draw its present state."""
        if one == self._shown:
            return
        self._shown = one
        request, history = one.request, one.history
        self._badge.show(public_state(one))
        self._words.value = f"<p>{escape(_sentence(one, market))}</p>"
        self._figures.show(_figures(one))
        self.mse.show(history)
        self.contributions.show(_contributions(one, market))
        self.payouts.pay(_payouts(one, market))
        self.contributions.layout.display = None if request.gains else "none"
        self.payouts.layout.display = None if one.credits else "none"


def _sentence(one: RequestPicture, market: MarketPicture) -> str:
    request = one.request
    terms = request.terms
    match request.status:
        case Status.OPEN:
            aggregator = market.name(request.aggregator)
            waits = "" if request.taken_on else f" {aggregator} has not taken it on yet."
            return f"Open: {len(request.owners)} of at least {terms.min_owners} owners have accepted.{waits}"
        case Status.CLOSED:
            return f"{len(request.owners)} owners take part; their roles are dealt at block {request.deal_block}."
        case Status.TRAINING:
            people = (", ".join(map(market.name, group)) for group in (request.trainers, request.validators))
            return "{} train, {} validate, under the eyes of {}.".format(*people, market.name(request.aggregator))
        case Status.SUBMITTED:
            return "The validators' result is on the chain. It can be refuted until the challenge window ends or the buyer confirms it."
        case Status.SETTLED:
            return "Settled: everybody was credited, and the model is the buyer's."
        case Status.CANCELLED:
            return "The buyer took it back before it began; the whole escrow returned."
    return f"It failed ({reason_of(one)}); nobody gets the model."


def cost_so_far(one: RequestPicture) -> int:
    """What the request would cost its buyer if it settled at the last measured error, in wei; what it did cost once it has ended."""
    request, history = one.request, one.history
    if request.status in (Status.SETTLED, Status.FAILED, Status.CANCELLED):
        return request.escrow_wei - one.credits.get(request.buyer, 0)
    if not history or not request.trainers:
        return 0
    errors = [int(error * 10**18) for error in (history[0][1], history[-1][1])]
    terms = request.terms
    paid = split_escrow(
        escrow_wei=request.escrow_wei,
        initial=errors[0],
        final=errors[1],
        gains=[1] * len(request.trainers),
        validators=len(request.validators),
        minimum_wei=terms.minimum_reward_wei,
        shares_bps=(terms.trainers_bps, terms.validators_bps, terms.aggregator_bps),
    )
    return request.escrow_wei - paid.refund_wei


def _figures(one: RequestPicture) -> list[Figure]:
    history, request = one.history, one.request
    cost = cost_so_far(one)
    ended = request.status in (Status.SETTLED, Status.FAILED, Status.CANCELLED)
    figures = [
        Figure("Improvement", percent(one.improvement), "of the mean squared error", key="improvement"),
        Figure("Error now", number(history[-1][1]) if history else "–", f"after round {history[-1][0]}" if history else "", key="mse"),
        Figure("Error before", number(history[0][1]) if history else "–"),
        Figure("Cost" if ended else "Cost so far", ether(cost), f"of {ether(request.escrow_wei)} in escrow", wei(cost), "cost"),
    ]
    if ended:
        refund = one.credits.get(request.buyer, 0)
        figures.append(Figure("Refund", ether(refund), "to the buyer", wei(refund), "refund"))
    return figures


def _trainer_pay(request: Request, one: RequestPicture) -> dict[str, int]:
    if one.credits or not request.gains:
        return {trainer: one.credits.get(trainer, 0) for trainer in request.trainers}
    terms = request.terms
    paid = split_escrow(
        escrow_wei=request.escrow_wei,
        initial=request.initial_mse,
        final=request.final_mse,
        gains=request.gains,
        validators=len(request.validators),
        minimum_wei=terms.minimum_reward_wei,
        shares_bps=(terms.trainers_bps, terms.validators_bps, terms.aggregator_bps),
    )
    return dict(zip(request.trainers, paid.trainers_wei, strict=True))


def _contributions(one: RequestPicture, market: MarketPicture) -> list[Contribution]:
    pay = _trainer_pay(one.request, one)
    return [Contribution(market.name(trainer), share, pay[trainer]) for trainer, share in _shares(one.request).items()]


def _shares(request: Request) -> dict[str, float]:
    """Each trainer's share of all gains; empty before a result."""
    return dict(zip(request.trainers, shares(request.gains), strict=True)) if request.gains else {}


def _payouts(one: RequestPicture, market: MarketPicture) -> list[Payout]:
    request, credits = one.request, one.credits
    if not credits:
        return []
    found = _shares(request)
    parts = [(trainer, "trainer") for trainer in request.trainers] + [(validator, "validator") for validator in request.validators]
    parts += [(request.aggregator, "aggregator"), (request.buyer, "buyer's refund")]
    rows = []
    for address, part in parts:
        if address in credits:
            share = found.get(address) if part == "trainer" else None
            rows.append(Payout(market.name(address), address, part, credits[address], share))
    return rows
