"""A run of the benchmarks beside the one that is committed: what has become cheaper, and what dearer.

Ratios were each taken within one run, so they compare across machines; values only on the same one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from deltaml_core.benchmarks.measure import FIGURES, Measurement
from deltaml_core.errors import DataError

NOTICED = 0.1
"""A ratio that has become worse by more than this share is marked."""


def read_run(path: Path) -> dict[str, Any]:
    """What `to_json` wrote.

    Raises:
        DataError: the file cannot be read, or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {"git_revision": content["git_revision"], "by_name": {one["name"]: one for one in content["measurements"]}}
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} holds no run of the benchmarks: {error!r}") from error


def render_change(measurements: Sequence[Measurement], before: Mapping[str, Any]) -> Table:
    """A table of ratios then and now, worse ones marked; without a ratio, of values."""
    table = Table(title=f"Change since {str(before['git_revision'])[:12]}")
    for heading in ("measurement", "then", "now", "unit", "change", ""):
        table.add_column(heading, justify="left" if heading in ("measurement", "unit", "") else "right")
    for m in measurements:
        old = before["by_name"].get(m.name)
        if m.unit in FIGURES:
            continue
        if old is None:
            table.add_row(m.name, "", _figure(m.value), m.unit, "", "new")
            continue
        compares = m.ratio is not None and old["ratio"] is not None
        then, now = (old["ratio"], m.ratio) if compares else (old["value"], m.value)
        assert now is not None
        change = now / then - 1 if then else 0.0
        worse = -change if compares and not m.is_overhead else change
        mark = "worse" if worse > NOTICED else "better" if worse < -NOTICED else ""
        table.add_row(m.name, _figure(then), _figure(now), "ratio" if compares else m.unit, f"{change:+.0%}", mark)
    for name in before["by_name"].keys() - {m.name for m in measurements}:
        table.add_row(name, "", "", "", "", "gone")
    return table


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
