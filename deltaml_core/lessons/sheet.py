"""How a lesson's widget stands in its cell: in DeltaML's style, light or dark as its reader has it, with its charts repainted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

import ipywidgets as widgets

from deltaml_core.views.charts import Chart
from deltaml_core.views.pulse import Pulse
from deltaml_core.views.table import STATIC, Cell, Row, Table

_STYLE = STATIC / "deltaml.css"
_IN_A_CELL = (
    ".d-page.d-lesson{padding:0 4px 12px;max-width:1000px;margin:0 !important}"
    ".d-lesson .d-grid{grid-template-columns:repeat(auto-fit,minmax(min(100%,340px),1fr)) !important}"
    ".d-lesson .widget-inline-hbox:not(.widget-html){width:100%;max-width:640px}"
    ".d-lesson .widget-inline-hbox .widget-label{width:200px;text-align:left}"
    ".d-lesson .widget-inline-hbox.widget-html{width:100%}"
    ".d-page.d-lesson .d-table td,.d-page.d-lesson .d-table th{padding:6px 7px;font-size:13px}"
    ".d-page.d-lesson > button.jupyter-button{align-self:flex-start;width:auto}"
)


class Sheet(widgets.VBox):
    """Parts one below the other. Subclasses hold what can be moved; `paint` reaches every chart among the parts."""

    def __init__(self, parts: Sequence[widgets.Widget], *, css: str = "") -> None:
        """`css` is a class of the root, for whoever looks for it."""
        self.pulse = Pulse()
        self.pulse.observe(lambda _: self.paint(dark=self.pulse.dark), names=["dark"])
        style = widgets.HTML(f"<style>{_STYLE.read_text(encoding='utf-8')}{_IN_A_CELL}</style>", layout={"display": "none"})
        super().__init__([style, self.pulse, *parts])
        for name in ("d-page", "d-lesson", *([css] if css else [])):
            self.add_class(name)

    def paint(self, *, dark: bool) -> None:
        """Take on the reader's scheme."""
        for chart in charts_in(self):
            chart.paint(dark=dark)


def charts_in(widget: widgets.Widget) -> Iterator[Chart]:
    """The charts among a widget's parts, at any depth."""
    if isinstance(widget, Chart):
        yield widget
    elif isinstance(widget, widgets.Box):
        for child in widget.children:
            yield from charts_in(child)


def side_by_side(*parts: widgets.Widget) -> widgets.VBox:
    """Parts beside each other where the page is wide enough."""
    box = widgets.VBox(list(parts))
    box.add_class("d-grid")
    return box


def slider(description: str, value: float, low: float, high: float, step: float, *, form: str = ".2f") -> widgets.FloatSlider:
    """A slider with its name in front, which moves the picture while it is dragged."""
    return widgets.FloatSlider(value=value, min=low, max=high, step=step, description=description, readout_format=form)


def whole_slider(description: str, value: int, low: int, high: int, step: int = 1) -> widgets.IntSlider:
    """The same for whole numbers."""
    return widgets.IntSlider(value=value, min=low, max=high, step=step, description=description)


def on_change(changed: Sequence[widgets.Widget], show: Callable[[], None]) -> None:
    """Call `show()` whenever the value of one of these changes."""
    for one in changed:
        one.observe(lambda _: show(), names=["value"])


def sheet_of_rows(
    caption: str, headings: Sequence[str], rows: Sequence[Sequence[object]], *, numeric: Sequence[int] = (), css: str = ""
) -> Sheet:
    """A table of plain text as a sheet of its own; `numeric` are the columns that stand at the right."""
    table = Table(caption, headings, css=css)
    fill(table, rows, numeric=numeric)
    return Sheet([table])


def fill(table: Table, rows: Sequence[Sequence[object]], *, numeric: Sequence[int] = ()) -> None:
    """Show these rows of text; an entry may be a `Cell`."""
    table.show(
        [Row(str(place), tuple(_cell(entry, column in numeric) for column, entry in enumerate(row))) for place, row in enumerate(rows)]
    )


def note(text: str, tone: str = "") -> str:
    """A sentence as HTML in a frame; `tone` is good or bad, and a sign says the same."""
    sign = {"good": "✓ ", "bad": "✗ "}.get(tone, "")
    return f'<div class="d-banner{f" d-{tone}" if tone else ""}"><span aria-hidden="true">{sign}</span>{escape(text)}</div>'


def _cell(entry: object, numeric: bool) -> Cell:
    return entry if isinstance(entry, Cell) else Cell(str(entry), numeric=numeric)


def note_widget(text: str = "", tone: str = "") -> widgets.HTML:
    """Where a `note` stands."""
    return widgets.HTML(note(text, tone) if text else "")
