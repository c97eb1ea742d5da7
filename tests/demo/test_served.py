"""`make demo`: the demo with its dashboards, until somebody has seen enough."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from terminal import CTRL_C, Terminal, members, wait_until

from deltaml_core.demo.paper import local_mse, paper_terms
from deltaml_core.ports import free_port


def test_the_dashboards_stay_after_the_result_until_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("DELTAML_PORT", str(port))
    short = ("demo", "--serve", "--key-bits", "1024", "--metrics", "noise", "--rounds", "4", "--transcript", str(tmp_path))
    with Terminal(*short, columns=200) as terminal:
        terminal.until(f"http://127.0.0.1:{port}")
        terminal.until("each opens with the password")
        terminal.until("The dashboards stay until you press Ctrl-C")
        page = httpx.get(f"http://127.0.0.1:{port}/voila/render/landing.ipynb", timeout=60)
        assert (page.status_code, "DeltaML" in page.text) == (200, True)
        terminal.type(CTRL_C)
        assert terminal.end(60) == 130
        assert wait_until(lambda: not members(terminal.process.pid)), "a process stayed behind"


def test_owners_alone_stay_above_what_they_reach_together() -> None:
    assert local_mse(paper_terms()) > 3311.9
