"""plotly's figure widget, made to appear on a slow machine too: its JavaScript comes once a page, and a page always knows all it shows."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import ipywidgets as widgets
import plotly.graph_objects as go
import traitlets
from plotly.serializers import custom_serializers

from deltaml_core.views.table import STATIC


class Library(widgets.Widget):
    """plotly.js as a page gets it: never shown, only read by figures.

    Attributes:
        code: the JavaScript, UTF-8, 5 MB.
    """

    code = traitlets.Bytes().tag(sync=True)


@cache
def _library() -> Library:
    """This kernel's only one."""
    return Library(code=files("plotly").joinpath("package_data", "plotly.min.js").read_bytes())


class Picture(widgets.Widget):
    """What a figure shows now, in plotly's JSON schema.

    Attributes:
        data: the traces.
        layout: titles, axes, colours.
    """

    data: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True, **custom_serializers)
    layout = traitlets.Dict().tag(sync=True, **custom_serializers)


class Figure(go.FigureWidget):
    """A figure that a page draws as it is now, whenever it comes to draw it. Clicks reach `on_click`; a reader's zoom stays in the page.

    plotly's own widget carries all of plotly.js in every figure, and tells the page only what changes. anywidget, which it is made with,
    drops what a page is told if a model takes over two seconds to start. So what is shown is in a plain widget's state.
    """

    _esm = STATIC / "figure.js"
    _library = traitlets.Instance(Library).tag(sync=True, **widgets.widget_serialization)
    _picture = traitlets.Instance(Picture).tag(sync=True, **widgets.widget_serialization)

    def __init__(self, **arguments: Any) -> None:
        """What it shows.

        Args:
            arguments: `data`, `layout` and so on, of `plotly.graph_objects.FigureWidget`.
        """
        super().__init__(**arguments)
        self._show()

    @traitlets.default("_library")
    def _first_library(self) -> Library:
        return _library()

    @traitlets.default("_picture")
    def _first_picture(self) -> Picture:
        return Picture()

    def _show(self, *_: object, **__: object) -> None:
        now = self.to_dict()
        with self._picture.hold_sync():
            self._picture.data, self._picture.layout = now["data"], now["layout"]

    _send_restyle_msg = _send_relayout_msg = _send_update_msg = _show
    _send_addTraces_msg = _send_deleteTraces_msg = _send_moveTraces_msg = _show  # noqa: N815 - plotly's names
