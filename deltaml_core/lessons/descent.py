"""Chapter 1: a line through points, its error, and how gradient descent finds it (T§6.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.palette import AMBER, ROSE, SLATE, TEAL
from deltaml_core.lessons.sheet import Sheet, on_change, sheet_of_rows, side_by_side, slider, whole_slider
from deltaml_core.models import largest_stable_step, mean_squared_error
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.views.charts import Chart
from deltaml_core.views.formats import number

_SLOPES, _INTERCEPTS = (-80.0, 280.0), (-60.0, 300.0)
_GRID = 60


@dataclass(frozen=True)
class Descent:
    """What gradient descent did.

    Attributes:
        weights: (rounds + 1, d), the zeros it began with first, intercept last.
        errors: (rounds + 1,), the mean squared error on the training data after each round.
    """

    weights: Array
    errors: Array


def descend(statistics: Statistics, step: float, rounds: int) -> Descent:
    """Gradient descent from zero: `w <- w - (step/m)(A w - b)`. Unlike `models.local_steps` it goes on where the step is too long."""
    weights = [np.zeros(len(statistics.b))]
    for _ in range(rounds):
        w = weights[-1]
        weights.append(w - step / statistics.rows * (statistics.A @ w - statistics.b))
    return Descent(np.array(weights), np.array([mean_squared_error([statistics], w) for w in weights]))


def split_chart(train: Dataset, test: Dataset) -> Sheet:
    """The training part and the test part of one feature."""
    parts = (("training", train, TEAL, "circle"), ("test", test, AMBER, "diamond-open"))
    traces = [
        go.Scatter(x=part.X[:, 0], y=part.y, mode="markers", name=name, marker={"color": colour, "symbol": symbol, "size": 7})
        for name, part, colour, symbol in parts
    ]
    chart = Chart("Patients", "body mass index, in tens above 20 kg/m²", "progression after a year", traces, css="t-split")
    chart.say(f"{train.rows} patients to learn from; {test.rows} are put aside, to see how well the line does on people it has not met.")
    return Sheet([chart])


class LineByHand(Sheet):
    """A line that the reader moves, with the distance of every patient from it."""

    def __init__(self, train: Dataset) -> None:
        """`train`: one feature."""
        self._train, self._statistics = train, Statistics.of(train)
        self.slope = slider("slope w", 0, *_SLOPES, 1, form=".0f")
        self.intercept = slider("intercept b", 100, *_INTERCEPTS, 1, form=".0f")
        points = go.Scatter(x=train.X[:, 0], y=train.y, mode="markers", name="patients", marker={"color": TEAL, "size": 6, "opacity": 0.7})
        misses = go.Scatter(x=[0], y=[0], mode="lines", name="residuals", line={"color": ROSE, "width": 1}, opacity=0.35, hoverinfo="skip")
        line = go.Scatter(x=[0], y=[0], mode="lines", name="the line", line={"color": AMBER, "width": 3})
        labels = ("body mass index, in tens above 20 kg/m²", "progression after a year")
        self.chart = Chart("Find the line by hand", *labels, [misses, points, line], css="t-line")
        on_change([self.slope, self.intercept], self.show)
        super().__init__([self.slope, self.intercept, self.chart])
        self.show()

    @property
    def error(self) -> float:
        """The mean squared error of the line as it stands."""
        return mean_squared_error([self._statistics], np.array([self.slope.value, self.intercept.value]))

    def show(self) -> None:
        """Draw the line as it stands."""
        x, y = self._train.X[:, 0], self._train.y
        said = self.slope.value * x + self.intercept.value
        ends = np.array([x.min(), x.max()])
        with self.chart.figure.batch_update():
            misses, _, line = self.chart.figure.data
            misses.x = np.column_stack([x, x, np.full_like(x, np.nan)]).ravel()
            misses.y = np.column_stack([y, said, np.full_like(x, np.nan)]).ravel()
            line.x, line.y = ends, self.slope.value * ends + self.intercept.value
        self.chart.say(f"Mean squared error of this line: {number(self.error)}.", error=self.error)


class DescentExplorer(Sheet):
    """The cost surface with the path of descent over it, and the line that the path has reached; step and rounds can be moved."""

    def __init__(self, train: Dataset, *, step: float = 0.5, rounds: int = 20) -> None:
        """`train`: one feature."""
        self._train, self._statistics = train, Statistics.of(train)
        self.step = slider("step α", step, 0.05, 1.6, 0.01)
        self.rounds = whole_slider("rounds", rounds, 0, 60)
        self.surface = Chart("Cost surface", "slope w", "intercept b", self._traces(), css="t-surface", height=400)
        self.surface.figure.update_layout(xaxis={"range": _SLOPES}, yaxis={"range": _INTERCEPTS})
        points = go.Scatter(x=train.X[:, 0], y=train.y, mode="markers", name="patients", marker={"color": TEAL, "size": 5, "opacity": 0.6})
        line = go.Scatter(x=[0], y=[0], mode="lines", name="the line reached", line={"color": AMBER, "width": 3})
        labels = ("body mass index, in tens above 20 kg/m²", "progression")
        self.line = Chart("The line it stands for", *labels, [points, line], css="t-reached", height=400)
        self.line.figure.update_layout(yaxis={"range": [-50, 400]})
        on_change([self.step, self.rounds], self.show)
        super().__init__([self.step, self.rounds, side_by_side(self.surface, self.line)])
        self.show()

    @property
    def descent(self) -> Descent:
        """What the sliders ask for."""
        return descend(self._statistics, self.step.value, self.rounds.value)

    def show(self) -> None:
        """Draw the path as the sliders stand."""
        descent = self.descent
        slope, intercept = descent.weights[-1]
        x = self._train.X[:, 0]
        ends = np.array([x.min(), x.max()])
        with self.surface.figure.batch_update():
            path, here = self.surface.figure.data[1:3]
            path.x, path.y, path.customdata = descent.weights[:, 0], descent.weights[:, 1], descent.errors
            here.x, here.y = [slope], [intercept]
        with self.line.figure.batch_update():
            self.line.figure.data[1].x, self.line.figure.data[1].y = ends, slope * ends + intercept
        longest = largest_stable_step(self._statistics)
        outgrows = self.step.value > longest
        how = "It diverges: every round overshoots by more than the last." if outgrows else "It approaches the bottom."
        limit = f"Above a step of {longest:.2f} descent diverges."
        self.surface.say(
            f"After {self.rounds.value} rounds of step {self.step.value:.2f} the error is {number(descent.errors[-1])}. {how} {limit}",
            error=descent.errors[-1],
        )
        self.line.say(f"progression = {number(slope)} · x + {number(intercept)}")

    def _traces(self) -> list[object]:
        slopes, intercepts = np.linspace(*_SLOPES, _GRID), np.linspace(*_INTERCEPTS, _GRID)
        errors = np.array([[mean_squared_error([self._statistics], np.array([w, b])) for w in slopes] for b in intercepts])
        best = np.linalg.solve(self._statistics.A, self._statistics.b)
        surface = go.Contour(
            x=slopes,
            y=intercepts,
            z=np.log10(errors),
            customdata=errors,
            ncontours=16,
            contours={"coloring": "heatmap"},
            colorscale=[[0, "rgba(13,148,136,0.8)"], [0.5, "rgba(13,148,136,0.35)"], [1, "rgba(13,148,136,0.02)"]],
            line={"width": 0.6, "color": "rgba(100,116,139,0.5)"},
            showscale=False,
            hovertemplate="w %{x:.0f}, b %{y:.0f}: error %{customdata:,.0f}<extra></extra>",
        )
        path = go.Scatter(x=[0], y=[0], mode="lines+markers", name="descent", line={"color": AMBER, "width": 2}, marker={"size": 5})
        path.hovertemplate = "w %{x:.1f}, b %{y:.1f}: error %{customdata:,.2f}<extra></extra>"
        here = go.Scatter(x=[0], y=[0], mode="markers", name="reached", marker={"color": ROSE, "size": 12, "symbol": "circle"})
        bottom = go.Scatter(x=[best[0]], y=[best[1]], mode="markers", name="bottom", marker={"color": SLATE, "size": 14, "symbol": "x"})
        return [surface, path, here, bottom]


class LearningCurves(Sheet):
    """The error on the data that is learnt from and on the data put aside, round by round."""

    def __init__(self, train: Dataset, test: Dataset, *, step: float = 1.5, rounds: int = 100) -> None:
        """Any number of features."""
        self._train, self._test = Statistics.of(train), Statistics.of(test)
        self.rounds = whole_slider("rounds", rounds, 10, 1000, 10)
        traces = [
            go.Scatter(x=[0], y=[0], mode="lines", name="training", line={"color": TEAL, "width": 2.5}),
            go.Scatter(x=[0], y=[0], mode="lines", name="test", line={"color": AMBER, "width": 2.5, "dash": "dash"}),
        ]
        self.chart = Chart("Error while learning", "round", "MSE (squared units of progression)", traces, css="t-curves")
        self.chart.figure.update_layout(yaxis={"type": "log"})
        self._step = step
        on_change([self.rounds], self.show)
        super().__init__([self.rounds, self.chart])
        self.show()

    @property
    def errors(self) -> tuple[float, float]:
        """On the training part and on the test part, after the last round."""
        weights = descend(self._train, self._step, self.rounds.value).weights[-1]
        return mean_squared_error([self._train], weights), mean_squared_error([self._test], weights)

    def show(self) -> None:
        """Draw the curves for as many rounds as the slider says."""
        descent = descend(self._train, self._step, self.rounds.value)
        tested = [mean_squared_error([self._test], weights) for weights in descent.weights]
        places = list(range(len(tested)))
        with self.chart.figure.batch_update():
            for trace, values in zip(self.chart.figure.data, (descent.errors, tested), strict=True):
                trace.x, trace.y = places, values
        found = f"training {number(descent.errors[-1])}, test {number(tested[-1])}"
        self.chart.say(f"From {number(descent.errors[0])} to: {found}, after {self.rounds.value} rounds of step {self._step:g}.")


def longest_step_exercise(train: Dataset) -> Exercise:
    """How long may a step be?"""
    return Exercise(
        [largest_stable_step(Statistics.of(train))],
        "beyond 2 divided by the largest eigenvalue of A/m every round overshoots by more than the one before.",
        "Along an eigenvector of A/m with eigenvalue λ, one round multiplies the distance to the bottom by 1 - αλ. When does that shrink?",
    )


def first_rows(dataset: Dataset) -> Sheet:
    """The first patients as a table."""
    rows = [[*(f"{value:.3f}" for value in x), f"{y:.0f}"] for x, y in zip(dataset.X[:5], dataset.y[:5], strict=True)]
    headings = [*dataset.features, dataset.target]
    caption = f"The first 5 of {dataset.rows} patients"
    return sheet_of_rows(caption, headings, rows, numeric=range(len(headings)))
