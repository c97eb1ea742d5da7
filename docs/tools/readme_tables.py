"""README's tables of speed and gas, from the committed run of the benchmarks and the contract's gas snapshot: `make readme` writes them.

A table stands between `<!-- speed -->` and `<!-- /speed -->`; `tests/test_readme.py` compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README, BENCHMARKS, GAS = ROOT / "README.md", ROOT / "docs" / "benchmarks.json", ROOT / "contracts" / "snapshots" / "marketplace.json"

SPEED = {
    "paper_run_shapley": "the paper's run: 100 rounds, 51 verifiable measurements, Shapley shares",
    "paper_run_noise": "the same with the thesis's own measurement and leave-one-out",
    "paper_round": "one round",
    "metric_evaluation_50": "one measurement, 50 rows",
    "metric_evaluation_5000": "one measurement, 5,000 rows",
    "shapley_8": "Shapley shares of 8 trainers, against retraining every coalition",
    "affine_map_11": "encrypted 11 x 11 map, against one `powmod` a product",
    "affine_map_100": "encrypted 100 x 100 map, likewise",
}
CALLS = {
    "createRequest": "post a request",
    "accept": "accept",
    "recordMetric": "record an error",
    "submitResult with opening, 2048 bits": "submit the result, its opening checked on chain (2048 bits)",
    "finalize, 5 owners": "settle with 5 owners",
    "finalize, 50 owners": "settle with 50 owners",
    "withdraw": "withdraw",
}
_GWEI = (1, 10, 50)
_ETHER_IN_GWEI = 10**9


def speed() -> str:
    """Seconds of the arithmetic of 2019 and of ours, and their ratio."""
    run = json.loads(BENCHMARKS.read_text(encoding="utf-8"))
    measured = {measurement["name"]: measurement for measurement in run["measurements"]}
    rows = [
        [text, *(_time(measured[name], key) for key in ("baseline", "value")), _ratio(measured[name]["ratio"])]
        for name, text in SPEED.items()
    ]
    table = _table(["", "2019", "now", "ratio"], rows)
    served = measured["paper_run_http_wall"]
    return (
        f"{table}\n\nWith the chain and every role a process of its own, over HTTP, the paper's run takes {served['value']:.0f} s of wall "
        f"time. {run['key_bits']} bits, {run['machine']['processors']} cores, revision `{run['git_revision'][:12]}`."
    )


def gas() -> str:
    """Gas of the calls, and what it means in ether."""
    used = {call: int(units) for call, units in json.loads(GAS.read_text(encoding="utf-8")).items()}
    rows = [[text, f"{used[call]:,}", *(f"{used[call] * price / _ETHER_IN_GWEI:.5f}" for price in _GWEI)] for call, text in CALLS.items()]
    return _table(["call", "gas", "at 1 gwei", *(f"at {price} gwei" for price in _GWEI[1:])], rows)


def written(text: str) -> str:
    """README with its tables as they should be."""
    return filled(text, {"speed": speed(), "gas": gas()})


def filled(text: str, tables: Mapping[str, str]) -> str:
    """A page with these tables between their marks."""
    for name, content in tables.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        text = re.sub(f"(?<={begin}).*?(?={end})", lambda _, content=content: content, text, flags=re.DOTALL)
    return text


def _time(measurement: dict[str, float | str], key: str) -> str:
    unit = "ms" if str(measurement["unit"]).endswith("ms") else "s"
    value = float(measurement[key])
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _ratio(value: float) -> str:
    if value >= 1000:
        return f"{round(value, -2):,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
