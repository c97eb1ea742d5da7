"""Chapter 3: many owners learn one model; how far that is from one owner of all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from deltaml_core import models
from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.palette import AMBER, OWNERS, TEAL
from deltaml_core.lessons.patients import diabetes, rows_of
from deltaml_core.lessons.sheet import Sheet, on_change, side_by_side, whole_slider
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.views.charts import Chart
from deltaml_core.views.formats import number

ROWS, STEP, ROUNDS = 440, 1.5, 100
_UNBALANCED = (20, 40, 60, 120, 200)


def _in_equal_parts(dataset: Dataset) -> list[Dataset]:
    return [rows_of(dataset, part) for part in np.split(np.arange(ROWS), 5)]


def _unbalanced(dataset: Dataset) -> list[Dataset]:
    return [rows_of(dataset, part) for part in np.split(np.arange(ROWS), np.cumsum(_UNBALANCED)[:-1])]


def _skewed(dataset: Dataset) -> list[Dataset]:
    return [rows_of(dataset, part) for part in np.split(np.argsort(dataset.y[:ROWS], kind="stable"), 5)]


DEALS: dict[str, Callable[[Dataset], list[Dataset]]] = {
    "equal shares": _in_equal_parts,
    "unbalanced: from 20 to 200 patients": _unbalanced,
    "skewed: each owner sees one kind of patient": _skewed,
}
"""How patients come to be with five owners."""


def deal(how: str) -> list[Dataset]:
    """Five owners' patients, dealt one of the ways of `DEALS`; all 440 of them together whichever way."""
    return DEALS[how](diabetes())


def together(owners: Sequence[Dataset]) -> Dataset:
    """All rows in one place."""
    first = owners[0]
    return Dataset(np.vstack([owner.X for owner in owners]), np.concatenate([owner.y for owner in owners]), first.features, first.target)


@dataclass(frozen=True)
class Comparison:
    """Federated against central learning.

    Attributes:
        federated, central: mean squared error on all patients after each round, (rounds + 1,).
        apart: the largest difference of a final weight.
    """

    federated: Array
    central: Array
    apart: float

    @property
    def excess(self) -> float:
        """By how much the federated error ends above the central one."""
        return float(self.federated[-1] - self.central[-1])


def compare(owners: Sequence[Dataset], *, local_steps: int = 1, rounds: int = ROUNDS) -> Comparison:
    """Average the owners' models every round, and take the same number of steps where all rows are in one place."""
    parts = [Statistics.of(owner) for owner in owners]
    whole = Statistics.of(together(owners))
    start = np.zeros(len(whole.b))
    federated = models.federated_descent(parts, start, STEP, local_steps, rounds)
    central = models.federated_descent([whole], start, STEP, local_steps, rounds)
    found, expected = (np.array([models.mean_squared_error([whole], w) for w in history]) for history in (federated, central))
    return Comparison(found, expected, float(np.abs(federated[-1] - central[-1]).max()))


class FederatedAgainstCentral(Sheet):
    """Who holds which patients, and what that does to the model they learn together; the deal and the local steps can be moved."""

    def __init__(self) -> None:
        self.deal = widgets.Dropdown(options=list(DEALS), description="patients are dealt in")
        self.steps = whole_slider("local steps a round", 1, 1, 100)
        boxes = [go.Box(y=[0], name=f"owner {place + 1}", marker={"color": OWNERS[place]}) for place in range(5)]
        self.owners = Chart("Whose patients", "", "progression", boxes, css="t-deal")
        self.owners.figure.update_layout(showlegend=False)
        lines = [
            go.Scatter(x=[0], y=[0], name="federated", mode="lines", line={"color": TEAL, "width": 5}),
            go.Scatter(x=[0], y=[0], name="all rows in one place", mode="lines", line={"color": AMBER, "width": 2, "dash": "dash"}),
        ]
        self.curves = Chart("Error on all patients", "round", "MSE", lines, css="t-federated")
        self.curves.figure.update_layout(yaxis={"type": "log"})
        on_change([self.deal, self.steps], self.show)
        super().__init__([self.deal, self.steps, side_by_side(self.owners, self.curves)])
        self.show()

    @property
    def comparison(self) -> Comparison:
        """What the controls ask for."""
        return compare(deal(self.deal.value), local_steps=self.steps.value)

    def show(self) -> None:
        """Deal and train anew."""
        owners, found = deal(self.deal.value), self.comparison
        with self.owners.figure.batch_update():
            for trace, owner in zip(self.owners.figure.data, owners, strict=True):
                trace.y = owner.y
        with self.curves.figure.batch_update():
            for trace, errors in zip(self.curves.figure.data, (found.federated, found.central), strict=True):
                trace.x, trace.y = list(range(len(errors))), errors
        self.owners.say("Patients of each owner: " + ", ".join(str(owner.rows) for owner in owners) + ".")
        ends = f"Federated {number(found.federated[-1])}, in one place {number(found.central[-1])}"
        self.curves.say(f"{ends}; the weights are {found.apart:.1e} apart.", apart=found.apart)


def one_round(owners: Sequence[Dataset]) -> tuple[list[Array], list[int], Array]:
    """Each owner's weights after one step from zero, its rows, and the weights after one step on all rows in one place."""
    parts = [Statistics.of(owner) for owner in owners]
    start = np.zeros(len(parts[0].b))
    updates = [models.local_steps(part, STEP, 1)(start) for part in parts]
    whole = Statistics.of(together(owners))
    return updates, [part.rows for part in parts], models.local_steps(whole, STEP, 1)(start)


def averaging_exercise(owners: Sequence[Dataset]) -> Exercise:
    """Average unequal owners so that it is as if all rows were in one place."""
    return Exercise(
        list(one_round(owners)[2]),
        "an owner's gradient is a mean over its rows, so the mean over all rows weighs each owner by its rows.",
        "The gradient on all rows is the sum of the owners' sums, divided by all rows. How much does each owner's mean count in it?",
        tolerance=1e-9,
    )
