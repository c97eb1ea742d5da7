"""The `deltaml` program as a shell sees it: exit codes, and what goes to which stream."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deltaml_core.cli import main

DELTAML = Path(sys.executable).parent / "deltaml"
JSON_KEYS = {
    "mse_initial",
    "mse_final",
    "rounds",
    "key_bits",
    "mse_history",
    "contributions",
    "payouts_wei",
    "refund_wei",
    "escrow_wei",
    "contract_balance_wei",
    "metrics",
    "chain",
    "gas",
    "cpu_seconds",
    "wall_seconds",
}


def deltaml(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "COLUMNS"}}
    return subprocess.run([DELTAML, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)


@pytest.fixture
def own_signals() -> Iterator[None]:
    """The handlers of the test run itself come back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_json_is_one_object_alone_on_standard_output_and_progress_is_on_standard_error() -> None:
    small = ("--rounds", "5", "--key-bits", "1024", "--metrics", "noise", "--escrow", "2.000000000000000001")
    ran = deltaml("demo", "--in-process", "--json", *small)
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(ran.stdout)
    assert shown.keys() >= JSON_KEYS
    assert (shown["rounds"], shown["key_bits"], shown["metrics"]) == (5, 1024, "noise")
    assert shown["chain"].startswith("Ganache/")
    assert [number for number, _ in shown["mse_history"]] == [0, 2, 4, 5]
    assert (shown["mse_initial"], shown["mse_final"]) == (shown["mse_history"][0][1], shown["mse_history"][-1][1])
    assert shown["mse_final"] < shown["mse_initial"]
    assert sum(shown["payouts_wei"].values()) + shown["refund_wei"] == shown["escrow_wei"] == 2 * 10**18 + 1
    assert shown["contract_balance_wei"] == 0
    assert shown["contributions"].keys() == {"owner-1", "owner-3", "owner-4", "owner-5"}
    assert sum(shown["contributions"].values()) == pytest.approx(1)
    assert min(shown["gas"], shown["cpu_seconds"], shown["wall_seconds"]) > 0
    assert "round 5/5: MSE" in ran.stderr
    assert "\x1b" not in ran.stderr


def test_a_run_into_a_file_tells_the_story_and_ends_with_the_tables() -> None:
    ran = deltaml("demo", "--in-process", "--shuffle", "--rounds", "2", "--key-bits", "1024", "--metrics", "noise")
    assert ran.returncode == 0, ran.stderr
    places = [ran.stdout.index(part) for part in ("Starting a local Ganache", "buyer posts", "settled", "Roles, contributions", "go next")]
    assert places == sorted(places)
    warned = [line for line in ran.stderr.splitlines() if "InsecureKeyWarning" in line]
    assert warned == ["  InsecureKeyWarning: a 1024-bit key can be broken: use 2048 bits"]
    assert "\x1b" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--key-bits", "128", "--metrics", "noise"), "ScaleBudgetError: a 128-bit key is too small for 100 rounds"),
        (("--key-bits", "1024"), "TermsError: the contract opens errors under keys of 2048 or 3072 bits, not 1024"),
        (("--rounds", "0"), "TermsError: rounds must be a whole number of at least 1, not 0"),
    ],
)
@pytest.mark.parametrize("how", [(), ("--in-process",)])
def test_a_refusal_is_one_named_line_and_exit_code_1(arguments: tuple[str, ...], said: str, how: tuple[str, ...]) -> None:
    ran = deltaml("demo", "--json", *how, *arguments)
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.splitlines()[-1].startswith(said)
    assert "Traceback" not in ran.stderr


def test_a_folder_that_cannot_keep_the_transcript_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = deltaml("demo", "--json", "--transcript", str(tmp_path / "file" / "below"))
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr.splitlines()[-1].startswith("TranscriptError: the transcript cannot be kept in")
    assert "posts request" not in ran.stderr


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = deltaml("demo", "--in-process", "--port", str(port))
    assert ran.returncode == 1
    assert ran.stderr == f"PortTakenError: port {port} is taken by another program: stop that program, or choose another port\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("train",),
        ("demo", "--rounds", "many"),
        ("demo", "--paper", "--shuffle"),
        ("demo", "--escrow", "0"),
        ("demo", "--escrow", "nan"),
        ("demo", "--escrow", "0.0000000000000000001"),
        ("demo", "--port", "0"),
        ("demo", "--port", "65536"),
    ],
)
def test_a_wrong_call_is_refused_with_the_usage(arguments: tuple[str, ...], own_signals: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("usage: deltaml")
    assert shown.out == ""


def test_a_wrong_call_is_exit_code_2() -> None:
    assert deltaml("demo", "everything").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--help",), ("demo", "bench", "stays with its owners")),
        (("demo", "--help"), ("--paper", "--shuffle", "--json", "--rounds", "--key-bits", "--metrics", "--escrow", "--port")),
        (("bench", "--help"), ("--json", "--key-bits")),
    ],
)
def test_help_names_what_there_is(arguments: tuple[str, ...], named: tuple[str, ...]) -> None:
    ran = deltaml(*arguments)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert [word for word in named if word not in ran.stdout] == []
