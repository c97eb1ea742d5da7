"""What people and machines are shown."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from deltaml_core.benchmarks import Measurement, render, to_json
from deltaml_core.benchmarks.measure import Ledger, Stopwatch
from deltaml_core.benchmarks.report import git_revision
from deltaml_core.messages import Train
from deltaml_core.signatures import LocalSigner
from deltaml_core.transport.local import LocalTransport

MEASUREMENTS = [
    Measurement("paper_run", 8.0, "CPU s", 2048, 640.0, "all of it"),
    Measurement("bytes_metric", 250, "bytes", 2048),
]


def test_the_ratio_says_how_many_times_cheaper_ours_is() -> None:
    assert [m.ratio for m in MEASUREMENTS] == [80, None]


def test_of_an_overhead_it_says_how_many_times_dearer() -> None:
    overhead = Measurement("paper_run_http_wall", 24.0, "wall s", 2048, 8.0, is_overhead=True)
    assert overhead.ratio == 3
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render([*MEASUREMENTS, overhead]))
    text = console.export_text()
    assert "3.0 dearer" in text
    assert "80.0 dearer" not in text


def test_what_is_no_cost_has_no_ratio() -> None:
    assert Measurement("share_shuffled_labels", 0.0, "share", 2048, 0.0).ratio is None
    assert Measurement("robust_final_mse", 3058.5, "MSE", 2048, 3058.5).ratio is None


def test_json_is_one_object_with_measurements_and_circumstances() -> None:
    content = json.loads(to_json(MEASUREMENTS))
    assert content["measurements"] == [
        {"name": "paper_run", "value": 8.0, "unit": "CPU s", "baseline": 640.0, "ratio": 80.0, "how": "all of it"},
        {"name": "bytes_metric", "value": 250, "unit": "bytes", "baseline": None, "ratio": None, "how": ""},
    ]
    assert content["key_bits"] == 2048
    assert {"measurements", "key_bits", "machine", "versions", "git_revision"} == content.keys()
    assert {"python", "phe", "gmpy2", "gmp", "powers"} <= content["versions"].keys()


def test_the_table_names_every_measurement_and_how_it_was_taken() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(render(MEASUREMENTS))
    text = console.export_text()
    for expected in ("paper_run", "640", "80.0", "bytes_metric", "all of it"):
        assert expected in text
    assert "corrupted owners" not in text


def test_what_corrupted_owners_earn_is_a_table_of_its_own() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    figures = [Measurement("share_tiny", 0.0308, "share", 2048, 0.0346), Measurement("robust_final_mse", 3058.6, "MSE", 2048, 3058.5)]
    console.print(render([*MEASUREMENTS, *figures]))
    costs, shares = console.export_text().split("What corrupted owners earn")
    assert "share_tiny" not in costs
    for expected in ("share_tiny", "0.031", "0.035", "3,058.6", "3,058.5", "every coalition retrained"):
        assert expected in shares


def test_the_git_revision_is_that_of_the_checkout_and_says_when_files_differ(tmp_path: Path) -> None:
    assert git_revision(tmp_path) is None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "--quiet", "--message", "first")
    commit = git("rev-parse", "HEAD")
    assert git_revision(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == f"{commit}-dirty"


def test_without_git_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision(tmp_path) is None


def test_a_stopwatch_keeps_every_lap() -> None:
    watch = Stopwatch()
    assert watch.time("a", lambda: 7) == 7
    watch.laps["b"] = [1.0, 2.0, 6.0]
    assert (watch.mean("b"), watch.median("b"), watch.total("b")) == (3.0, 2.0, 9.0)
    assert len(watch.laps["a"]) == 1


def test_a_ledger_books_silent_handling_with_the_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two messages the second is answered; each handling takes a second."""
    now = [0.0]
    monkeypatch.setattr("time.process_time", lambda: now[0])
    signer = LocalSigner()
    name = signer.address

    def message(number: int) -> Train:
        return Train(request="r", round=number, sender=name, recipient=name, scale=0, trainers=1, weights=())

    class Role:
        def handle(self, asked: Train) -> list[Train]:
            now[0] += 1
            return [message(9)] if asked.round == 2 else []

    transport = LocalTransport()
    transport.join(signer, Role())
    transport.send([message(1), message(2)])
    ledger = Ledger(lambda kind: f"for {kind}")
    ledger.run(transport)
    assert dict(ledger.seconds) == {"for train": 2.0}
