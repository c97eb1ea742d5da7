"""A request's state as a badge, alone or in a table's cell."""

from __future__ import annotations

import ipywidgets as widgets

from deltaml_core.views.formats import badge
from deltaml_core.views.states import LOOKS, State
from deltaml_core.views.table import Cell


class StatusBadge(widgets.HTML):
    """One state, with a sign beside its colour and its meaning on hover."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.show(state)

    def show(self, state: State) -> None:
        """Show this state."""
        look = LOOKS[state]
        self.value = badge(look.tone, look.sign, look.word, look.meaning)


def badge_cell(state: State) -> Cell:
    """The same in a table."""
    look = LOOKS[state]
    return Cell(look.word, title=look.meaning, tone=look.tone, sign=look.sign)
