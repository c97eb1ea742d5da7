"""A button for what costs money or cannot be undone: it says what will happen, asks once, and shows how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import ipywidgets as widgets

from deltaml_core.errors import DeltaMLError
from deltaml_core.store.orders import Order
from deltaml_core.views import background
from deltaml_core.views.source import NodeSight, Sight

Outcome = Callable[[Sight], str | None]
"""What came of something, in a sentence; None while it is under way."""


@dataclass(frozen=True)
class Plan:
    """What a click would do.

    Attributes:
        question: what will happen, in a sentence or two.
        yes: label of the button that does it.
        act: does it, in a thread: writes to the node's store.
        outcome: finds out from what the page sees whether it has happened.
        danger: whether the button warns by its looks, too.
    """

    question: str
    yes: str
    act: Callable[[], object]
    outcome: Outcome
    danger: bool = False


class Deed(widgets.VBox):
    """A click asks, a second one on another button does it; until it has ended there is nothing left to click.

    Attributes:
        busy: whether it was begun and has not ended.
    """

    def __init__(self, label: str = "", plan: Callable[[], Plan] | None = None, *, css: str = "") -> None:
        """What it is made of.

        Args:
            label: of the button; empty for a deed that only `propose` begins, as buttons in a table's rows do.
            plan: what a click on it would do now; may raise a `DeltaMLError`, which is shown.
            css: class of the button.
        """
        self.busy = False
        self._plan: Plan | None = None
        self._progress = widgets.HTML()
        self._rest: tuple[widgets.Widget, ...] = ()
        if plan is not None:
            self._button = widgets.Button(description=label, button_style="primary")
            self._button.add_class(css)
            self._button.on_click(lambda _: self.propose(plan))
            self._rest = (self._button,)
        super().__init__((*self._rest, self._progress))
        self.add_class("d-deed")

    def allow(self, allowed: bool, why_not: str = "") -> None:
        """Whether its own button can be clicked; `why_not` is shown on it otherwise."""
        self._button.disabled = not allowed
        self._button.tooltip = "" if allowed else why_not

    def propose(self, make: Callable[[], Plan]) -> None:
        """Ask whether to do it."""
        if self.busy:
            return
        try:
            plan = make()
        except DeltaMLError as error:
            self._end(str(error))
            return
        yes = widgets.Button(description=plan.yes, button_style="danger" if plan.danger else "primary", layout={"width": "auto"})
        yes.add_class("t-yes")
        yes.on_click(lambda _: self._begin(plan))
        no = widgets.Button(description="Not now", layout={"width": "auto"})
        no.on_click(lambda _: self._end(""))
        question = widgets.HTML(f'<p class="d-question" role="alert">{escape(plan.question)}</p>')
        self.children = [question, widgets.HBox([yes, no])]

    def show(self, sight: Sight) -> None:
        """Say how far it is."""
        if not self.busy or self._plan is None or sight.node is None:
            return
        came_of_it = self._plan.outcome(sight)
        if came_of_it is not None:
            self._end(came_of_it)
        elif sight.node.process is None:
            self._say("It waits: your node does not run. It is done as soon as the node runs again.")
        else:
            self._say("Your node is at it; it is done when the chain has it …")

    def _begin(self, plan: Plan) -> None:
        if self.busy:
            return
        self.busy, self._plan = True, plan
        self.children = [self._progress]
        self._say("Telling your node …")
        background.do(plan.act, lambda _: None, self._end)

    def _end(self, text: str) -> None:
        self.busy, self._plan = False, None
        self.children = [*self._rest, self._progress]
        self._say(text)

    def _say(self, text: str) -> None:
        self._progress.value = f'<p role="status" class="d-progress">{escape(text)}</p>' if text else ""


def outcome_of(purpose: str) -> Outcome:
    """What came of an order."""

    def find(sight: Sight) -> str | None:
        order = None if sight.node is None else sight.node.orders.get(purpose)
        return None if order is None else _told(order)

    return find


def _told(order: Order) -> str | None:
    if order.state == "waiting":
        return None
    return order.note if order.state == "done" else f"It was refused: {order.note}"


def without_node(node: NodeSight) -> str:
    """What a page says of a node that does not run; empty when it does."""
    if node.process is not None:
        return ""
    return "Your node does not run: requests are not answered and nothing is trained until it does."
