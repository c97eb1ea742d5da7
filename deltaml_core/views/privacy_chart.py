"""What privacy costs, drawn: error against epsilon (`privacy/curve.py`), between the training without noise and the mean predictor."""

from __future__ import annotations

import plotly.graph_objects as go

from deltaml_core.privacy.curve import PrivacyCurve
from deltaml_core.views.charts import Chart
from deltaml_core.views.formats import number

_TEAL, _AMBER, _SLATE = "#0d9488", "#d97706", "#64748b"


class PrivacyChart(Chart):
    """The median error and where eight runs in ten lie; epsilon on a logarithmic axis."""

    def __init__(self, curve: PrivacyCurve, *, dark: bool = False) -> None:
        """What it is made of.

        Args:
            curve: as `privacy_curve` measured it.
            dark: the scheme to begin with.
        """
        epsilons = [point.epsilon for point in curve.points]
        medians = [point.median for point in curve.points]
        above = [point.high - point.median for point in curve.points]
        below = [point.median - point.low for point in curve.points]
        band = {"type": "data", "array": above, "arrayminus": below, "symmetric": False, "thickness": 1.2}
        measured = go.Scatter(
            x=epsilons, y=medians, error_y=band, name="with noise", mode="lines+markers", line={"color": _TEAL, "width": 2.5}
        )
        measured.hovertemplate = "epsilon %{x}: %{y:,.0f}<extra></extra>"
        ends = [min(epsilons), max(epsilons)]
        exact = go.Scatter(x=ends, y=[curve.without_noise] * 2, name="without noise", mode="lines", line={"color": _SLATE, "dash": "dash"})
        mean = go.Scatter(x=ends, y=[curve.mean_predictor] * 2, name="mean predictor", mode="lines", line={"color": _AMBER, "dash": "dot"})
        axes = f"epsilon of every owner (delta {curve.delta:g})", "MSE (squared units of the target)"
        super().__init__("What privacy costs", *axes, [measured, exact, mean], css="t-privacy-chart", dark=dark)
        self.figure.update_xaxes(type="log")
        first, last = curve.points[0], curve.points[-1]
        self.say(
            f"At epsilon {first.epsilon:g} the mean squared error is {number(first.median)} in the median of {curve.runs} runs, at epsilon "
            f"{last.epsilon:g} it is {number(last.median)}; without noise it is {number(curve.without_noise)}, and the mean predictor's is "
            f"{number(curve.mean_predictor)}.",
            points=len(curve.points),
        )
