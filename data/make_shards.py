"""Writes the paper's five shards from scikit-learn's copy of the diabetes data; `data/README.md` says what they are."""

from __future__ import annotations

import csv
from pathlib import Path

from sklearn.datasets import load_diabetes

OWNERS = 5
ROWS_EACH = 50


def main(folder: Path) -> None:
    """Write `owner_1.csv` to `owner_5.csv`: consecutive rows, every number with all its digits."""
    data = load_diabetes()
    for owner in range(OWNERS):
        rows = slice(owner * ROWS_EACH, (owner + 1) * ROWS_EACH)
        with (folder / f"owner_{owner + 1}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*data.feature_names, "progression"])
            writer.writerows([*map(repr, x.tolist()), repr(float(y))] for x, y in zip(data.data[rows], data.target[rows], strict=True))


if __name__ == "__main__":
    main(Path(__file__).parent / "diabetes")
