"""Computing parties as processes: reached by address, refused, killed, ended."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from deltaml_core.errors import ComputingPartyError, MissingExtraError, SettingError
from deltaml_core.ports import free_port
from deltaml_core.schemes import mpc
from deltaml_core.schemes.mpc import client
from deltaml_core.schemes.mpc.client import TOKEN_VARIABLE, Parties, reach
from deltaml_core.schemes.mpc.local import LocalParties

TOKEN = "a token of more than sixteen characters"
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def started() -> Iterator[LocalParties]:
    """Three parties that nobody has reached yet."""
    local = LocalParties(3, 2, TOKEN)
    yield local
    for process in local.processes:
        process.kill()
    local.end()


def test_parties_are_reached_by_their_addresses_and_end_when_the_client_leaves(
    started: LocalParties, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    ring = mpc.connect(started.addresses)
    x = np.array([0.5, -0.25])
    assert np.allclose(ring.decrypt(ring.public.inner(ring.public.encrypt(x), ring.public.encrypt(x))), [0.3125])
    ring.close()
    assert [process.wait(10) for process in started.processes] == [0, 0, 0]
    assert [started.last_words(party) for party in range(3)] == ["", "", ""]


def test_a_party_whose_peers_end_first_ends_without_a_complaint(started: LocalParties) -> None:
    with closing(mpc.connect(started.addresses, token=TOKEN)):
        for process in started.processes[:2]:
            process.kill()
            process.wait()
    assert (started.processes[2].wait(10), started.last_words(2)) == (0, "")


def test_a_wrong_token_is_refused_and_the_right_one_then_taken(started: LocalParties) -> None:
    with pytest.raises(ComputingPartyError, match=f"party . .*refuses: .*set {TOKEN_VARIABLE} alike"):
        mpc.connect(started.addresses, token="another token, as long as the first")
    with closing(mpc.connect(started.addresses, token=TOKEN)) as ring:
        assert ring.decrypt(ring.public.encrypt(np.array([1.0]))).tolist() == [1.0]


def test_parties_of_another_field_are_refused(started: LocalParties) -> None:
    with pytest.raises(ComputingPartyError, match="start them with --depth 4"):
        mpc.connect(started.addresses, depth=4, token=TOKEN)


def test_what_no_party_does_is_refused_by_name(started: LocalParties) -> None:
    connections = [reach(address) for address in started.addresses]
    refusal = r"party \d \(127.0.0.1:\d+\) refuses: .*both of one version"
    with closing(Parties(connections, started.addresses, 2, TOKEN)) as parties, pytest.raises(ComputingPartyError, match=refusal):
        parties._do(1, "dance")


def test_a_killed_party_is_named_and_the_others_end() -> None:
    ring = mpc.local_parties()
    linear, vector = ring.public.prepare(np.eye(2), np.zeros(2)), ring.public.encrypt(np.ones(2))
    ring.processes[1].kill()
    ring.processes[1].wait()
    with pytest.raises(ComputingPartyError, match=r"party 1 \(127.0.0.1:\d+\) is gone .*start all of them again"):
        ring.public.affine(linear, vector)
    with pytest.raises(ComputingPartyError, match="was closed"):
        ring.decrypt(vector)
    ring.close()
    assert all(process.returncode is not None for process in ring.processes)


def test_a_party_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([free_port(), free_port(), free_port(), free_port(), taken.getsockname()[1], free_port()])
        monkeypatch.setattr("deltaml_core.schemes.mpc.local.free_port", lambda: next(ports))
        with pytest.raises(ComputingPartyError, match=r"(?s)no party answers .*party 1 ended with code 1: .*address already in use"):
            mpc.local_parties()


def test_nobody_there_is_an_error_that_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 0.2)
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ComputingPartyError, match=f"no party answers at {address}"):
        mpc.connect([address] * 3, token=TOKEN)


def test_settings_that_cannot_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    with pytest.raises(SettingError, match=f"set {TOKEN_VARIABLE}"):
        mpc.connect(["127.0.0.1:1"] * 3)
    with pytest.raises(SettingError, match="2 parties have no honest majority"):
        mpc.connect(["127.0.0.1:1"] * 2, token=TOKEN)
    with pytest.raises(SettingError, match="host:port"):
        mpc.connect(["nowhere"] * 3, token=TOKEN)
    with pytest.raises(ComputingPartyError, match="2 parties have no honest majority"):
        mpc.local_parties(parties=2)


@pytest.mark.parametrize(
    ("arguments", "token", "why"),
    [
        (["--index", "0", "--parties", "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"], "short", "16 characters"),
        (["--index", "0", "--parties", "127.0.0.1:1,127.0.0.1:2"], TOKEN, "at least three parties"),
        (["--index", "3", "--parties", "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"], TOKEN, "the index of this one"),
    ],
)
def test_a_party_refuses_what_cannot_work(arguments: list[str], token: str, why: str) -> None:
    command = [sys.executable, "-m", "deltaml_core.schemes.mpc.party", *arguments, "--control", "127.0.0.1:1"]
    done = subprocess.run(
        command, env=os.environ | {TOKEN_VARIABLE: token, "PYTHONPATH": ROOT}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert why in done.stderr
    assert token not in done.stdout + done.stderr


def test_without_mpyc_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "mpyc", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'deltaml-core\[mpc\]'"):
        mpc.local_parties()


def test_mpyc_stays_out_of_this_process() -> None:
    """It reads the command line when it is imported, here pytest's."""
    with closing(mpc.local_parties()) as ring:
        ring.public.encrypt(np.ones(1))
    assert "mpyc.runtime" not in sys.modules


def test_five_parties_bear_two_that_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(mpc.local_parties(parties=5)) as ring:
        x = np.array([0.5, -0.25, 0.125])
        vector = ring.public.multiply(ring.public.encrypt(x), ring.public.encrypt(x))
        assert np.allclose(ring.decrypt(ring.refresh(vector, [ring.public.mask(vector)])), x * x)
