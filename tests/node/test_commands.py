"""Nodes as a person meets them: words, exit codes, a clean end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from market import ITERATIONS, PASSWORD, Market, wait_until

from deltaml_core.chain import GanacheProcess
from deltaml_core.node.home import Home

COMMAND = [sys.executable, "-m", "deltaml_core.cli"]


def _environment(market: Market | None = None, **more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DELTAML_") and key != "FORCE_COLOR"}
    chain = {} if market is None else {"DELTAML_RPC_URL": market.ganache.url, "DELTAML_CONTRACT": market.marketplace.address}
    return {**clean, **chain, **more}


def _run(*arguments: str, market: Market | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    environment = _environment(market, **more)
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)


@pytest.fixture
def home(market: Market) -> str:
    """The first owner's home, its wallet funded."""
    market.wallet("owner-1")
    return str(market.home("owner-1").path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_cleanly(market: Market, home: str, how: signal.Signals) -> None:
    command = [*COMMAND, "owner", "--home", home, "--data", str(market.file(1))]
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=_environment(market, DELTAML_PASSWORD=PASSWORD))
    try:
        wait_until(lambda: any(member.address == market.address("owner-1") for member in market.marketplace.members(0)), "registration")  # type: ignore[arg-type]
        assert json.loads(_run("status", "--home", home, "--json").stdout)["process"] == node.pid
        second = _run("owner", "--home", home, "--data", str(market.file(1)), market=market, DELTAML_PASSWORD=PASSWORD)
        assert (second.returncode, "LeaseError: this identity runs already, as process" in second.stderr) == (1, True)
        node.send_signal(how)
        _, said = node.communicate(timeout=120)
    finally:
        node.kill()
        node.wait()
    assert node.returncode == 0
    assert said.splitlines()[-1].endswith("stopped")
    assert "Traceback" not in said
    told = _run("status", "--home", home)
    assert told.returncode == 0
    assert f"data owner {market.address('owner-1')} does not run" in told.stdout


def test_what_is_wrong_is_said_in_a_line(market: Market, home: str, tmp_path: Path) -> None:
    data = ("--data", str(market.file(1)))
    (tmp_path / "password").write_text("wrong\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "wallet.json").write_text("{")
    (tmp_path / "table.csv").write_text("a,b\ny,x\n")
    right = {"DELTAML_PASSWORD": PASSWORD}
    for arguments, environment, said in (
        (
            ("owner", "--home", home, *data, "--password-file", str(tmp_path / "password")),
            {},
            "WrongPasswordError: the password does not open",
        ),
        (("owner", "--home", home, *data), {}, "NodeError: nobody is here to type the password: name a file with --password-file"),
        (("owner", "--home", str(tmp_path / "broken"), *data), right, "KeystoreError:"),
        (("owner", "--home", home, *data, "--rpc", "http://127.0.0.1:9"), right, "ChainError: no node answers at http://127.0.0.1:9"),
        (("owner", "--home", home, *data, "--contract", market.address("owner-1")), right, "ChainError: there is no contract at"),
        (("owner", "--home", home, "--data", str(tmp_path / "table.csv")), right, "DataError:"),
        (("owner", "--home", home, "--data", str(tmp_path / "none.csv")), right, "DataError:"),
        (("buyer", "--home", home), right, "StoreError:"),
        (("buyer", "--home", home, "--offer", str(tmp_path / "table.csv")), right, "TermsError: this is no offer"),
        (("aggregator", "--home", home, "--tls-key", home), right, "NodeError: a certificate needs its key"),
        (("status", "--home", str(tmp_path / "empty")), {}, "NodeError: no node has lived in"),
        (("answer", "--home", home, "7", "yes"), {}, "NodeError: this node knows no request 7"),
    ):
        if arguments[0] in ("answer",) or said.startswith("StoreError"):
            _run("owner", "--home", home, *data, "--contract", market.marketplace.address, "--until-input-ends", market=market, **right)
        ran = _run(*arguments, market=market, **environment)
        assert ran.returncode == 1, (arguments, ran.stderr)
        assert said in ran.stderr.splitlines()[-1], (arguments, ran.stderr)
        assert "Traceback" not in ran.stderr


def test_an_empty_wallet_waits_for_ether(market: Market, ganache: GanacheProcess, tmp_path: Path) -> None:
    wallet = Home.at(tmp_path / "poor").wallet(PASSWORD, iterations=ITERATIONS)
    command = [*COMMAND, "owner", "--home", str(tmp_path / "poor"), "--data", str(market.file(1))]
    node = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=_environment(market, DELTAML_PASSWORD=PASSWORD))
    assert node.stderr is not None
    try:
        deadline = time.monotonic() + 200
        while f"{wallet.address} holds 0 wei" not in node.stderr.readline():
            assert time.monotonic() < deadline
        ganache.fund(wallet.address, 10**18)
        while "register is done" not in node.stderr.readline():
            assert time.monotonic() < deadline
    finally:
        node.terminate()
        node.communicate()
    assert node.returncode == 0


@pytest.mark.parametrize("command", ["aggregator", "owner", "buyer", "status", "answer", "verify"])
def test_help_is_there(command: str) -> None:
    ran = _run(command, "--help")
    assert ran.returncode == 0
    assert "--home DIR" in ran.stdout
