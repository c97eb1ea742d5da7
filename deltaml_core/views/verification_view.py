"""The buyer's own check of a result (T§7.1 step 9): every check with its verdict, made on the buyer's machine."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import ipywidgets as widgets

from deltaml_core.verification import Verification
from deltaml_core.views import background
from deltaml_core.views.table import Cell, Row, Table

_VERDICTS = {
    True: Cell("holds", tone="good", sign="✓"),
    False: Cell("does not hold", tone="bad", sign="✕"),
    None: Cell("not possible", tone="quiet", sign="–"),
}


class VerificationView(widgets.VBox):
    """A button that checks, and the checks."""

    def __init__(self, verify: Callable[[], Verification]) -> None:
        """`verify` makes the checks; it is called in a thread."""
        self._verify = verify
        self._button = widgets.Button(description="Verify the result", layout={"width": "auto"})
        self._button.add_class("t-verify")
        self._button.on_click(lambda _: self._begin())
        self._said = widgets.HTML()
        self._table = Table("Checks", ("check", "verdict", "detail"), css="t-checks")
        self._table.layout.display = "none"
        super().__init__([self._button, self._said, self._table])

    def show(self, verification: Verification) -> None:
        """Show what was found."""
        self._button.disabled = False
        self._table.layout.display = None
        self._table.show([Row(check.name, (Cell(check.name), _VERDICTS[check.ok], Cell(check.detail))) for check in verification.checks])
        failed = [check.name for check in verification.checks if check.ok is False]
        done = sum(check.ok is True for check in verification.checks)
        text = f"{len(failed)} checks do not hold: {', '.join(failed)}." if failed else f"{done} checks hold, none fails."
        self._say(text, "d-bad" if failed else "d-good")

    def _begin(self) -> None:
        self._button.disabled = True
        self._say("Checking signatures, openings and coalition errors …", "d-muted")
        background.do(self._verify, self.show, self._refused)

    def _refused(self, why: str) -> None:
        self._button.disabled = False
        self._say(why, "d-bad")

    def _say(self, text: str, tone: str) -> None:
        self._said.value = f'<p role="status" class="{tone}">{escape(text)}</p>'
