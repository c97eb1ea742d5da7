"""`deltaml dashboards` and `deltaml lab`: for a market that is stated, else for a local one with a node of every role."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from deltaml_core.chain.connection import URL_VARIABLE
from deltaml_core.local import dashboards
from deltaml_core.local.market import LocalMarket, open_market
from deltaml_core.local.supervisor import Supervisor
from deltaml_core.node.home import PASSWORD_FILE_VARIABLE
from deltaml_core.node.hosting import CONTRACT_VARIABLE

_LOOK_SECONDS = 0.2


def serve_dashboards(console: Console, folder: Path, chosen: int | None) -> int:
    """Serve the dashboards until this process is interrupted.

    Args:
        console: told the address.
        folder: of the local market.
        chosen: port, if one was.

    Raises:
        DeltaMLError: something cannot be started.
    """
    port = dashboards.port_of(chosen)
    with _surroundings(console, folder) as (supervisor, market, tend):
        environment = dict(os.environ) if market is None else market.environment
        dashboards.start_voila(supervisor, environment, console, folder / "logs", port)
        dashboards.say_where(console, port, market)
        return _until_interrupted(tend)


def serve_lab(console: Console, folder: Path, chosen: int | None) -> int:
    """Serve JupyterLab until this process is interrupted; its address carries a token that is new each time.

    Args:
        console: told the address.
        folder: of the local market.
        chosen: port, if one was.

    Raises:
        DeltaMLError: something cannot be started.
    """
    port = dashboards.port_of(chosen)
    with _surroundings(console, folder, nodes=False) as (supervisor, market, tend):
        environment = dict(os.environ) if market is None else {**market.environment, PASSWORD_FILE_VARIABLE: str(market.password_file)}
        where = dashboards.start_lab(supervisor, environment, folder / "logs", port, secrets.token_urlsafe(24))
        console.print(f"JupyterLab: [bold]{where}[/]", highlight=False, soft_wrap=True)
        first = where.replace("/lab?", "/lab/tree/notebooks/00_walkthrough/0_index.ipynb?")
        console.print(f"The walkthrough: [bold]{first}[/]", highlight=False, soft_wrap=True)
        if market is not None:
            console.print(f"Wallets {', '.join(market.homes)}; the password is in {market.password_file}", highlight=False, soft_wrap=True)
        return _until_interrupted(tend)


def _until_interrupted(tend: Callable[[], object]) -> int:
    while True:
        tend()
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _surroundings(
    console: Console, folder: Path, *, nodes: bool = True
) -> Iterator[tuple[Supervisor, LocalMarket | None, Callable[[], object]]]:
    """The supervisor, the local market where none is stated, and what is to be done again and again."""
    if os.environ.get(URL_VARIABLE) and os.environ.get(CONTRACT_VARIABLE):
        with Supervisor(lambda name, line: None) as supervisor:
            yield supervisor, None, supervisor.watch
        return

    def say(name: str, line: str) -> None:
        console.print(f"  {name:>12} [dim]|[/] {escape(line)}", highlight=False, soft_wrap=True)

    with open_market(folder, say, console.print) as market:
        if nodes:
            market.start(owner=["--keep-earnings"], aggregator=["--keep-earnings"], buyer=["--keep-earnings"])
        yield market.supervisor, market, market.tend
