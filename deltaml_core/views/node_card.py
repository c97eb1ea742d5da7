"""Whether the node of who has logged in runs, and a way to run it here."""

from __future__ import annotations

import time
from html import escape

import ipywidgets as widgets

from deltaml_core.node.hosting import HostedNode, host
from deltaml_core.views import background
from deltaml_core.views.formats import ago
from deltaml_core.views.funding import Funding
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Session


class NodeCard(widgets.VBox):
    """The node's state; its last error; a button that runs it in this page's kernel where it runs nowhere."""

    def __init__(self, session: Session, source: Source) -> None:
        self._session = session
        self._funding = Funding(session, source)
        self._hosted: HostedNode | None = None
        self._said = widgets.HTML()
        self._run = widgets.Button(description="Run it on this page", button_style="primary", layout={"width": "auto", "display": "none"})
        self._run.add_class("t-run-node")
        self._run.on_click(lambda _: self._start())
        self._error = widgets.HTML()
        super().__init__([self._said, self._run, self._funding, self._error])
        self.add_class("t-node")

    def show(self, sight: Sight) -> None:
        """Show the node's state."""
        assert sight.node is not None
        self._funding.show(sight)
        process = sight.node.process
        here = self._hosted is not None and self._hosted.is_running
        self._run.layout.display = None if process is None and not here else "none"
        if process is None:
            self._tell("d-banner d-warn", "Your node does not run: nothing is answered, trained or paid out for you until it does.")
        else:
            self._tell(
                "d-muted", "Your node runs on this page, until the page is closed." if here else f"Your node runs as process {process}."
            )
        last = sight.node.last_error
        shown = last is not None and time.time() - last[0] < 3600
        self._error.value = f'<p class="d-muted">Its last error, {ago(last[0])}: {escape(last[1])}</p>' if shown and last else ""

    def stop(self) -> None:
        """End a node that runs on this page."""
        if self._hosted is not None:
            self._hosted.stop()

    def _start(self) -> None:
        self._run.disabled = True
        self._tell("d-muted", "Starting your node …")
        background.do(self._host, self._started, self._refused)

    def _host(self) -> HostedNode:
        hosted = host(self._session.home, self._session.password)
        hosted.start()
        return hosted

    def _started(self, hosted: HostedNode) -> None:
        self._hosted, self._run.disabled = hosted, False

    def _refused(self, why: str) -> None:
        self._run.disabled = False
        self._error.value = f'<p class="d-bad" role="alert">{escape(why)}</p>'

    def _tell(self, css: str, text: str) -> None:
        self._said.value = f'<p class="{css}" role="status">{escape(text)}</p>'
