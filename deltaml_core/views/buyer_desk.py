"""What a Model Buyer sees and does (T§7.7, figure 7.7): its requests, a new one, each one in full, its models."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import ipywidgets as widgets

from deltaml_core.bought import BoughtModel
from deltaml_core.chain.picture import RequestPicture
from deltaml_core.chain.types import Role, Status
from deltaml_core.dictionary import DataDictionary
from deltaml_core.errors import NodeError
from deltaml_core.verification import verify_result
from deltaml_core.views import background
from deltaml_core.views.deed import Deed, Plan, outcome_of
from deltaml_core.views.earnings import Withdrawal
from deltaml_core.views.figures import Figure, Figures
from deltaml_core.views.formats import ether, wei
from deltaml_core.views.model_view import ModelView
from deltaml_core.views.node_card import NodeCard
from deltaml_core.views.refutation_form import RefutationForm
from deltaml_core.views.request_detail import RequestDetail, cost_so_far
from deltaml_core.views.request_form import RequestForm
from deltaml_core.views.request_table import RequestTable
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Session
from deltaml_core.views.table import Cell
from deltaml_core.views.verification_view import VerificationView

_COLUMNS = ("request", "state", "asks for", "owners", "escrow", "error now", "improvement", "accepts until")


class BuyerDesk(widgets.VBox):
    """A model buyer's page, once its wallet is open."""

    def __init__(self, session: Session, source: Source, dictionaries: Sequence[DataDictionary], *, local: float | None = None) -> None:
        """What it is made of.

        Args:
            session: whose page it is.
            source: what it looks at, and where it leaves orders.
            dictionaries: of the data that may be asked for.
            local: what the demo's owners reach without each other.
        """
        self._session, self._source, self._local = session, source, local
        self._sight: Sight | None = None
        self._chosen: int | None = None
        self._newest = 0
        self._dark = False
        self._node, self._figures, self._withdrawal = NodeCard(session, source), Figures(), Withdrawal(session, source)
        self._table = RequestTable("Your requests", columns=_COLUMNS, extra=("cost so far",), opens=True)
        self._table.on_action(lambda action, row: self.choose(int(row)))
        self._form = RequestForm(dictionaries)
        self._post = Deed("Post the request", self._plan_post, css="t-new-request")
        fold = widgets.Accordion([widgets.VBox([self._form, self._post])], titles=("New request",))
        fold.add_class("t-new-request-form")
        self._detail = widgets.VBox()
        self._parts: _Detail | None = None
        super().__init__([self._node, self._figures, self._withdrawal, widgets.HTML("<h2>Requests</h2>"), self._table, fold, self._detail])

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self._dark = dark
        self._form.paint(dark=dark)
        if self._parts is not None:
            self._parts.paint(dark=dark)

    def show(self, sight: Sight) -> None:
        """Show what was seen."""
        self._sight = sight
        market, me = sight.market, self._session.address
        mine = [one for one in market.requests.values() if one.request.buyer == me]
        self._node.show(sight)
        locked, credit = sum(one.request.locked_wei for one in mine), market.credits_wei.get(me, 0)
        self._figures.show(
            [
                Figure("In escrow", ether(locked), "locked for your requests", wei(locked), "locked"),
                Figure("To withdraw", ether(credit), "refunds held for you", wei(credit), "credit"),
                Figure("Requests", str(len(mine))),
                Figure("Models bought", str(sum(one.request.status is Status.SETTLED for one in mine))),
            ]
        )
        self._withdrawal.show(sight)
        self._table.show_requests(market, mine, extra=lambda one: (_cost(one),), chosen=self._chosen)
        self._form.update({market.name(address): address for address in market.members[Role.FEDERATED_AGGREGATOR]}, sight.balance_wei)
        self._post.show(sight)
        if self._chosen is not None and mine and max(one.request.id for one in mine) > self._newest:
            self._chosen = None  # a request that has just been posted
        self._newest = max((one.request.id for one in mine), default=0)
        if self._chosen is None and mine:
            self._chosen = max(one.request.id for one in mine)
        if self._chosen is not None and self._chosen in market.requests:
            self._show_detail(sight)

    def choose(self, number: int) -> None:
        """Show one request in full."""
        self._chosen = number
        if self._sight is not None:
            self.show(self._sight)

    def _show_detail(self, sight: Sight) -> None:
        assert self._chosen is not None
        one = sight.market.requests[self._chosen]
        if self._parts is None or self._parts.number != self._chosen:
            self._parts = _Detail(self._session, self._source, one, sight, local=self._local, dark=self._dark)
            self._detail.children = (self._parts,)
        self._parts.show(one, sight)

    def _plan_post(self) -> Plan:
        offer = self._form.offer()
        if self._sight is not None and offer.escrow_wei >= self._sight.balance_wei:
            raise NodeError(f"your wallet holds {ether(self._sight.balance_wei)}: it cannot lock {ether(offer.escrow_wei)} and pay the gas")
        again = 1 + sum(order.action == "post" for order in self._sight.node.orders.values()) if self._sight and self._sight.node else 1
        purpose = f"post {offer.token} {again}"
        question = (
            f"Your node makes a key of {offer.terms.key_bits} bits, posts the request and locks {ether(offer.escrow_wei)}. "
            "You can take it back until acceptances end; what the owners do not earn returns to you."
        )
        return Plan(
            question,
            f"Yes, lock {ether(offer.escrow_wei)}",
            lambda: self._source.place("post", {"offer": offer.to_json()}, purpose),
            outcome_of(purpose),
        )

    def close_desk(self) -> None:
        """End what runs on this page."""
        self._node.stop()


class _Detail(widgets.VBox):
    """A request of the buyer's own: beside what everybody sees, its decisions and its model."""

    def __init__(self, session: Session, source: Source, one: RequestPicture, sight: Sight, *, local: float | None, dark: bool) -> None:
        self.number, self._one = one.request.id, one
        self._session, self._source, self._dark = session, source, dark
        self._detail = RequestDetail(one, sight.market, local=local, dark=dark)
        self._cancel = Deed("Take it back", self._plan_cancel, css="t-cancel")
        self._confirm = Deed("Confirm the result", self._plan_confirm, css="t-confirm")
        self._refute = RefutationForm(self.number, source)
        self._verification = VerificationView(lambda: verify_result(source.marketplace(), self._one, source.mail, session.address))
        self._decision = widgets.VBox([widgets.HTML("<h3>The result</h3>"), self._verification, self._confirm, self._refute])
        self._model_place = widgets.VBox()
        self._model: ModelView | None = None
        self._reading = False
        super().__init__([self._detail, self._cancel, self._decision, self._model_place])

    def paint(self, *, dark: bool) -> None:
        self._dark = dark
        self._detail.paint(dark=dark)
        if self._model is not None:
            self._model.paint(dark=dark)

    def show(self, one: RequestPicture, sight: Sight) -> None:
        self._one, status = one, one.request.status
        self._detail.show(one, sight.market)
        self._cancel.layout.display = None if status is Status.OPEN or self._cancel.busy else "none"
        self._decision.layout.display = None if status in (Status.SUBMITTED, Status.SETTLED) else "none"
        can_decide = status is Status.SUBMITTED and not one.confirmed
        self._confirm.layout.display = None if status is Status.SUBMITTED or self._confirm.busy else "none"
        self._confirm.allow(can_decide, "it was confirmed")
        self._refute.layout.display = None if can_decide or self._refute.busy else "none"
        for deed in (self._cancel, self._confirm, self._refute):
            deed.show(sight)
        path = self._session.home.model(self.number)
        if status is Status.SETTLED and self._model is None and not self._reading and path.exists():
            self._reading = True
            background.do(lambda: BoughtModel.read(path), self._show_model, self._no_model)

    def _show_model(self, model: BoughtModel) -> None:
        self._model = ModelView(model, dark=self._dark)
        self._model_place.children = (self._model,)

    def _no_model(self, why: str) -> None:
        self._model_place.children = (widgets.HTML(f'<p class="d-bad" role="alert">{escape(why)}</p>'),)

    def _plan_cancel(self) -> Plan:
        purpose = f"cancel {self.number}"
        question = f"Request {self.number} ends, and its whole escrow is yours to withdraw. You pay the gas of one transaction."
        return Plan(
            question,
            "Yes, take it back",
            lambda: self._source.place("cancel", {"request": self.number}, purpose),
            outcome_of(purpose),
            danger=True,
        )

    def _plan_confirm(self) -> Plan:
        purpose = f"confirm {self.number}"
        question = (
            f"You give up the rest of the time in which the result of request {self.number} can be refuted: everybody is paid at once, "
            "and you receive the model. Verify it first."
        )
        return Plan(
            question, "Yes, confirm it", lambda: self._source.place("confirm", {"request": self.number}, purpose), outcome_of(purpose)
        )


def _cost(one: RequestPicture) -> Cell:
    cost = cost_so_far(one)
    return Cell(ether(cost), title=wei(cost), numeric=True)
