"""Figures side by side, each with its name and a word about it: improvement, cost, balance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import ipywidgets as widgets


@dataclass(frozen=True)
class Figure:
    """One figure: its name, the value with its unit, a word about it, what is exact on hover, and a name for programs that look for it."""

    name: str
    value: str
    note: str = ""
    exact: str = ""
    key: str = ""


class Figures(widgets.HTML):
    """A row of figures that wraps on a narrow page."""

    def __init__(self, figures: Sequence[Figure] = ()) -> None:
        super().__init__()
        self.show(figures)

    def show(self, figures: Sequence[Figure]) -> None:
        """Show these."""
        self.value = f'<dl class="d-figures">{"".join(map(_figure, figures))}</dl>'


def _figure(figure: Figure) -> str:
    note = f'<dd class="d-muted">{escape(figure.note)}</dd>' if figure.note else ""
    exact = f' title="{escape(figure.exact, quote=True)}"' if figure.exact else ""
    key = f' data-figure="{escape(figure.key, quote=True)}"' if figure.key else ""
    return f'<div class="d-figure"><dt>{escape(figure.name)}</dt><dd class="d-value"{exact}{key}>{escape(figure.value)}</dd>{note}</div>'
