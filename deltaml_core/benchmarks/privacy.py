"""The privacy-utility curve of the paper's request, as the tables of docs/privacy.md: `python -m deltaml_core.benchmarks.privacy`."""

from __future__ import annotations

from deltaml_core.demo.paper import PAPER_VALIDATOR, paper_terms
from deltaml_core.local.market import shards
from deltaml_core.privacy.curve import PrivacyCurve, privacy_curve
from deltaml_core.statistics import Dataset

COPIES = (1, 20, 200)
"""The paper's 50 rows an owner, and as many times that."""


def paper_curve(*, copies: int = 1, runs: int = 100, epsilons: tuple[float, ...] = (0.3, 1, 3, 10, 30, 100)) -> PrivacyCurve:
    """The thesis's training (T§8) with noise at the four trainers; delta is 1e-6."""
    terms = paper_terms()
    owners = [Dataset.from_csv(path, terms.requirements.target.name) for path in shards()]
    return privacy_curve(owners, terms, validators=(PAPER_VALIDATOR,), epsilons=epsilons, delta=1e-6, runs=runs, copies=copies)


def table(curve: PrivacyCurve) -> str:
    """A curve in Markdown."""
    lines = ["| epsilon | MSE, median | 10 % to 90 % of the runs |", "|---|---|---|"]
    lines += [f"| {point.epsilon:g} | {point.median:,.0f} | {point.low:,.0f} to {point.high:,.0f} |" for point in curve.points]
    lines += [f"| without noise | {curve.without_noise:,.0f} | |", f"| mean predictor | {curve.mean_predictor:,.0f} | |"]
    return "\n".join(lines)


def main() -> None:
    """Print all tables."""
    for copies in COPIES:
        curve = paper_curve(copies=copies)
        print(f"\n{curve.rows[0]:,} rows a trainer, delta {curve.delta:g}, {curve.runs} runs a line:\n\n{table(curve)}")


if __name__ == "__main__":
    main()
