"""The dashboards behind Voila, and the notebooks in JupyterLab: as processes beside a market, or for a chain that is elsewhere."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
from rich.console import Console

from deltaml_core.errors import NodeError, PortTakenError
from deltaml_core.local.market import LocalMarket
from deltaml_core.local.supervisor import Supervisor

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
_STYLE = Path(__file__).resolve().parents[1] / "views" / "static"
PORT_VARIABLE, DEFAULT_PORT = "DELTAML_PORT", 8866
PAGES_VARIABLE, LOGS_VARIABLE, LOCAL_MSE_VARIABLE = "DELTAML_PAGES", "DELTAML_LOG_DIR", "DELTAML_LOCAL_MSE"
PREPARED_VARIABLE = "DELTAML_PREPARED"
"""A folder where each page that a kernel has made, and that waits for somebody to open it, leaves a file of its name."""
_START_SECONDS, _PREPARE_SECONDS, _LOOK_SECONDS = 60.0, 60.0, 0.1
_DENIED = ("jupyterlab-jupytext", "jupyterlab-plotly", "jupyterlab_pygments", "@voila-dashboards/jupyterlab-preview")
"""Lab extensions that pages do not need, or that do not go with Voila's older JupyterLab."""


_KERNELS = (
    "--KernelManager.transport=ipc",
    "--KernelRestarter.restart_limit=0",
    "--VoilaConfiguration.multi_kernel_manager_class=deltaml_core.local.kernels.PageKernels",
    "--MappingKernelManager.cull_idle_timeout=120",
    "--MappingKernelManager.cull_interval=20",
)
"""Kernels have no ports, as passwords pass through them; one that died is forgotten, since a new one would not know its page; one whose
page never came to life is ended. Kernels that wait for a page are left alone."""


def port_of(chosen: int | None) -> int:
    """The port that was chosen, else the one in `DELTAML_PORT`, else 8866.

    Raises:
        NodeError: the variable holds no port.
    """
    stated = os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
    if chosen is None and not (stated.isdecimal() and 1 <= int(stated) <= 65535):
        raise NodeError(f"{PORT_VARIABLE} is {stated!r}: state a port from 1 to 65535")
    return int(stated) if chosen is None else chosen


def serve(market: LocalMarket, console: Console, port: int, local_mse: float | None = None) -> None:
    """Serve a market's dashboards under its supervisor, and say where.

    Args:
        market: whose.
        console: told the address and how to log in.
        port: where.
        local_mse: what the demo's owners reach without each other.

    Raises:
        PortTakenError: another program listens there.
        NodeError: Voila does not start; its log says why.
    """
    more = {} if local_mse is None else {LOCAL_MSE_VARIABLE: repr(local_mse)}
    start_voila(market.supervisor, {**market.environment, **more}, console, market.folder / "logs", port)
    say_where(console, port, market)


def say_where(console: Console, port: int, market: LocalMarket | None) -> None:
    """Tell a person where the dashboards are, and how its wallets open."""
    console.print(f"Dashboards: [bold]http://127.0.0.1:{port}[/]", highlight=False)
    if market is not None:
        names = ", ".join(market.homes)
        console.print(f"Wallets {names}; each opens with the password [bold]{market.password}[/]", highlight=False, soft_wrap=True)


def start_voila(supervisor: Supervisor, environment: Mapping[str, str], console: Console, logs: Path, port: int) -> None:
    """Start Voila and return when its pages are prepared, so that the first one opens as fast as any.

    Where that takes over a minute it returns too: then a page is prepared while somebody waits for it.

    Raises:
        PortTakenError: another program listens there.
        NodeError: it does not start.
    """
    _check_port(port)
    arguments = [
        str(NOTEBOOKS / "dashboards"),
        "--no-browser",
        f"--port={port}",
        "--Voila.port_retries=0",
        "--Voila.ip=127.0.0.1",
        "--template=deltaml",
        "--theme=light",
        "--VoilaConfiguration.classic_tree=True",
        "--VoilaConfiguration.show_tracebacks=False",
        "--VoilaConfiguration.file_allowlist=[]",
        f"--VoilaConfiguration.extension_denylist={list(_DENIED)!r}",
        "--preheat_kernel=True",
        "--pool_size=1",
        "--VoilaKernelManager.fill_delay=5",
        "--VoilaExecutor.cell_error_instruction=The log has the details.",
        *_KERNELS,
    ]
    command = [sys.executable, "-m", "deltaml_core.local.jupyter", "voila", *arguments]
    with console.status("Preparing the pages"), tempfile.TemporaryDirectory(prefix="deltaml-") as prepared:
        pages = {PAGES_VARIABLE: f"http://127.0.0.1:{port}/", PREPARED_VARIABLE: prepared}
        supervisor.start("dashboards", command, {**_environment(environment, logs), **pages}, log=logs / "voila.log")
        _await(supervisor, f"http://127.0.0.1:{port}/", logs / "voila.log")
        _await_pages(supervisor, Path(prepared))


def start_lab(supervisor: Supervisor, environment: Mapping[str, str], logs: Path, port: int, token: str) -> str:
    """Start JupyterLab with the role notebooks and return its address when it answers.

    Raises:
        PortTakenError: another program listens there.
        NodeError: it does not start.
    """
    _check_port(port)
    arguments = [
        str(NOTEBOOKS.parent),  # chapters link to docs/
        f"--ServerApp.preferred_dir={NOTEBOOKS}",
        "--no-browser",
        f"--port={port}",
        "--ip=127.0.0.1",
        f"--IdentityProvider.token={token}",
        "--allow-root",
    ]
    command = [sys.executable, "-m", "deltaml_core.local.jupyter", "lab", *arguments]
    supervisor.start("lab", command, _environment(environment, logs), log=logs / "lab.log")
    _await(supervisor, f"http://127.0.0.1:{port}/lab?token={token}", logs / "lab.log")
    return f"http://127.0.0.1:{port}/lab?token={token}"


def _environment(environment: Mapping[str, str], logs: Path) -> dict[str, str]:
    logs.mkdir(parents=True, exist_ok=True)
    ours = NOTEBOOKS / "template"  # how pages are made, and a JupyterLab that asks nobody for news and shows Markdown as pages
    folders = {"JUPYTER_PATH": [ours, _STYLE], "JUPYTER_CONFIG_PATH": [ours]}  # a template finds what it includes on Jupyter's path
    paths = {name: os.pathsep.join([*map(str, of), *filter(None, [environment.get(name)])]) for name, of in folders.items()}
    return {**environment, **paths, LOGS_VARIABLE: str(logs.resolve())}


def _check_port(port: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            message = f"port {port} is taken by another program: stop that program, or choose another port with --port or {PORT_VARIABLE}"
            raise PortTakenError(message) from None


def _await(supervisor: Supervisor, url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        supervisor.watch()
        try:
            if httpx.get(url, timeout=10, follow_redirects=False).status_code < 400:
                return
        except httpx.TransportError:
            time.sleep(_LOOK_SECONDS)
    raise NodeError(f"{url.partition('?')[0]} did not answer within {_START_SECONDS:.0f} s; {log} says why")


def _await_pages(supervisor: Supervisor, prepared: Path) -> None:
    pages = {page.stem for page in (NOTEBOOKS / "dashboards").glob("*.ipynb")}
    deadline = time.monotonic() + _PREPARE_SECONDS
    while not pages <= set(os.listdir(prepared)) and time.monotonic() < deadline:
        supervisor.watch()
        time.sleep(_LOOK_SECONDS)
