"""Starts node processes in some milliseconds each: it has imported everything, and forks.

Reads one JSON object a line from standard input, {"name", "folder", "arguments", "fatal", "chain", "log", "key"}, and runs `deltaml` with
those arguments in a child. Prints {"name", "process"} when one was started, {"name", "code"} when one has ended. Ends with its children
when standard input closes.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from kill_points import Watch, watch

from deltaml_core import cli, schemes
from deltaml_core.node import base, buyer, commands
from deltaml_core.transport.http import app  # noqa: F401 - imported here once instead of in each child

POLL_SECONDS = 0.1
_LOOK_SECONDS = 0.02
_ITERATIONS = 16  # of scrypt

for module in ("deltaml_core.store.migrations.env", "sqlalchemy.dialects.sqlite", "uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.on"):
    with __import__("contextlib").suppress(ImportError, AttributeError):
        importlib.import_module(module)


def main() -> None:
    """Serve until standard input closes."""
    children: dict[int, str] = {}
    pending = b""
    while True:
        if select.select([0], [], [], _LOOK_SECONDS)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                process = _fork(order)
                children[process] = order["name"]
                _say(name=order["name"], process=process)
        while children:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                break
            _say(name=children.pop(process), code=os.waitstatus_to_exitcode(status))
    for process in children:
        os.kill(process, signal.SIGKILL)


def _fork(order: dict[str, Any]) -> int:
    process = os.fork()
    if process == 0:
        code = 70
        try:
            log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            for descriptor in (1, 2):
                os.dup2(log, descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            code = _live(order)
        finally:
            sys.stderr.flush()
            os._exit(code)
    return process


def _live(order: dict[str, Any]) -> int:
    """`deltaml`, watched; with a key that was made before and keystores that open at once."""
    key = schemes.private_key("paillier", bytes.fromhex(order["key"]))
    schemes.generate = lambda scheme, bits: key
    base.POLL_SECONDS = POLL_SECONDS
    commands.BuyerNode = functools.partial(buyer.BuyerNode, iterations=_ITERATIONS)  # type: ignore[assignment,misc]
    watch(Watch(Path(order["folder"]), order["fatal"], Path(order["chain"])))
    return cli.main(order["arguments"])


def _say(**content: Any) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main()
