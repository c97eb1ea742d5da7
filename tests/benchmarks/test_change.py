"""Two runs beside each other: what has become worse stands out, whichever way its ratio counts."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from deltaml_core.benchmarks import Measurement, read_run, render_change, to_json
from deltaml_core.errors import DataError


def shown(then: list[Measurement], now: list[Measurement], tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "run.json"
    path.write_text(to_json(then))
    console = Console(width=160, file=io.StringIO())
    with console.capture() as captured:
        console.print(render_change(now, read_run(path)))
    lines = [line.replace("│", " ").split() for line in captured.get().splitlines()]
    return {words[0]: " ".join(words[1:]) for words in lines if len(words) > 1}


def one(name: str, value: float, baseline: float | None, *, overhead: bool = False) -> Measurement:
    return Measurement(name, value, "CPU s", 2048, baseline, is_overhead=overhead)


def test_a_worse_ratio_is_marked_and_a_slower_machine_is_not(tmp_path: Path) -> None:
    then = [one("same", 1, 10), one("slow", 1, 10), one("fast", 1, 10), one("dear", 2, 1, overhead=True), one("lost", 1, 2)]
    now = [one("same", 3, 30), one("slow", 2, 10), one("fast", 1, 20), one("dear", 3, 1, overhead=True), one("born", 1, 2)]
    lines = shown(then, now, tmp_path)
    assert lines["same"] == "10 10 ratio +0%"
    assert lines["slow"] == "10 5 ratio -50% worse"
    assert lines["fast"] == "10 20 ratio +100% better"
    assert lines["dear"] == "2 3 ratio +50% worse"
    assert lines["lost"] == "gone"
    assert lines["born"].endswith("new")


def test_without_a_ratio_values_are_compared(tmp_path: Path) -> None:
    assert shown([one("plain", 2000, None)], [one("plain", 2600, None)], tmp_path)["plain"] == "2,000 2,600 CPU s +30% worse"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"measurements": 1, "git_revision": null}'])
def test_a_file_that_is_no_run_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    with pytest.raises(DataError, match="holds no run of the benchmarks"):
        read_run(path)
    with pytest.raises(DataError, match="holds no run"):
        read_run(tmp_path / "missing.json")
