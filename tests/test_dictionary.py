"""Data dictionaries: ranges, categories and preprocessing that requests made from them carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deltaml_core.dictionary import DataDictionary
from deltaml_core.errors import TermsError
from deltaml_core.statistics import Day, Preprocessing

CONTENT: dict[str, Any] = {
    "name": "Patients",
    "columns": [
        {"name": "height", "unit": "m", "low": 1, "high": 2.5},
        {"name": "sex", "meaning": "sex", "levels": ["f", "m"]},
        {"name": "visit", "low": 0, "high": 10000},
        {"name": "cost", "low": 0, "high": 1000, "target": True},
    ],
    "preprocessing": {"missing": "drop", "days": {"visit": {"since": "2000-01-01"}}, "units": {"height": 0.01}, "renames": {"Sex": "sex"}},
}


def _read(folder: Path, content: dict[str, Any]) -> DataDictionary:
    path = folder / "patients.json"
    path.write_text(json.dumps(content))
    return DataDictionary.read(path)


def test_a_category_stands_for_a_column_of_each_level(tmp_path: Path) -> None:
    dictionary = _read(tmp_path, CONTENT)
    assert [entry.column.name for entry in dictionary.entries] == ["height", "sex=f", "sex=m", "visit", "cost"]
    assert {(entry.column.low, entry.column.high) for entry in dictionary.entries if entry.meaning == "sex"} == {(0, 1)}
    assert dictionary.target.column.name == "cost"


def test_requests_carry_what_speaks_of_their_columns(tmp_path: Path) -> None:
    preprocessing = _read(tmp_path, CONTENT).preprocessing
    assert preprocessing.only(["visit", "cost"]) == Preprocessing.of(missing="drop", days={"visit": Day("2000-01-01")})
    assert preprocessing.only(["sex=m"]) == Preprocessing.of(missing="drop", categories={"sex": ["f", "m"]}, renames={"Sex": "sex"})


def test_a_dictionary_without_preprocessing_takes_columns_as_they_are() -> None:
    folder = Path(__file__).resolve().parent.parent / "data" / "dictionaries"
    assert not DataDictionary.read(folder / "diabetes.json").preprocessing


@pytest.mark.parametrize(
    "wrong",
    [
        {"preprocessing": {"units": {"weight": 2}}},
        {"preprocessing": {"missing": "guess"}},
        {"columns": [{"name": "a", "levels": "fm"}] * 2},
    ],
)
def test_preprocessing_that_cannot_be_meant_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(TermsError):
        _read(tmp_path, CONTENT | wrong)
