"""Chapter 6: who contributed what: coalitions, orders of joining, and the rules that make shares of them (T§7.5; protocol.md §8)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from deltaml_core import contributions, fixedpoint, models
from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.palette import AMBER, OWNERS, SLATE, TEAL
from deltaml_core.lessons.patients import Shard
from deltaml_core.lessons.sheet import Sheet, on_change, sheet_of_rows
from deltaml_core.measurement import UNITS, Metric
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.views.charts import Chart
from deltaml_core.views.formats import number, percent

STEP, STEPS = 1.5, 100
_SCALE = 60

Members = frozenset[int]


@dataclass(frozen=True)
class Game:
    """Trainers who each train alone, and the error of what any of them know together: the average of their models.

    Everything here is in the clear; in a training the same errors follow from one encrypted Gram matrix, opened once.

    Attributes:
        shards: every owner's rows.
        validators: indices of those who measure; the others play.
    """

    shards: Sequence[Shard]
    validators: tuple[int, ...] = (1,)

    @cached_property
    def trainers(self) -> tuple[int, ...]:
        """Indices of the players."""
        return tuple(index for index in range(len(self.shards)) if index not in self.validators)

    @cached_property
    def _statistics(self) -> list[Statistics]:
        return [Statistics.of(Dataset.of(X, y)) for X, y in self.shards]

    @cached_property
    def _models(self) -> dict[int, Array]:
        start = np.zeros(len(self._statistics[0].b))
        return {index: models.local_steps(self._statistics[index], STEP, STEPS)(start) for index in self.trainers}

    def error(self, members: Collection[int]) -> float:
        """The validators' mean squared error of a coalition's model; nobody's predicts the trainers' mean target."""
        if members:
            weights = np.mean([self._models[index] for index in members], axis=0)
        else:
            weights = np.zeros(len(self._statistics[0].b))
            playing = [self._statistics[index] for index in self.trainers]
            weights[-1] = sum(one.target_sum for one in playing) / sum(one.rows for one in playing)
        return models.mean_squared_error([self._statistics[index] for index in self.validators], weights)

    @cached_property
    def coalitions(self) -> list[Members]:
        """All of them, small ones first."""
        sizes = range(len(self.trainers) + 1)
        return [frozenset(found) for found in chain.from_iterable(combinations(self.trainers, size) for size in sizes)]

    def gains(self, rule: str) -> dict[int, float]:
        """By how much each trainer lowers the error under a rule of `contributions.RULES`; negative where it does harm."""
        rows = sum(self._statistics[index].rows for index in self.validators)

        def metric(names: Sequence[str]) -> Metric:
            return Metric(fixedpoint.encode(self.error([int(name) for name in names]) * rows, 2 * _SCALE), _SCALE, rows)

        found = contributions.gains(rule, [str(index) for index in self.trainers], metric)
        return {index: gain / UNITS for index, gain in zip(self.trainers, found, strict=True)}

    def shares(self, rule: str) -> dict[int, float]:
        """What of the trainers' pay each gets."""
        gained = self.gains(rule)
        return dict(zip(gained, contributions.shares([round(gain * UNITS) for gain in gained.values()]), strict=True))


class CoalitionExplorer(Sheet):
    """Every coalition's error; click a bar, or the trainers, to see one and what each of the others would add."""

    def __init__(self, game: Game) -> None:
        """`game`: up to about six trainers can be told apart."""
        self.game = game
        self.members = {index: widgets.ToggleButton(description=name_of(index), value=False) for index in game.trainers}
        labels = ["nobody" if not found else "+".join(str(index + 1) for index in sorted(found)) for found in game.coalitions]
        bars = go.Bar(x=labels, y=[game.error(found) for found in game.coalitions], marker={"color": SLATE})
        bars.hovertemplate = "owners %{x}: %{y:,.1f}<extra></extra>"
        labels_of = ("coalition (numbers of owners)", "MSE at the validator")
        self.chart = Chart("The error of what they know together", *labels_of, [bars], css="t-coalitions")
        self.chart.figure.data[0].on_click(lambda _, points, __: self._clicked(points.point_inds))
        on_change(list(self.members.values()), self.show)
        super().__init__([widgets.HBox(list(self.members.values())), self.chart])
        self.show()

    @property
    def chosen(self) -> Members:
        """Who is in."""
        return frozenset(index for index, button in self.members.items() if button.value)

    def _clicked(self, places: Sequence[int]) -> None:
        for place in places[:1]:
            for index, button in self.members.items():
                button.value = index in self.game.coalitions[place]

    def show(self) -> None:
        """Draw the coalition as it stands."""
        game, chosen = self.game, self.chosen
        self.chart.figure.data[0].marker.color = [AMBER if found == chosen else SLATE for found in game.coalitions]
        error = game.error(chosen)
        together = " and ".join(name_of(index) for index in sorted(chosen)) or "Nobody"
        said = f"{together}: error {number(error)}."
        if chosen:
            gains = [(index, game.error(chosen - {index}) - error) for index in sorted(chosen)]
            said += " Of that, " + ", ".join(f"{name_of(index)} takes off {gain:,.1f}" for index, gain in gains) + ", if it joins last."
        self.chart.say(said, error=error)


class JoiningOrders(Sheet):
    """An order in which trainers join, what each takes off the error then, and the mean over the orders drawn so far."""

    def __init__(self, game: Game) -> None:
        """`game`: whose trainers join."""
        self.game = game
        self.orders: list[dict[int, float]] = []
        self.button = widgets.Button(description="Another order")
        self.button.on_click(lambda _: self.draw())
        names = [name_of(index) for index in game.trainers]
        traces = [
            go.Bar(x=names, y=[0] * len(names), name="in this order", marker={"color": SLATE}),
            go.Bar(x=names, y=[0] * len(names), name="mean of the orders so far", marker={"color": AMBER}),
            go.Scatter(x=names, y=list(game.gains("shapley").values()), mode="markers", name="Shapley value", marker=_DIAMOND),
        ]
        self.chart = Chart("What each takes off the error when it joins", "", "squared units of progression", traces, css="t-orders")
        super().__init__([self.button, self.chart])
        self.draw()

    def draw(self) -> None:
        """Let them join in an order drawn at random."""
        order = list(self.game.trainers)
        secrets.SystemRandom().shuffle(order)
        self.join(order)

    def join(self, order: Sequence[int]) -> None:
        """Let them join in this order."""
        taken, present, before = {}, list[int](), self.game.error(())
        for index in order:
            present.append(index)
            after = self.game.error(present)
            taken[index], before = before - after, after
        self.orders.append(taken)
        with self.chart.figure.batch_update():
            self.chart.figure.data[0].y = [taken[index] for index in self.game.trainers]
            self.chart.figure.data[1].y = list(self.means().values())
        joined = ", ".join(name_of(index) for index in order)
        self.chart.say(f"In this order: {joined}. Orders drawn so far: {len(self.orders)}.", orders=len(self.orders))

    def means(self) -> dict[int, float]:
        """Each trainer's mean over the orders so far."""
        return {index: float(np.mean([order[index] for order in self.orders])) for index in self.game.trainers}


def shares_chart(title: str, groups: dict[str, dict[int, float]]) -> Sheet:
    """Shares under several rules, or of several markets, side by side."""
    owners = sorted({index for shares in groups.values() for index in shares})
    colours = (TEAL, AMBER, SLATE)
    names = [name_of(index) for index in owners]
    traces = [
        go.Bar(x=names, y=[100 * shares.get(index, 0) for index in owners], name=rule, marker={"color": colour})
        for (rule, shares), colour in zip(groups.items(), colours, strict=False)
    ]
    chart = Chart(title, "", "share of the trainers' pay (%)", traces, css="t-shares-chart")
    chart.figure.update_layout(barmode="group")
    said = [(rule, ", ".join(f"{name_of(index)} {percent(share)}" for index, share in shares.items())) for rule, shares in groups.items()]
    chart.say("; ".join(f"{rule}: {shares}" for rule, shares in said))
    return Sheet([chart])


SMALL = {"": 100, "A": 60, "B": 70, "C": 100, "AB": 40, "AC": 60, "BC": 70, "ABC": 40}
"""The exercise's errors: C adds nothing to anybody."""


def small_game() -> Sheet:
    """The exercise's coalitions."""
    rows = [(members or "nobody", error) for members, error in SMALL.items()]
    return sheet_of_rows("Three trainers", ["coalition", "error"], rows, numeric=[1])


def shapley_exercise() -> Exercise:
    """The shares of three trainers."""

    def metric(members: Sequence[str]) -> Metric:
        return Metric(SMALL["".join(sorted(members))], 0, 1)

    return Exercise(
        contributions.shares(contributions.exact_shapley("ABC", metric)),
        "A takes off 40 when it joins before B and 30 after, B 30 or 20, C nothing whenever it comes.",
        "Write down the six orders of joining, and what each takes off the error in them. The shares are the means, divided by their sum.",
    )


def name_of(index: int) -> str:
    """What people call an owner."""
    return f"owner {index + 1}"


_DIAMOND = {"color": OWNERS[0], "symbol": "diamond", "size": 12}
