"""Measurements as a table for people and as JSON for machines."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import gmpy2
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deltaml_core.benchmarks.measure import FIGURES, Measurement
from deltaml_core.schemes.powers import ARITHMETIC

_PACKAGES = ("deltaml-core", "duckdb", "gmpy2", "numpy", "phe")


def render(measurements: Sequence[Measurement]) -> RenderableType:
    """A table of costs, one of what corrupted owners earn, and below them how each was measured."""
    table = Table(title="What encrypted training costs")
    table.add_column("measurement")
    for heading in ("ours", "baseline", "unit", "ratio"):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    figures = Table(title="What corrupted owners earn, and do")
    figures.add_column("scenario")
    for heading in ("ours", "in the clear", "unit"):
        figures.add_column(heading, justify="left" if heading == "unit" else "right")
    for m in (m for m in measurements if m.unit in FIGURES):
        figures.add_row(m.name, _share(m.value), "" if m.baseline is None else _share(m.baseline), m.unit)
    for m in (m for m in measurements if m.unit not in FIGURES):
        ratio = "" if m.ratio is None else f"{m.ratio:.1f}{' dearer' if m.is_overhead else ''}"
        table.add_row(m.name, _figure(m.value), "" if m.baseline is None else _figure(m.baseline), m.unit, ratio)
    notes = [Text.assemble((m.name, "bold"), f": {m.how}.") for m in measurements if m.unit != "bytes" and m.how]
    baseline = Text(
        "The baseline is the arithmetic of 2019; for an affine map, one exponentiation a product; for what goes over HTTP, the same in one "
        "process; for a scan, DuckDB's bare query. The ratio says how many times cheaper ours is, where it says so how many times dearer."
    )
    clear = Text("In the clear: Shapley values with every coalition retrained.")
    second: list[RenderableType] = [figures, clear] if figures.row_count else []
    return Group(table, baseline, *second, *notes)


def to_json(measurements: Sequence[Measurement]) -> str:
    """One JSON object: the measurements, and what they were taken with."""
    content = {
        "measurements": [
            {"name": m.name, "value": m.value, "unit": m.unit, "baseline": m.baseline, "ratio": m.ratio, "how": m.how} for m in measurements
        ],
        "key_bits": measurements[0].key_bits if measurements else None,
        "machine": {"system": platform.system(), "architecture": platform.machine(), "processors": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES},
            "gmp": gmpy2.mp_version(),
            "powers": ARITHMETIC,
        },
        "git_revision": git_revision(Path(__file__).parents[2]),
    }
    return json.dumps(content, indent=2, allow_nan=False)


def git_revision(root: Path) -> str | None:
    """The commit checked out at `root`, ending in "-dirty" when files differ from it; None outside a checkout or without git."""
    if not (root / ".git").exists():
        return None
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(describe, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _share(value: float) -> str:
    return f"{value:,.1f}" if value >= 1000 else f"{value:.3f}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
