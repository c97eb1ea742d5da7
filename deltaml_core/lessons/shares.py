"""Chapter 2: secret sharing in one picture: a number in three parts, each of which says nothing of it.

    a = a_1 + a_2 + a_3 mod P        two of the parts are drawn at random, the third is what is missing

Sums need no message: each party adds its parts. No two parties together learn anything, and there is no key at all; but the
parties must not all collude.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import ipywidgets as widgets
import plotly.graph_objects as go

from deltaml_core.lessons.palette import OWNERS
from deltaml_core.lessons.sheet import Sheet, on_change, whole_slider
from deltaml_core.views.charts import Chart

PRIME = 1009
PARTIES = 3


def share(value: int, parties: int = PARTIES, prime: int = PRIME) -> list[int]:
    """Parts in [0, prime) that sum to the value mod prime; all but one of them are uniform and independent of it."""
    parts = [secrets.randbelow(prime) for _ in range(parties - 1)]
    return [*parts, (value - sum(parts)) % prime]


def join(parts: Sequence[int], prime: int = PRIME) -> int:
    """The value."""
    return sum(parts) % prime


class SecretSharing(Sheet):
    """Two numbers in parts, and their sum out of each party's own parts."""

    def __init__(self) -> None:
        self.a, self.b = whole_slider("a", 300, 0, 500), whole_slider("b", 120, 0, 500)
        again = widgets.Button(description="Share anew")
        again.on_click(lambda _: self.show())
        traces = [go.Bar(x=[], y=[], name=f"party {party + 1}", marker={"color": OWNERS[party]}) for party in range(PARTIES)]
        self.chart = Chart("Three parts of a number", "", f"each part, below {PRIME}", traces, css="t-shares")
        self.chart.figure.update_layout(barmode="group", yaxis={"range": [0, PRIME]})
        on_change([self.a, self.b], self.show)
        super().__init__([self.a, self.b, again, self.chart])
        self.show()

    def show(self) -> None:
        """Share both numbers anew."""
        parts = [share(self.a.value), share(self.b.value)]
        self.summed = [(first + second) % PRIME for first, second in zip(*parts, strict=True)]
        with self.chart.figure.batch_update():
            for party, trace in enumerate(self.chart.figure.data):
                trace.x = ["a", "b", "a + b"]
                trace.y = [parts[0][party], parts[1][party], self.summed[party]]
        added = " + ".join(map(str, self.summed))
        self.chart.say(f"{added} = {join(self.summed)} mod {PRIME}: that is {self.a.value} + {self.b.value}, and no party saw a or b.")
