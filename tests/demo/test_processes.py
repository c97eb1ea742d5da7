"""The demo as processes: what is killed comes back to the same result, and nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from terminal import CTRL_C, DELTAML, Terminal, members, plain_environment, wait_until

SHORT = ("demo", "--key-bits", "1024", "--metrics", "noise")
LONG = (*SHORT, "--rounds", "5000")
"""Minutes of training: no test waits for its end."""
ALL = 9  # the demo, Ganache, an aggregator, a buyer and five owners


def _process_of(terminal: Terminal, name: str) -> int:
    """The process of a node, found by its home."""
    for process_id in members(terminal.process.pid):
        if f"/nodes/{name}" in Path(f"/proc/{process_id}/cmdline").read_bytes().decode():
            return process_id
    raise AssertionError(f"{name} does not run")


def test_every_role_is_a_process_with_its_figures(tmp_path: Path) -> None:
    command = [DELTAML, *SHORT, "--json", "--rounds", "2", "--shuffle", "--transcript", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env=plain_environment())
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert len(shown["processes"]) == ALL - 1
    assert len({figures["process"] for figures in shown["processes"].values()}) == ALL - 1
    assert all(figures["cpu_seconds"] > 0 and figures["memory_bytes"] > 0 for figures in shown["processes"].values())
    assert sum(shown["payouts_wei"].values()) + shown["refund_wei"] == shown["escrow_wei"]
    assert shown["contract_balance_wei"] == 0
    assert shown["audit"] == "ok"
    assert re.search(r"owner-3 \| .* takes its seat", ran.stderr), "a node's lines carry its name"


def test_a_demo_whose_processes_are_killed_ends_all_the_same(tmp_path: Path) -> None:
    with Terminal(*SHORT, "--rounds", "30", "--transcript", str(tmp_path), columns=200) as terminal:
        for victim in ("owner-3", "aggregator", "buyer"):
            terminal.until("% lower")
            os.kill(_process_of(terminal, victim), signal.SIGKILL)
            terminal.until("was killed by signal 9, starting it again")
        assert terminal.end(400) == 0, terminal.shown
        assert "FAILS" not in terminal.shown
        assert wait_until(lambda: not members(terminal.process.pid)), "a process stayed behind"


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_an_interrupted_demo_ends_all_processes(how: str, tmp_path: Path) -> None:
    with Terminal(*LONG, "--transcript", str(tmp_path), columns=200) as terminal:
        group = terminal.process.pid
        terminal.until("% lower")
        assert wait_until(lambda: len(members(group)) == ALL)
        if how == "Ctrl-C":
            terminal.type(CTRL_C)
        else:
            terminal.process.terminate()
        assert terminal.end(60) == 130
        assert "interrupted: everything this command started has been stopped" in terminal.shown
        assert "Traceback" not in terminal.shown
        assert wait_until(lambda: not members(group)), "a process stayed behind"


def test_a_killed_demo_takes_all_processes_along(tmp_path: Path) -> None:
    with Terminal(*LONG, "--transcript", str(tmp_path), columns=200) as terminal:
        group = terminal.process.pid
        terminal.until("% lower")
        os.kill(group, signal.SIGKILL)
        assert terminal.process.wait(60) == -signal.SIGKILL
        assert wait_until(lambda: not members(group)), "a process stayed behind"


def test_a_second_demo_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with Terminal(*LONG, "--transcript", str(tmp_path), columns=200) as terminal:
        terminal.until("Deploying")
        ran = subprocess.run([DELTAML, *SHORT, "--transcript", str(tmp_path)], capture_output=True, text=True, env=plain_environment())
        assert ran.returncode == 1
        assert f"NodeError: another market runs in {tmp_path}" in ran.stderr
