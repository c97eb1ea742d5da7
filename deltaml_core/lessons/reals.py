"""Chapter 2: reals and negative numbers as integers (protocol.md §3; `fixedpoint.py`)."""

from __future__ import annotations

import plotly.graph_objects as go

from deltaml_core import fixedpoint
from deltaml_core.lessons.paillier_by_hand import TinyPaillier
from deltaml_core.lessons.palette import AMBER, TEAL
from deltaml_core.lessons.sheet import Sheet, fill, on_change, slider, whole_slider
from deltaml_core.views.charts import Chart
from deltaml_core.views.table import Table


class FixedPoint(Sheet):
    """A real number as an integer at a scale that can be moved, and what a product does to the scale."""

    def __init__(self) -> None:
        self.first, self.second = slider("a", 2.718, -4, 4, 0.001, form=".3f"), slider("b", -1.618, -4, 4, 0.001, form=".3f")
        self.bits = whole_slider("fractional bits F", 8, 1, 40)
        self.table = Table("Fixed point", ["what", "integer", "stands for", "off by"], css="t-fixed")
        on_change([self.first, self.second, self.bits], self.show)
        super().__init__([self.first, self.second, self.bits, self.table])
        self.show()

    def encoded(self) -> list[tuple[str, int, float, float]]:
        """What each line shows: its name, the integer, what it stands for, what it should stand for."""
        a, b, bits = self.first.value, self.second.value, self.bits.value
        first, second = fixedpoint.encode(a, bits), fixedpoint.encode(b, bits)
        return [
            ("a · 2ᶠ", first, fixedpoint.decode(first, bits), a),
            ("b · 2ᶠ", second, fixedpoint.decode(second, bits), b),
            ("sum, at scale F", first + second, fixedpoint.decode(first + second, bits), a + b),
            ("product, at scale 2F", first * second, fixedpoint.decode(first * second, 2 * bits), a * b),
        ]

    def show(self) -> None:
        """Encode the numbers as the sliders stand."""
        rows = [(what, f"{integer:,}", f"{value:.9f}", f"{abs(value - exact):.1e}") for what, integer, value, exact in self.encoded()]
        fill(self.table, rows, numeric=[1, 2, 3])


def clock(key: TinyPaillier) -> Sheet:
    """What an integer mod n is read as: a clock whose second half counts backwards."""
    residues = list(range(0, key.n, 8))
    traces = [
        go.Scatter(x=residues, y=residues, mode="lines", name="the number mod n", line={"color": AMBER, "dash": "dot"}),
        go.Scatter(
            x=residues, y=[key.signed(a) for a in residues], mode="markers", name="what it is read as", marker={"color": TEAL, "size": 4}
        ),
    ]
    chart = Chart("Negative numbers", "number mod n", "read as", traces, css="t-clock", height=300)
    chart.say(f"Beyond {key.n // 2} numbers are read as negative. A sum that passes it comes back at the other end, and nothing tells.")
    return Sheet([chart])


def overflow(key: TinyPaillier, a: int, b: int) -> str:
    """What a sum that does not fit is taken for."""
    found = key.decrypt(key.encrypt(a) * key.encrypt(b) % key.n_squared)
    return f"{a} + {b} = {a + b}, but unlocked it is {found}: the key holds numbers up to {key.n // 2} only"
