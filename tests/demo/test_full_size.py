"""The paper's request at full size: the figure of the thesis, encrypted, measured and paid."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from terminal import DELTAML, plain_environment

PARTICIPANTS = {"ganache", "aggregator", "buyer", *(f"owner-{number}" for number in range(1, 6))}


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("--in-process",)])
def test_a_hundred_rounds_at_2048_bits_reproduce_the_thesis(how: tuple[str, ...], tmp_path: Path) -> None:
    command = [DELTAML, "demo", "--json", "--transcript", str(tmp_path), *how]
    ran = subprocess.run(command, capture_output=True, text=True, env=plain_environment())
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert shown["mse_final"] == pytest.approx(3311.856, abs=0.02)
    assert (shown["rounds"], shown["key_bits"]) == (100, 2048)
    assert [number for number, _ in shown["mse_history"]] == list(range(0, 101, 2))
    assert sum(shown["payouts_wei"].values()) + shown["refund_wei"] == shown["escrow_wei"] == 5 * 10**18
    assert shown["contract_balance_wei"] == 0
    assert shown["audit"] == "ok"
    assert shown["processes"].keys() == (set() if how else PARTICIPANTS)
