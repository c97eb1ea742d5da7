"""Refuting a result: with another statement of the same request that a majority of the validators signed, as a file."""

from __future__ import annotations

import hashlib
import json

import ipywidgets as widgets

from deltaml_core.errors import MessageError
from deltaml_core.views.deed import Deed, Plan, outcome_of
from deltaml_core.views.source import Sight, Source


class RefutationForm(widgets.VBox):
    """A file with the evidence, and the deed."""

    def __init__(self, request: int, source: Source) -> None:
        self._request, self._source = request, source
        self._file = widgets.FileUpload(accept=".json", description="Other statement (JSON)", layout={"width": "auto"})
        self._deed = Deed("Refute the result", self._plan, css="t-refute")
        hint = widgets.HTML(
            '<p class="d-muted">The contract hears evidence only: another statement of this request that most validators signed. '
            "Your node looks at it before it spends gas.</p>"
        )
        fold = widgets.Accordion([widgets.VBox([hint, self._file, self._deed])], titles=("Refute it",))
        super().__init__([fold])

    @property
    def busy(self) -> bool:
        """Whether a refutation is under way."""
        return self._deed.busy

    def show(self, sight: Sight) -> None:
        """Say how far it is."""
        self._deed.show(sight)

    def _plan(self) -> Plan:
        if not self._file.value:
            raise MessageError("choose the file with the other statement and its signatures first", "this page")
        content = bytes(self._file.value[0]["content"])
        try:
            evidence = json.loads(content)
        except ValueError as error:
            raise MessageError(f"the file is no JSON: {error}", "this page") from error
        if not isinstance(evidence, dict):
            raise MessageError("the file holds no statement: expected an object with `statement` and `signatures`", "this page")
        purpose = f"refute {self._request} {hashlib.sha256(content).hexdigest()[:16]}"
        arguments = {"request": self._request, **evidence}
        return Plan(
            f"If the contract accepts the evidence, request {self._request} fails: the owners get the minimum reward, the rest "
            "returns to you, and there is no model. You pay the gas of one transaction.",
            "Yes, refute it",
            lambda: self._source.place("refute", arguments, purpose),
            outcome_of(purpose),
            danger=True,
        )
