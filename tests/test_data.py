"""The paper's shards in data/ are what scikit-learn ships, to the last digit, and train to the paper's figure."""

from __future__ import annotations

import csv
import runpy
from pathlib import Path

import numpy as np
import pytest
from helpers import paper_shards

from deltaml_core import train
from deltaml_core.statistics import Column, Dataset, Requirements

FOLDER = Path(__file__).resolve().parent.parent / "data"
FILES = [FOLDER / "diabetes" / f"owner_{owner}.csv" for owner in range(1, 6)]


def test_regenerated_the_shards_are_the_same_bytes(tmp_path: Path) -> None:
    runpy.run_path(str(FOLDER / "make_shards.py"))["main"](tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(file.name for file in (FOLDER / "diabetes").iterdir())
    for file in FILES:
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_shards_are_scikit_learns_rows_in_order() -> None:
    for file, (X, y) in zip(FILES, paper_shards(), strict=True):
        dataset = Dataset.from_csv(file, "progression")
        assert np.array_equal(dataset.X, X)
        assert np.array_equal(dataset.y, y)
        assert dataset.features == ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def test_the_column_dictionary_names_every_column_and_ranges_all_rows_meet() -> None:
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")][1:]
    ranges = {name: [float(end) for end in text.strip("[]").split(",")] for name, _, text in rows}
    with FILES[0].open(newline="", encoding="utf-8") as file:
        assert list(ranges) == next(csv.reader(file))
    features = tuple(Column(name, *ends) for name, ends in ranges.items() if name != "progression")
    requirements = Requirements(features, Column("progression", *ranges["progression"]), minimum_rows=50)
    for file in FILES:
        assert Dataset.from_csv(file, "progression").mismatches(requirements) == []


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")
def test_the_files_train_to_the_papers_figure() -> None:
    datasets = [Dataset.from_csv(file, "progression") for file in FILES]
    shards = [(dataset.X, dataset.y) for dataset in datasets]
    result = train(shards, validators=[1], scheme="plain", metrics="noise", contributions="leave_one_out", evaluate_every=100)
    assert result.mse_final == pytest.approx(3311.856, abs=0.01)
