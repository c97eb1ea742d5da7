"""Chapter 6: what owners of useless data earn: under our shares, and under the rule that the code of 2019 had."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import ipywidgets as widgets
import numpy as np
import plotly.graph_objects as go

from deltaml_core import schemes
from deltaml_core.attacks import Diary, shares_of_2019
from deltaml_core.benchmarks import corruption
from deltaml_core.benchmarks.seats import seated
from deltaml_core.errors import NoiseMetricWarning
from deltaml_core.lessons.coalitions import STEP, STEPS, name_of
from deltaml_core.lessons.palette import AMBER, TEAL
from deltaml_core.lessons.patients import Shard
from deltaml_core.lessons.sheet import Sheet, on_change
from deltaml_core.party import Party
from deltaml_core.transport.base import Role
from deltaml_core.views.charts import Chart
from deltaml_core.views.formats import percent

SCENARIOS: dict[str, Callable[[list[Shard], int], list[Shard]]] = {
    "shuffles its labels": corruption.shuffled_labels,
    "makes its features up": corruption.random_features,
    "says the same of every patient": corruption.constant_target,
    "has five patients only": corruption.tiny,
    "comes twice, under another name": corruption.duplicated,
}
"""What owner 4 of nine does."""


class UselessOwner(Sheet):
    """Nine owners, of whom three validate; owner 4 does one thing or another. Each choice is a whole training."""

    def __init__(self) -> None:
        self.scenario = widgets.Dropdown(options=list(SCENARIOS), description=f"{name_of(corruption.CORRUPTED)}")
        shards = corruption.nine_owners()
        self.honest = corruption.our_shares(shards)
        self.found: dict[int, float] = {}
        traces = [
            go.Bar(x=[], y=[], name="everybody honest", marker={"color": TEAL}),
            go.Bar(x=[], y=[], name="as chosen", marker={"color": AMBER}),
        ]
        self.chart = Chart("Shares of the trainers' pay", "", "share (%)", traces, css="t-useless")
        self.chart.figure.update_layout(barmode="group")
        on_change([self.scenario], self.show)
        super().__init__([self.scenario, self.chart])
        self.show()

    def show(self) -> None:
        """Train with owner 4 as chosen."""
        self.found = corruption.our_shares(SCENARIOS[self.scenario.value](corruption.nine_owners(), corruption.CORRUPTED))
        owners = sorted(self.found)
        with self.chart.figure.batch_update():
            for trace, shares in zip(self.chart.figure.data, (self.honest, self.found), strict=True):
                trace.x = [name_of(index) if index < corruption.OWNERS else f"{name_of(corruption.CORRUPTED)} again" for index in owners]
                trace.y = [100 * shares.get(index, 0) for index in owners]
        earned = sum(share for index, share in self.found.items() if index in (corruption.CORRUPTED, corruption.OWNERS))
        before = self.honest[corruption.CORRUPTED]
        self.chart.say(f"{name_of(corruption.CORRUPTED)} earned {percent(before)} and now earns {percent(earned)}.", earned=earned)


def with_shuffled_labels(shards: Sequence[Shard], owner: int, seed: int = 4) -> list[Shard]:
    """The same owners, one of whose labels belong to others of its patients."""
    X, y = shards[owner]
    return [*shards[:owner], (X, np.random.default_rng(seed).permutation(y)), *shards[owner + 1 :]]


def paid_in_2019(shards: Sequence[Shard], validator: int = 1) -> dict[int, float]:
    """Shares by `MSE(all) - MSE(all without one)`, from what the validator of a whole run was told."""
    diaries: list[Diary] = []

    def keep(party: Party, honest: Role) -> Role:
        diaries.append(Diary(honest))
        return diaries[0]

    terms = {"metrics": "noise", "contributions": "leave_one_out", "rounds": STEPS, "evaluate_every": STEPS, "step": STEP}
    with warnings.catch_warnings():  # nothing is measured here that the page does not speak of
        warnings.simplefilter("ignore", NoiseMetricWarning)
        table = seated(shards, [validator], schemes.generate("plain", 2048), disguises={validator: keep}, **terms)
    table.session.run()
    return {table.owners.index(owner): share for owner, share in shares_of_2019(diaries[0].received).items()}
