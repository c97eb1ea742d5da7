"""A page's pulse: the kernel knows that somebody looks, and the page knows that its kernel lives."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import httpx
import traitlets
from ipykernel.connect import get_connection_file

from deltaml_core.views.table import STATIC

SILENCE_SECONDS = 100.0
"""A kernel nobody has looked at for so long ends: hidden pages are allowed one beat a minute by browsers."""

_LOOK_SECONDS = 5.0
_SHUTDOWN_SECONDS = 10.0

log = logging.getLogger(__name__)


class Pulse(anywidget.AnyWidget):
    """Nothing to see, unless the page has lost its kernel.

    Attributes:
        dark: whether the reader's system is set to dark.
        answered: the last beat that the kernel has heard.
        idle: seconds since the reader's last click, key or turn of the wheel.
    """

    _esm = STATIC / "pulse.js"
    dark = traitlets.Bool(False).tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)
    idle = traitlets.Float(0.0)

    def __init__(self, *, server: str = "", on_first: Callable[[], None] = lambda: None) -> None:
        """What it does beside answering.

        Args:
            server: the Voila that is asked to end this process when nobody looks any more; empty in JupyterLab, where it stays.
            on_first: called when somebody looks for the first time.
        """
        super().__init__()
        self._server, self._on_first = server, on_first
        self._heard: float | None = None
        self.on_msg(self._hear)

    def _hear(self, _: object, content: Any, __: object) -> None:
        first, self._heard = self._heard is None, time.monotonic()
        self.answered = int(content["beat"])
        self.dark = bool(content["dark"])
        self.idle = float(content["idle"])
        if first:
            if self._server:
                threading.Thread(target=self._watch, name="pulse", daemon=True).start()
            self._on_first()

    def _watch(self) -> None:
        while self._heard is not None and time.monotonic() - self._heard < SILENCE_SECONDS:
            time.sleep(_LOOK_SECONDS)
        log.info("nobody looks any more: the page's kernel ends")
        try:
            token = secrets.token_hex(16)  # the server compares the two: a page of another site could not set the cookie
            address, proof = f"{self._server}voila/api/shutdown/{_kernel_name()}", {"Cookie": f"_xsrf={token}", "X-XSRFToken": token}
            httpx.post(address, headers=proof, timeout=_SHUTDOWN_SECONDS)
        except httpx.TransportError as error:
            log.info("and Voila does not answer either: %s", error)
        os._exit(0)


def _kernel_name() -> str:
    """What the server calls this kernel."""
    return Path(get_connection_file()).stem.removeprefix("kernel-")
