"""Chapter 5: what a curious buyer makes of what it is sent, with the thesis's measurement and with ours (protocol.md §4, §5)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from deltaml_core import schemes
from deltaml_core.attacks import AttackFailed, BuyersView, Diary, RecoveredRows, everything_readable, recover_rows, residuals_shown
from deltaml_core.benchmarks.seats import seated
from deltaml_core.errors import NoiseMetricWarning
from deltaml_core.lessons.palette import AMBER, OWNERS, TEAL
from deltaml_core.lessons.patients import Shard
from deltaml_core.lessons.sheet import Sheet, fill, note, note_widget, on_change, whole_slider
from deltaml_core.statistics import Array
from deltaml_core.views.charts import Chart
from deltaml_core.views.table import Table

VALIDATOR = 1
ROUNDS, EVERY = 66, 6
"""Terms a curious buyer would post: at 2048 bits each measurement needs a refresh before it, which shows it the weights."""

KEY_BITS = 2048
_SMALLEST_SHOWN = 1e-4


@dataclass(frozen=True)
class Watched:
    """A training of which the buyer kept all it was sent.

    Attributes:
        view: the buyer's.
        truth: the validator's rows, which it should not have.
        mse: as measured, last.
    """

    view: BuyersView
    truth: Shard
    mse: float


def watch(shards: Sequence[Shard], *, metrics: str) -> Watched:
    """Train with a buyer that does all it should, and keeps a diary.

    The integers are those of a run under encryption; they are not encrypted here, which changes nothing for whoever holds the key.
    """
    key = schemes.generate("plain", KEY_BITS)
    rule = "leave_one_out" if metrics == "noise" else "shapley"
    with warnings.catch_warnings():  # the page says what the warning says
        warnings.simplefilter("ignore", NoiseMetricWarning)
        table = seated(shards, [VALIDATOR], key, metrics=metrics, contributions=rule, rounds=ROUNDS, step=1.5, evaluate_every=EVERY)
    diary = Diary(table.session.buyer)
    table.session.transport.join(table.buyer, diary)
    table.session.run()
    view = BuyersView(table.terms, key, list(diary.received))
    return Watched(view, shards[VALIDATOR], table.session.aggregator.history[-1][1].mse)


def after(watched: Watched, measurements: int) -> BuyersView:
    """What the buyer had after so many measurements."""
    last = EVERY * (measurements - 1)
    return replace(watched.view, received=[message for message in watched.view.received if message.round <= last])


def attack(view: BuyersView) -> RecoveredRows | str:
    """The validator's rows, or why they cannot be had."""
    try:
        return recover_rows(view)[0]
    except AttackFailed as failure:
        return str(failure)


class RowsSideBySide(Sheet):
    """The attack after so many measurements as the slider says: rows beside the truth, and every number against the true one."""

    def __init__(self, watched: Watched, features: Sequence[str], *, measurements: int = 12, patients: int = 4) -> None:
        """`patients`: how many rows the table shows."""
        self._watched, self._patients = watched, patients
        self.measurements = whole_slider("measurements seen", measurements, 1, ROUNDS // EVERY + 1)
        self.measurements.continuous_update = False  # each attack takes a second or two
        diagonal = go.Scatter(x=[0], y=[0], mode="lines", name="exactly right", line={"color": AMBER, "dash": "dot"}, hoverinfo="skip")
        points = go.Scatter(x=[0], y=[0], mode="markers", name="a value of a patient", marker={"color": TEAL, "size": 6})
        self.chart = Chart("Every value of every patient", "true", "recovered by the buyer", [diagonal, points], css="t-recovered")
        self.table = Table("The validator's patients", ["patient", "", *features, "progression"], css="t-rows")
        self.verdict = note_widget()
        on_change([self.measurements], self.show)
        super().__init__([self.measurements, self.verdict, self.table, self.chart])
        self.show()

    def show(self) -> None:
        """Attack with what was seen so far."""
        found = attack(after(self._watched, self.measurements.value))
        X, y = self._watched.truth
        truth = np.column_stack([X, y])
        if isinstance(found, str):
            self.verdict.value = note(f"The attack fails: {found}", "good")
            self._draw(truth, None)
            return
        recovered = np.column_stack([found.X, found.y])
        largest = np.abs(recovered - truth).max()
        said = (
            f"All {len(y)} patients are recovered, {X.shape[1]} features and the label of each, from {self.measurements.value} equations "
            f"in {X.shape[1] + 2} unknowns: no value is off by more than {largest:.0e}."
        )
        self.verdict.value = note(said, "bad")
        self._draw(truth, recovered)

    def _draw(self, truth: Array, recovered: Array | None) -> None:
        rows: list[list[str]] = []
        for patient in range(self._patients):
            rows.append([str(patient + 1), "true", *_digits(truth[patient])])
            if recovered is not None:
                rows.append(["", "recovered", *_digits(recovered[patient])])
        fill(self.table, rows, numeric=range(2, 2 + truth.shape[1]))
        scale = np.abs(truth).max(axis=0)
        with self.chart.figure.batch_update():
            line, points = self.chart.figure.data
            line.x = line.y = [-1, 1]
            points.x, points.y = ([], []) if recovered is None else ((truth / scale).ravel(), (recovered / scale).ravel())
        count = 0 if recovered is None else truth.size
        self.chart.say(f"{count} of {truth.size} values recovered; each column is scaled to its largest.", recovered=count)


def what_can_be_read(noise: Watched, verifiable: Watched) -> Sheet:
    """The size of every number that the buyer has in the clear, beside the size of what it is after."""
    X, y = noise.truth
    groups = [
        ("the validator's values", np.concatenate([X.ravel(), y])),
        ("thesis: weights", numbers_in(noise, "refresh")),
        ("thesis: residuals, noise off", np.array(residuals_shown(noise.view))),
        ("ours: all that it decrypts", numbers_in(verifiable, "masked-errors", "open-masked")),
    ]
    look = {"boxpoints": "all", "jitter": 0.6, "pointpos": 0}
    traces = [
        go.Box(y=np.log10(np.maximum(np.abs(values), _SMALLEST_SHOWN)), name=name, marker={"color": colour, "size": 4}, **look)
        for (name, values), colour in zip(groups, OWNERS, strict=False)
    ]
    chart = Chart("What the buyer has in the clear", "", "size, as a power of ten", traces, css="t-readable")
    chart.figure.update_layout(showlegend=False)
    smallest = np.abs(groups[-1][1]).min()
    chart.say(f"Under our protocol the smallest number it can decrypt is {smallest:.0e}: a mask, with an error lost in its last digits.")
    return Sheet([chart])


def numbers_in(watched: Watched, *kinds: str) -> Array:
    """What the buyer decrypts in messages of these kinds."""
    return np.array([reading.number for reading in everything_readable(watched.view) if reading.kind in kinds])


def _digits(row: Array) -> list[str]:
    return [*(f"{value:.3f}" for value in row[:-1]), f"{row[-1]:.1f}"]
