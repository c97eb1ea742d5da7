"""Charts: the error over the rounds, contributions, coefficients, an escrow's outcomes. Each says in words what it draws, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go

from deltaml_core.payouts import Outcome
from deltaml_core.views.figure import Figure
from deltaml_core.views.formats import ETHER, ether, number, percent, wei

_TEAL, _AMBER, _SLATE, _ROSE = "#0d9488", "#d97706", "#64748b", "#e11d48"
_HEIGHT = 340


class Chart(widgets.VBox):
    """A figure that follows the page's light or dark scheme, and a sentence with the same content."""

    def __init__(self, title: str, x: str, y: str, traces: Sequence[Any], *, css: str, dark: bool = False, height: int = _HEIGHT) -> None:
        """What it is made of.

        Args:
            title: of the chart.
            x: title of the horizontal axis, with its unit.
            y: of the vertical one.
            traces: to begin with.
            css: class of the root.
            dark: the scheme to begin with.
            height: in pixels.
        """
        self.figure = Figure(
            data=list(traces),
            layout={
                "title": {"text": title, "x": 0, "xref": "paper", "font": {"size": 15}},
                "height": height,
                "autosize": True,
                "margin": {"l": 64, "r": 16, "t": 44, "b": 84},
                "paper_bgcolor": "rgba(0,0,0,0)",
                "plot_bgcolor": "rgba(0,0,0,0)",
                "legend": {"orientation": "h", "y": -0.26, "yanchor": "top", "x": 0},
                "xaxis": {"title": {"text": x}, "automargin": True},
                "yaxis": {"title": {"text": y}, "automargin": True},
                "hovermode": "closest",
            },
        )
        self.figure._config = {"displayModeBar": False, "responsive": True}
        self.words = widgets.HTML()
        super().__init__([self.figure, self.words])
        self.add_class(css)
        self.add_class("d-chart")
        self.paint(dark=dark)

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        text, line = ("#e2e8f0", "#334155") if dark else ("#1e293b", "#e2e8f0")
        axis = {"gridcolor": line, "linecolor": line, "zerolinecolor": line}
        self.figure.update_layout(font={"color": text, "family": "system-ui, sans-serif"}, xaxis=axis, yaxis=axis)

    def say(self, text: str, **data: object) -> None:
        """The chart's content in a sentence; `data` becomes attributes for programs."""
        attributes = "".join(f' data-{name}="{escape(str(value), quote=True)}"' for name, value in data.items())
        self.words.value = f'<p class="d-muted d-words"{attributes}>{escape(text)}</p>'


class MseChart(Chart):
    """The mean squared error after each measured round, as it was recorded on the chain."""

    def __init__(self, history: Sequence[tuple[int, float]] = (), *, local: float | None = None, dark: bool = False) -> None:
        """What it is made of.

        Args:
            history: (round, error); the first one is the reference line.
            local: what owners reach without each other, for comparison where it is known.
            dark: the scheme to begin with.
        """
        measured = go.Scatter(x=[], y=[], name="measured", mode="lines+markers", line={"color": _TEAL, "width": 2.5}, marker={"size": 6})
        measured.hovertemplate = "round %{x}: %{y:,.2f}<extra></extra>"
        first = go.Scatter(x=[], y=[], name="before training", mode="lines", line={"color": _SLATE, "dash": "dash"}, hoverinfo="skip")
        alone = go.Scatter(x=[], y=[], name="owners alone", mode="lines", line={"color": _AMBER, "dash": "dot"}, hoverinfo="skip")
        super().__init__(
            "Mean squared error", "round", "MSE (squared units of the target)", [measured, first, alone], css="t-mse-chart", dark=dark
        )
        self.local = local
        self.show(history)

    def show(self, history: Sequence[tuple[int, float]]) -> None:
        """Draw these points; what is drawn already stays."""
        rounds, errors = [point[0] for point in history], [point[1] for point in history]
        span = [0, max(rounds, default=0)]
        with self.figure.batch_update():
            measured, first, alone = self.figure.data
            measured.x, measured.y = rounds, errors
            first.x, first.y = (span, [errors[0]] * 2) if errors else ([], [])
            alone.x, alone.y = (span, [self.local] * 2) if errors and self.local is not None else ([], [])
            alone.visible = self.local is not None
            self.figure.layout.yaxis.rangemode = "tozero"
        if not errors:
            self.say("No error has been recorded yet.", points=0)
        elif len(errors) == 1:
            self.say(f"Before training the mean squared error is {number(errors[0])}.", points=1)
        else:
            local = "" if self.local is None else f"; owners alone reach {number(self.local)}"
            reached = f"{number(errors[-1])} after round {rounds[-1]}, {len(errors)} measurements{local}."
            self.say(f"From {number(errors[0])} before training to {reached}", points=len(errors))


@dataclass(frozen=True)
class Contribution:
    """A trainer's part: its name, its share of all gains (0 to 1), what it earned or would earn (wei)."""

    name: str
    share: float
    amount_wei: int


class ContributionsChart(Chart):
    """What each trainer contributed, in percent, and what that earns it."""

    def __init__(self, contributions: Sequence[Contribution] = (), *, dark: bool = False) -> None:
        bars = go.Bar(x=[], y=[], orientation="h", marker={"color": _TEAL}, textposition="auto")
        bars.hovertemplate = "%{y}: %{x:.2f} %<br>%{customdata}<extra></extra>"
        super().__init__("Contributions", "share of all trainers' gains (%)", "trainer", [bars], css="t-contributions", dark=dark)
        self.figure.layout.yaxis.autorange = "reversed"
        self.show(contributions)

    def show(self, contributions: Sequence[Contribution]) -> None:
        """Draw these."""
        with self.figure.batch_update():
            (bars,) = self.figure.data
            bars.x = [100 * one.share for one in contributions]
            bars.y = [one.name for one in contributions]
            bars.text = [f"{percent(one.share)} · {ether(one.amount_wei)}" for one in contributions]
            bars.customdata = [wei(one.amount_wei) for one in contributions]
        said = ", ".join(f"{one.name} {percent(one.share)} ({ether(one.amount_wei)})" for one in contributions)
        self.say(said or "No result has been submitted yet.", bars=len(contributions))


class CoefficientsChart(Chart):
    """A bought model's coefficients."""

    def __init__(self, features: Sequence[str], coefficients: Sequence[float], target: str, *, dark: bool = False) -> None:
        colours = [_TEAL if value >= 0 else _ROSE for value in coefficients]
        bars = go.Bar(x=list(features), y=list(coefficients), marker={"color": colours})
        bars.hovertemplate = "%{x}: %{y:,.4f}<extra></extra>"
        super().__init__("Coefficients", "feature", f"{target} per unit", [bars], css="t-coefficients", dark=dark)
        self.say(", ".join(f"{name} {number(value)}" for name, value in zip(features, coefficients, strict=True)))


class OutcomesChart(Chart):
    """Where an escrow goes, for several improvements."""

    def __init__(self, outcomes: Sequence[Outcome] = (), *, dark: bool = False) -> None:
        parts = (("trainers", _TEAL), ("validators", "#2563eb"), ("aggregator", _AMBER), ("refund", _SLATE))
        traces = [go.Bar(x=[], y=[], name=name, marker={"color": colour}) for name, colour in parts]
        super().__init__("What it would cost", "improvement of the error (%)", "ether", traces, css="t-outcomes", dark=dark, height=300)
        self.figure.layout.barmode = "stack"
        self.show(outcomes)

    def show(self, outcomes: Sequence[Outcome]) -> None:
        """Draw these."""
        with self.figure.batch_update():
            names = ("trainers_wei", "validators_wei", "aggregator_wei", "refund_wei")
            for trace, name in zip(self.figure.data, names, strict=True):
                trace.x = [percent(one.improvement, 0) for one in outcomes]
                trace.y = [getattr(one, name) / ETHER for one in outcomes]
                trace.customdata = [wei(getattr(one, name)) for one in outcomes]
                trace.hovertemplate = "%{y:.4f} ether<br>%{customdata}<extra>" + trace.name + "</extra>"
        costs = (
            f"{percent(one.improvement, 0)} better: {ether(one.trainers_wei + one.validators_wei + one.aggregator_wei)}" for one in outcomes
        )
        self.say("; ".join(costs))
