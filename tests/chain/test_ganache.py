"""The local chain starts and ends with its program, however that ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deltaml_core.chain import GanacheProcess, Marketplace, Role, Wallet, connect
from deltaml_core.chain import ganache as ganache_module
from deltaml_core.errors import ChainError, LocalChainError, PortTakenError, WrongChainError

PARENT = """
import signal, sys
from deltaml_core.chain import GanacheProcess
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background with it ignored
with GanacheProcess() as chain:
    print(chain.process_id, chain.url, flush=True)
    sys.stdin.read()
"""


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def is_gone(process_id: int) -> bool:
    """Whether no such process runs; one that only waits to be collected counts as gone."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{process_id}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_chain_ends_when_its_parent_is_ended(how: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        chain = int(parent.stdout.readline().split()[0])
        assert not is_gone(chain)
        parent.send_signal(how)
        assert wait_until(lambda: is_gone(chain))


def test_stopping_takes_less_than_a_second_and_can_be_repeated() -> None:
    chain = GanacheProcess()
    chain.start()
    process_id = chain.process_id
    before = time.monotonic()
    chain.stop()
    chain.stop()
    assert time.monotonic() - before < 1
    assert is_gone(process_id)
    with pytest.raises(LocalChainError, match="not running"):
        _ = chain.url


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=str(port)):
            GanacheProcess(port).start()


def test_a_chain_that_dies_says_what_ganache_said(tmp_path: Path) -> None:
    not_a_folder = tmp_path / "kept"
    not_a_folder.mkdir()
    (not_a_folder / "chain").write_text("not a database")
    with pytest.raises(LocalChainError, match=r"it said: .*chain"):
        GanacheProcess(db_path=not_a_folder).start()


def test_without_node_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ganache_module.shutil, "which", lambda *_, **__: None)
    with pytest.raises(LocalChainError, match="make setup"):
        GanacheProcess().start()


def test_a_stored_chain_survives_a_restart_and_still_funds(tmp_path: Path) -> None:
    wallet = Wallet.create()
    with GanacheProcess(db_path=tmp_path) as chain:
        chain.fund(wallet.address, 10**18)
        address = Marketplace.deploy(connect(chain.url), wallet).address
        Marketplace(connect(chain.url), address).register(wallet, Role.DATA_OWNER, "kept")
    with GanacheProcess(db_path=tmp_path) as chain:
        contract = Marketplace(connect(chain.url), address)
        assert [member.metadata for member in contract.members(Role.DATA_OWNER)] == ["kept"]
        chain.fund(wallet.address, 1)
        contract.leave(wallet, Role.DATA_OWNER)
        assert contract.members(Role.DATA_OWNER) == ()


def test_a_wrong_chain_is_refused(ganache: GanacheProcess) -> None:
    assert connect(ganache.url, 1337).eth.chain_id == 1337
    with pytest.raises(WrongChainError, match="serves chain 1337, not 1"):
        connect(ganache.url, 1)


def test_the_url_is_taken_from_the_environment(ganache: GanacheProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTAML_RPC_URL", ganache.url)
    assert connect().eth.chain_id == 1337
    monkeypatch.delenv("DELTAML_RPC_URL")
    with pytest.raises(ChainError, match="DELTAML_RPC_URL"):
        connect()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://127.0.0.1", "nonsense"])
def test_where_no_node_answers_the_url_is_named(url: str) -> None:
    with pytest.raises(ChainError, match=url):
        connect(url)


def test_an_address_without_a_contract_is_refused(ganache: GanacheProcess) -> None:
    with pytest.raises(ChainError, match="no contract"):
        Marketplace(connect(ganache.url), Wallet.create().address)


def test_a_node_that_goes_away_is_a_named_error() -> None:
    wallet = Wallet.create()
    with GanacheProcess() as chain:
        chain.fund(wallet.address, 10**18)
        contract = Marketplace.deploy(connect(chain.url), wallet)
    with pytest.raises(ChainError, match="does not answer"):
        contract.requests()
    with pytest.raises(ChainError, match="does not answer"):
        contract.register(wallet, Role.DATA_OWNER)
