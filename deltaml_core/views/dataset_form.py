"""Adding a data set: by its path on the node's machine, or by upload into the node's home."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as widgets

from deltaml_core.errors import DataError
from deltaml_core.node.shelf import card_of
from deltaml_core.views import background
from deltaml_core.views.deed import outcome_of
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Session

MOST_BYTES = 200 << 20
"""Longer files are added by their path."""


class DatasetForm(widgets.VBox):
    """A path or a file; the running node takes it up and compares it with the open requests."""

    def __init__(self, session: Session, source: Source) -> None:
        self._session, self._source = session, source
        self._purpose: str | None = None
        style, layout = {"description_width": "3em"}, {"width": "min(100%, 30em)"}
        self._path = widgets.Text(description="Path", placeholder="/data/patients.csv", style=style, layout=layout)
        self._path.add_class("t-dataset-path")
        add = widgets.Button(description="Add this file", layout={"width": "auto"})
        add.add_class("t-add-dataset")
        add.on_click(lambda _: self._add(lambda: Path(self._path.value.strip())))
        self._upload = widgets.FileUpload(accept=".csv,.parquet", description="Upload a file", layout={"width": "auto"})
        self._upload.add_class("t-upload-dataset")
        self._upload.observe(self._uploaded, names=["value"])
        self._said = widgets.HTML()
        hint = widgets.HTML('<p class="d-muted">CSV with a header line, or Parquet. The file stays on this machine.</p>')
        super().__init__([hint, widgets.HBox([self._path, add, self._upload]), self._said])

    def show(self, sight: Sight) -> None:
        """Say what became of the last file."""
        if self._purpose is not None and (said := outcome_of(self._purpose)(sight)) is not None:
            self._purpose = None
            self._say(said)

    def _uploaded(self, change: dict[str, object]) -> None:
        files = self._upload.value
        if files:
            name, content = str(files[0]["name"]), bytes(files[0]["content"])
            self._upload.value = ()
            self._add(lambda: self._keep(name, content))

    def _keep(self, name: str, content: bytes) -> Path:
        if len(content) > MOST_BYTES:
            raise DataError(f"{name} is longer than {MOST_BYTES >> 20} MB: add it by its path instead")
        folder = self._session.home.path / "data"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{Path(name).stem}-{hashlib.sha256(content).hexdigest()[:8]}{Path(name).suffix}"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        return path

    def _add(self, where: Callable[[], Path]) -> None:
        def work() -> str:
            path = where().expanduser().resolve()
            card = card_of(path)
            purpose = f"add data set {card.digest} {path}"
            self._source.place("add data set", {"path": str(path)}, purpose)
            return purpose

        self._say("Reading the file …")
        background.do(work, self._asked, lambda why: self._say(why, "d-bad"))

    def _asked(self, purpose: str) -> None:
        self._purpose = purpose
        self._say("Your node takes it up …")

    def _say(self, text: str, tone: str = "d-muted") -> None:
        self._said.value = f'<p role="status" class="{tone}">{escape(text)}</p>'
