"""The dashboards' pages. A notebook calls one of these in its only cell; JupyterLab's role notebooks use the same parts by hand."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import ipywidgets as widgets
from IPython.display import display

from deltaml_core.chain.types import Role
from deltaml_core.errors import NodeError
from deltaml_core.local.dashboards import LOGS_VARIABLE, PAGES_VARIABLE, PREPARED_VARIABLE
from deltaml_core.node import logs
from deltaml_core.views.desks import desk_of
from deltaml_core.views.login_form import LoginForm
from deltaml_core.views.market_desk import MarketDesk, PublicRequests
from deltaml_core.views.shell import Gate, Shell, surroundings_and_source
from deltaml_core.views.source import Source
from deltaml_core.views.welcome import Welcome

SESSION_VARIABLE = "DELTAML_SESSION_MINUTES"


def landing() -> None:
    """What DeltaML is, and how the market stands."""
    _open("landing", lambda source: Welcome())


def marketplace() -> None:
    """Everything that is public."""
    _open("marketplace", lambda source: MarketDesk())


def login() -> None:
    """Open a wallet of any role, and go on as that role."""
    _open_for("login", tuple(Role))


def data_owner() -> None:
    """A data owner's page."""
    _open_for("data_owner", (Role.DATA_OWNER,))


def model_buyer() -> None:
    """A model buyer's page."""
    _open_for("model_buyer", (Role.MODEL_BUYER,))


def federated_aggregator() -> None:
    """A federated aggregator's page."""
    _open_for("federated_aggregator", (Role.FEDERATED_AGGREGATOR,))


def _open_for(here: str, roles: tuple[Role, ...]) -> None:
    surroundings, source = surroundings_and_source()
    gate: list[Gate] = []
    form = LoginForm(surroundings, lambda session: gate[0].enter(session), roles=roles)
    gate.append(Gate(PublicRequests(), form, source, lambda session: desk_of(session, source), idle_seconds=_idle_seconds()))
    shell = _shell(here, gate[0], source)
    shell.on_log_out, shell.on_idle = gate[0].leave, gate[0].idle
    _present(here, shell)


def _open(here: str, make: Callable[[Source], widgets.Widget]) -> None:
    _, source = surroundings_and_source()
    _present(here, _shell(here, make(source), source))


def _idle_seconds() -> float:
    stated = os.environ.get(SESSION_VARIABLE, "30")
    try:
        minutes = float(stated)
    except ValueError:
        minutes = 0
    if not minutes > 0:
        raise NodeError(f"{SESSION_VARIABLE} states the minutes without a click after which a page logs out, not {stated!r}")
    return 60 * minutes


def _shell(here: str, content: widgets.Widget, source: Source) -> Shell:
    return Shell(here, content, source, server=os.environ.get(PAGES_VARIABLE, ""))


def _present(here: str, shell: Shell) -> None:
    if folder := os.environ.get(LOGS_VARIABLE):
        Path(folder).mkdir(parents=True, exist_ok=True)
        logs.set_up(Path(folder) / "pages.log", "error")
        logging.captureWarnings(True)
    display(shell)  # type: ignore[no-untyped-call]
    if folder := os.environ.get(PREPARED_VARIABLE):
        with suppress(FileNotFoundError):  # nobody waits once all pages were prepared
            (Path(folder) / here).touch()
