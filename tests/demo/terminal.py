"""The real program in a terminal of its own, and the processes that belong to it."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

DELTAML = str(Path(sys.executable).parent / "deltaml")
CTRL_C = b"\x03"


def plain_environment() -> dict[str, str]:
    """This environment without what bends a program's output."""
    return {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES"}} | {
        "TERM": "xterm-256color"
    }


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def members(group: int) -> set[int]:
    """Processes of a group that run; those that only wait to be collected have ended."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            process_id, rest = status.parent.name, status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended while we looked
        if int(rest[2]) == group and rest[0] != "Z":
            found.add(int(process_id))
    return found


class Terminal:
    """`deltaml` in the foreground of a terminal; whatever it leaves behind is ended with the context.

    Attributes:
        process: the program; it leads its process group.
        shown: what appeared so far.
    """

    def __init__(self, *arguments: str, columns: int = 80) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(
            [DELTAML, *arguments], env=plain_environment(), preexec_fn=lambda: os.login_tty(slave), pass_fds=[slave]
        )
        os.close(slave)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._master)
        for process_id in members(self.process.pid):
            os.kill(process_id, signal.SIGKILL)
        self.process.wait()

    def until(self, text: str) -> None:
        """Return when this text has appeared."""
        while text not in self.shown:
            more = self._read()
            assert more, f"the program ended without saying {text!r}: {self.shown}"

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def end(self, seconds: float) -> int:
        """The exit code, when the program ends in time."""
        while self._read():
            pass
        return self.process.wait(seconds)

    def _read(self) -> str:
        try:
            more = os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # the last program on the terminal has ended
            return ""
        self.shown += more
        return more
