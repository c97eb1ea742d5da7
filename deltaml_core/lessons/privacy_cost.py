"""Chapter 8: what differential privacy costs, added by every owner for itself or once over all rows (T§5.4)."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from deltaml_core import models
from deltaml_core.lessons.experiment import ROUNDS, STEP, VALIDATOR
from deltaml_core.lessons.palette import AMBER, BLUE, SLATE, TEAL
from deltaml_core.lessons.patients import Shard
from deltaml_core.lessons.sheet import Sheet, on_change, sheet_of_rows, whole_slider
from deltaml_core.privacy import Guarantee, Release
from deltaml_core.statistics import Dataset, Requirements, Statistics
from deltaml_core.training import declared_ranges
from deltaml_core.views.charts import Chart

DELTA = 1e-6
RUNS = 9
"""Noise is drawn so often for each bar: a bar is the median."""

WAYS = ["every owner for itself", "once over all rows", "no noise", "mean predictor"]


def errors_with_noise(
    trainers: Sequence[Statistics], judge: Statistics, requirements: Requirements, guarantee: Guarantee, *, runs: int = RUNS
) -> list[float]:
    """The median error after the paper's rounds, of noise that every trainer adds to its own sums, and of noise added once to all of them.

    The second needs somebody who sees everybody's sums and can be trusted: that is what global differential privacy assumes.
    """
    A, b = (np.sum([getattr(one, name) for one in trainers], axis=0) for name in ("A", "b"))
    everybody = Statistics(A, b, sum(one.c for one in trainers), sum(one.rows for one in trainers))

    def error(scans: Sequence[Statistics]) -> float:
        noisy = [Release.of(scan, requirements, guarantee).for_training(requirements, STEP) for scan in scans]
        return models.mean_squared_error([judge], models.federated_descent(noisy, np.zeros(len(judge.b)), STEP, 1, ROUNDS)[-1])

    return [float(np.median([error(scans) for _ in range(runs)])) for scans in (trainers, [everybody])]


class PrivacyCost(Sheet):
    """Two bars that follow epsilon and the number of rows, between the training without noise and the mean predictor."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """`shards`: the five owners'."""
        self._shards = shards
        self.epsilon = widgets.FloatLogSlider(value=1, base=10, min=-1, max=2.5, step=0.25, description="epsilon", readout_format=".2g")
        self.rows = whole_slider("rows, times", 20, 1, 200)
        bars = go.Bar(x=WAYS, y=[0.0] * 4, marker={"color": [TEAL, BLUE, SLATE, AMBER]}, hovertemplate="%{x}: %{y:,.0f}<extra></extra>")
        self.chart = Chart("What privacy costs", "where noise is added", "MSE (squared units of the target)", [bars], css="t-privacy-cost")
        on_change([self.epsilon, self.rows], self._show)
        super().__init__([self.epsilon, self.rows, self.chart])
        self._show()

    @property
    def errors(self) -> list[float]:
        """As the bars show them."""
        return [float(value) for value in self.chart.figure.data[0].y]

    def _show(self) -> None:
        epsilon, times = self.epsilon.value, self.rows.value
        local, central, exact, mean = self.chart.figure.data[0].y = errors_at(self._shards, epsilon, times)
        rows = _rows_of(self._shards, times)
        self.chart.say(
            f"Epsilon {epsilon:.3g} (delta {DELTA:g}) and {rows:,} rows an owner: noise of every owner's own leaves "
            f"an error of {local:,.0f}, noise added once over all rows {central:,.0f}; without noise it is {exact:,.0f}, for the mean "
            f"{mean:,.0f} (medians of {RUNS} draws)."
        )


def cost_table(shards: Sequence[Shard], *, epsilon: float = 1.0, times: Sequence[int] = (1, 20, 200)) -> Sheet:
    """The same for some numbers of rows."""
    rows = [(f"{_rows_of(shards, one):,}", *(f"{error:,.0f}" for error in errors_at(shards, epsilon, one))) for one in times]
    headings = ["rows an owner", *WAYS]
    return sheet_of_rows(f"Error with an epsilon of {epsilon:g}", headings, rows, numeric=range(len(headings)), css="t-privacy-table")


def errors_at(shards: Sequence[Shard], epsilon: float, times: int) -> list[float]:
    """The errors of `WAYS`, in that order.

    Args:
        shards: the five owners'.
        epsilon: of the guarantee, with `DELTA`.
        times: how often every row is counted, as if there were so many more patients.
    """
    datasets = [Dataset.of(X, y) for X, y in shards]
    scans = [Statistics(s.A * times, s.b * times, s.c * times, s.rows * times) for s in map(Statistics.of, datasets)]
    judge = scans.pop(VALIDATOR)
    noisy = errors_with_noise(scans, judge, declared_ranges(datasets), Guarantee(epsilon, DELTA))
    start, mean = np.zeros(len(judge.b)), np.zeros(len(judge.b))
    mean[-1] = sum(s.target_sum for s in scans) / sum(s.rows for s in scans)
    exact = models.federated_descent(scans, start, STEP, 1, ROUNDS)[-1]
    return [*noisy, *(models.mean_squared_error([judge], weights) for weights in (exact, mean))]


def _rows_of(shards: Sequence[Shard], times: int) -> int:
    return len(shards[0][1]) * times
