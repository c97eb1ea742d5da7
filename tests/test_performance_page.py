"""docs/performance.md shows what the committed run of the benchmarks measured."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "tools"))
    return importlib.import_module("performance")


def test_its_table_is_that_of_the_committed_measurements(tool: ModuleType) -> None:
    assert tool.table() in PAGE, "make readme writes it"


def test_its_charts_are_drawn_from_them(tool: ModuleType) -> None:
    for name, draw in tool.CHARTS.items():
        assert f"images/{name}" in PAGE
        assert (ROOT / "docs" / "images" / name).read_text(encoding="utf-8") == draw(), "make readme draws it"


def test_bars_are_as_long_as_shares_of_the_run(tool: ModuleType) -> None:
    for when, seconds in tool.parts().items():
        drawn = tool.run_chart().split(f">{when}: ")[1].split('<text x="10"')[0]
        widths = [float(width) for width in re.findall(r'width="([\d.]+)" height="38"', drawn)]
        total = sum(seconds.values())
        assert [width / sum(widths) for width in widths] == pytest.approx([spent / total for spent in seconds.values()], abs=0.001)
