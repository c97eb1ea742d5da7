"""However and whenever the demo is ended, nothing it started stays behind."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from terminal import CTRL_C, Terminal, members, wait_until

LONG_RUN = ("demo", "--in-process", "--key-bits", "1024", "--metrics", "noise", "--rounds", "5000")
"""Minutes of training: no test waits for its end."""

MOMENTS = {"while Ganache starts": "Starting a local Ganache", "during deployment": "Deploying", "during training": "% lower"}


def heeds(process_id: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for this signal."""
    (caught,) = re.findall(r"SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{process_id}/status").read_text())
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupted_demo_exits_130_and_leaves_nothing_running(moment: str, how: str) -> None:
    with Terminal(*LONG_RUN) as terminal:
        group = terminal.process.pid
        terminal.until(MOMENTS[moment])
        assert wait_until(lambda: len(members(group)) == 2), "the demo and its Ganache were expected"
        if how == "Ctrl-C":
            terminal.type(CTRL_C)
        else:
            terminal.process.terminate()
        assert terminal.end(10) == 130
        assert "interrupted: everything this command started has been stopped" in terminal.shown
        assert "Traceback" not in terminal.shown
        assert wait_until(lambda: not members(group)), "a process stayed behind"


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_a_demo_interrupted_before_it_says_anything_exits_130(how: str) -> None:
    with Terminal(*LONG_RUN) as terminal:
        assert wait_until(lambda: heeds(terminal.process.pid, signal.SIGTERM))
        if how == "Ctrl-C":
            terminal.type(CTRL_C)
        else:
            terminal.process.terminate()
        assert terminal.end(10) == 130
        assert "Traceback" not in terminal.shown
        assert wait_until(lambda: not members(terminal.process.pid))


def test_a_killed_demo_takes_its_ganache_along() -> None:
    with Terminal(*LONG_RUN) as terminal:
        group = terminal.process.pid
        terminal.until(MOMENTS["during training"])
        (chain,) = members(group) - {group}
        os.kill(group, signal.SIGKILL)
        assert terminal.process.wait(10) == -signal.SIGKILL
        assert wait_until(lambda: not members(group)), f"Ganache, process {chain}, stayed behind"
