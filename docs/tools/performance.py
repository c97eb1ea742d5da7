"""The table and the charts of docs/performance.md, from the committed run of the benchmarks: `make readme` writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from math import log10
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE, BENCHMARKS, IMAGES = ROOT / "docs" / "performance.md", ROOT / "docs" / "benchmarks.json", ROOT / "docs" / "images"

ASKED = {
    "paper_run_verifiable": ("the paper's run without shares", 70),
    "paper_run_shapley": ("the same with Shapley shares", 60),
    "metric_evaluation_50": ("one measurement, 50 rows", 5),
    "metric_evaluation_5000": ("one measurement, 5,000 rows", 400),
    "affine_map_11": ("encrypted 11 x 11 map", 3),
    "affine_map_30": ("30 x 30", 5),
    "affine_map_100": ("100 x 100", 7),
    "two_processes": ("two workers, d = 100", 1.7),
}
"""What a measurement is called, and how many times less it shall cost."""

AT_MOST = {
    "rows_independence": ("a round, 10 million rows an owner against 50", 1.05),
    "scan_parquet": ("scan of 10 million rows of Parquet against DuckDB's bare query", 1.3),
    "paper_run_http_wall": ("the paper's run over HTTP, wall, against CPU in one process", 2),
}
"""The same of what shall cost little more."""

_ROUNDS, _MEASUREMENTS = 100, 51
_COLOURS = {"rounds": "#4477aa", "measurements": "#228833", "shares": "#997700", "refreshes and the rest": "#aa3377"}
_WIDTH, _LABELS, _LINE = 720, 210, 26


def measured() -> dict[str, dict[str, float]]:
    """The committed measurements by name."""
    run = json.loads(BENCHMARKS.read_text(encoding="utf-8"))
    return {measurement["name"]: measurement for measurement in run["measurements"]}


def table() -> str:
    """What was asked for and what was measured."""
    lines = ["| | baseline | ours | ratio | asked |", "|---|---:|---:|---:|---:|"]
    for rows, relation in ((ASKED, "at least"), (AT_MOST, "at most")):
        for name, (text, asked) in rows.items():
            found = measured()[name]
            unit = str(found["unit"]).split()[-1]
            cells = [
                text,
                *(f"{_short(found[key])} {unit}" for key in ("baseline", "value")),
                _short(found["ratio"]),
                f"{relation} {asked:g}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def parts() -> dict[str, dict[str, float]]:
    """CPU seconds of the whole run, 2019's and ours, by what they were spent for."""
    found = measured()
    divided = {}
    for when, key in (("2019", "baseline"), ("now", "value")):
        seconds = {
            "rounds": _ROUNDS * found["paper_round"][key],
            "measurements": _MEASUREMENTS * found["metric_evaluation_50"][key],
            "shares": found["paper_contributions"][key],
        }
        rest = found["paper_run_shapley"][key] - sum(seconds.values())
        divided[when] = {**seconds, "refreshes and the rest": max(0.0, rest)}
    return divided


def run_chart() -> str:
    """Where a run's time goes: a bar each for 2019 and now, both of the same length."""
    lines, top = [], 34
    for when, seconds in parts().items():
        total, left = sum(seconds.values()), 120.0
        lines.append(f'<text x="10" y="{top + 24}" font-weight="bold">{when}: {_short(total)} s</text>')
        for name, spent in seconds.items():
            width = (_WIDTH - 130) * spent / total
            lines.append(f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="38" fill="{_COLOURS[name]}"/>')
            if width > 40:
                share, middle = 100 * spent / total, left + width / 2
                lines.append(f'<text x="{middle:.1f}" y="{top + 24}" text-anchor="middle" fill="white">{share:.0f} %</text>')
            left += width
        top += 56
    for place, (name, colour) in enumerate(_COLOURS.items()):
        lines += [
            f'<rect x="{120 + 150 * place}" y="{top}" width="12" height="12" fill="{colour}"/>',
            f'<text x="{137 + 150 * place}" y="{top + 11}">{name}</text>',
        ]
    return _drawing("Where the CPU time of the paper's run goes", lines, top + 24)


def ratio_chart() -> str:
    """How many times less each measurement takes, and a mark where it was asked to be; lengths are logarithms."""
    lines, top = [], 34
    found = measured()
    unit = (_WIDTH - _LABELS - 70) / log10(max(found[name]["ratio"] for name in ASKED))
    for name, (text, asked) in ASKED.items():
        length, mark = unit * log10(found[name]["ratio"]), _LABELS + unit * log10(asked)
        lines += [
            f'<text x="{_LABELS - 8}" y="{top + 14}" text-anchor="end">{escape(text)}</text>',
            f'<rect x="{_LABELS}" y="{top}" width="{length:.1f}" height="18" fill="#4477aa"/>',
            f'<text x="{max(_LABELS + length, mark) + 8:.1f}" y="{top + 14}">{_short(found[name]["ratio"])}</text>',
            f'<line x1="{mark:.1f}" y1="{top - 3}" x2="{mark:.1f}" y2="{top + 21}" stroke="#ee6677" stroke-width="3"/>',
        ]
        top += _LINE
    return _drawing("Times less than the baseline (logarithmic); red: what was asked", lines, top + 4)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _drawing(title: str, lines: Sequence[str], height: int) -> str:
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">'
    heading = f'<text x="10" y="20" font-weight="bold" font-size="14">{escape(title)}</text>'
    return "\n".join([frame, '<rect width="100%" height="100%" fill="white"/>', heading, *lines, "</svg>", ""])


CHARTS = {"performance-run.svg": run_chart, "performance-ratios.svg": ratio_chart}


if __name__ == "__main__":
    from readme_tables import filled

    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), {"measures": table()}), encoding="utf-8")
    for name, draw in CHARTS.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")
