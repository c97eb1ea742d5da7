"""A table of plain data: headings, rows, buttons in rows. What it shows is text; nothing of it is read as HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anywidget
import traitlets

STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what is shown.
        title: shown when it is pointed at, and read to who cannot see.
        tone: of a badge around the text: quiet, call, busy, good or bad; empty for plain text.
        sign: stands before a badge's text.
        action: a button instead of text; clicking it calls `on_action` with this name and the row's.
        css: classes of the cell's content, such as `t-accept`.
        numeric: whether it stands at the right.
        enabled: whether the button can be clicked.
    """

    text: str
    title: str = ""
    tone: str = ""
    sign: str = ""
    action: str = ""
    css: str = ""
    numeric: bool = False
    enabled: bool = True


@dataclass(frozen=True)
class Row:
    """A row: a name that stays when its content changes, and its cells."""

    id: str
    cells: tuple[Cell, ...]
    chosen: bool = False


class Table(anywidget.AnyWidget):
    """Rows under headings.

    Attributes:
        caption: what the table is of; read out, and shown above it.
        headings: of the columns.
        empty: shown instead of rows where there are none.
    """

    _esm = STATIC / "table.js"
    caption = traitlets.Unicode("").tag(sync=True)
    headings = traitlets.List(traitlets.Unicode()).tag(sync=True)
    rows = traitlets.List(traitlets.Dict()).tag(sync=True)
    empty = traitlets.Unicode("").tag(sync=True)

    def __init__(self, caption: str, headings: Sequence[str], *, empty: str = "nothing yet", css: str = "") -> None:
        super().__init__(caption=caption, headings=list(headings), empty=empty)
        self._listeners: list[Callable[[str, str], None]] = []
        self.on_msg(self._receive)
        if css:
            self.add_class(css)

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows instead of those before."""
        fresh = [asdict(row) | {"cells": [asdict(cell) for cell in row.cells]} for row in rows]
        if fresh != self.rows:
            self.rows = fresh

    def on_action(self, listener: Callable[[str, str], None]) -> None:
        """Call a function with an action's name and its row's when its button is clicked."""
        self._listeners.append(listener)

    def _receive(self, _: object, content: Any, __: object) -> None:
        action, row = content.get("action"), content.get("row")
        offered = any(one["id"] == row and any(cell["action"] == action and cell["enabled"] for cell in one["cells"]) for one in self.rows)
        if offered:
            for listener in self._listeners:
                listener(action, row)
