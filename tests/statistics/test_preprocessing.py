"""What a request may say of its columns, as JSON, and that nothing of it becomes part of a query."""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core.errors import ConstantColumnWarning, DataError, RequirementsError, TermsError
from deltaml_core.node.offer import Offer
from deltaml_core.statistics import Column, Dataset, Day, Preprocessing, Requirements, gram, numpy_table
from deltaml_core.statistics.sources.frames import FrameTable
from deltaml_core.terms import RequestDocument, TrainingTerms

FULL = Preprocessing.of(
    missing="drop",
    missing_texts=["NA", "-9"],
    fill={"a": 1.5},
    categories={"sex": ["f", "m"]},
    days={"visit": Day("2000-01-01"), "left": Day("2000-01-01", "%d/%m/%Y")},
    renames={"A": "a", "Sex": "sex"},
    units={"a": 0.01},
)
COLUMNS = (Column("a", 0, 3), Column("sex=f", 0, 1), Column("visit", 0, 9999), Column("left", 0, 9999))
TERMS = TrainingTerms(Requirements(COLUMNS, Column("y", 0, 1), preprocessing=FULL))


# --- what it says ------------------------------------------------------------------------------------------------


def test_json_says_it_all_and_nothing_that_is_not_said() -> None:
    assert Preprocessing.of_content(json.loads(json.dumps(FULL.content()))) == FULL
    assert Preprocessing().content() == {}
    assert Preprocessing.of_content({}) == Preprocessing()
    assert not Preprocessing()
    assert FULL
    assert hash(Preprocessing.of_content(FULL.content())) == hash(FULL)


def test_documents_without_preprocessing_are_what_they_were_before_there_was_any() -> None:
    plain = replace(TERMS, requirements=replace(TERMS.requirements, preprocessing=Preprocessing()))
    document = RequestDocument(plain, (1 << 2047) + 1, (7,))
    assert set(json.loads(document.to_json())["terms"]["requirements"]) == {"features", "target", "minimum_rows"}
    assert RequestDocument.from_json(document.to_json()) == document


def test_documents_and_offers_carry_it(tmp_path: Path) -> None:
    document = RequestDocument(TERMS, (1 << 2047) + 1, (7,))
    assert RequestDocument.from_json(document.to_json()) == document
    offer = Offer(terms=TERMS, aggregator="0x52908400098527886E0F7030069857D2E4169EE7", escrow_wei=1, minimum_owners=2, maximum_owners=3)
    offer.write(tmp_path / "offer.json")
    assert Offer.read(tmp_path / "offer.json") == offer
    assert Offer.from_json(offer.to_json()) == offer


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"missing": "guess"}, "missing='guess' is not known; choose one of refuse, drop"),
        ({"scale": 2}, "this is no preprocessing"),
        ({"fill": {"a": None}}, "fill of 'a' must be a finite number, not None"),
        ({"fill": {"a": True}}, "fill of 'a' must be a finite number"),
        ({"fill": {"a": float("nan")}}, "fill of 'a' must be a finite number"),
        ({"fill": [1]}, "this is no preprocessing"),
        ({"fill": {"": 1}}, "none of them empty"),
        ({"units": {"a": 0}}, "units of 'a' must be a factor, not 0"),
        ({"units": {"a": "1"}}, "units of 'a' must be a factor"),
        ({"units": {"a": 10**400}}, "units of 'a' must be a factor"),
        ({"missing_texts": "NA"}, "missing_texts must be a list of texts, not 'NA'"),
        ({"missing_texts": ["NA", "NA"]}, "none of them empty or there twice"),
        ({"missing_texts": [7]}, "missing_texts must be texts"),
        ({"missing_texts": ["a\0b"]}, "missing_texts must be texts"),
        ({"missing_texts": ["\ud800"]}, "missing_texts must be texts"),
        ({"categories": {"sex": "fm"}}, "the levels of 'sex' must be a list of texts, not 'fm'"),
        ({"categories": {"sex": []}}, "the category 'sex' needs its levels"),
        ({"categories": {"sex": ["f", "f"]}}, "the levels of 'sex' must be texts, none of them empty or there twice"),
        ({"categories": {"sex": ["f"]}, "fill": {"sex": 1}}, "'sex' is a category: it can have no fill"),
        ({"days": {"visit": {"since": "yesterday"}}}, "counted from a day written as 2000-12-31, not 'yesterday'"),
        ({"days": {"visit": {"since": "2000-01-01", "format": "d"}}}, "days are written as %d/%m/%Y or the like, not 'd'"),
        ({"days": {"visit": "2000-01-01"}}, "this is no preprocessing"),
        ({"renames": {"A": ""}}, "'A' is renamed to ''"),
        ({"missing_texts": [str(number) for number in range(10_001)]}, "entries of preprocessing are more than 10000"),
        (7, "this is no preprocessing"),
    ],
)
def test_what_cannot_be_meant_is_refused(content: Any, why: str) -> None:
    with pytest.raises(TermsError, match=re.escape(why)):
        Preprocessing.of_content(content)


@pytest.mark.parametrize(
    ("preprocessing", "why"),
    [
        ({"fill": {"b": 1}}, "fill of the preprocessing speaks of 'b', which is not asked for"),
        ({"units": {"A": 2}}, "units of the preprocessing speaks of 'A'"),
        ({"days": {"sex": Day("2000-01-01")}}, "days of the preprocessing speaks of 'sex'"),
        ({"categories": {"race": ["x"]}}, "categories of the preprocessing speaks of 'race'"),
        ({"categories": {"a": ["x"]}}, "categories of the preprocessing speaks of 'a'"),
        ({"renames": {"B": "b"}}, "renames 'B' to 'b', which is not asked for"),
    ],
)
def test_what_speaks_of_other_columns_is_refused(preprocessing: dict[str, Any], why: str) -> None:
    with pytest.raises(TermsError, match=re.escape(why)):
        TrainingTerms(Requirements((Column("a", 0, 1),), Column("y", 0, 1), preprocessing=Preprocessing.of(**preprocessing)))


def test_rows_in_memory_are_preprocessed_like_all_others() -> None:
    dataset = Dataset.of([[180.0, -9.0], [160.0, 3.0]], [1.0, 2.0], ["A", "b"], "y")
    wanted = Requirements(
        (Column("b", 0, 5), Column("a", 1, 2)),
        Column("y", 0, 9),
        preprocessing=Preprocessing.of(fill={"b": 4}, missing_texts=["-9"], renames={"A": "a"}, units={"a": 0.01}),
    )
    assert dataset.mismatches(wanted) == []
    assert np.allclose(dataset.select(wanted).X, [[4, 1.8], [3, 1.6]])
    with pytest.raises(RequirementsError, match="column 'b' has 1 missing"):
        dataset.select(replace(wanted, preprocessing=replace(wanted.preprocessing, fill=())))


# --- nothing of it is run ----------------------------------------------------------------------------------------

HOSTILE = ['"; DROP TABLE t; --', "'", "''", '"', "a'b\"c", "c0", "v0", "*", "a.b", "--", "/*", "\\", "%s", "{}", "$1", "?", ";", "é", " "]
TEXT = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
)


@settings(max_examples=40)
@given(st.lists(TEXT, min_size=3, max_size=3, unique=True))
def test_names_of_columns_are_names_and_nothing_else(names: list[str]) -> None:
    X, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([7.0, 11.0])
    A, b, c, m = gram((X, y), features=names[:2], target=names[2])
    assert A[:2, :2].tolist() == [[10, 17], [17, 29]]
    assert (b.tolist(), c, m) == ([40, 69, 18], 170, 2)


@settings(max_examples=40)
@given(st.lists(TEXT.map(str.strip).filter(bool), min_size=2, max_size=4, unique=True))
def test_levels_and_texts_are_texts_and_nothing_else(texts: list[str]) -> None:
    *levels, stand_in = texts
    rows = np.array([[level] for level in [*levels, stand_in]], dtype=object)
    prepared = Preprocessing.of(categories={"k": levels}, missing_texts=[stand_in], missing="drop")
    wanted = Requirements((Column(f"k={levels[0]}", 0, 1),), Column("y", 0, 99), preprocessing=prepared)
    table = numpy_table(rows, np.arange(len(rows), dtype=float), ["k"], "y")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantColumnWarning)
        assert table.select(wanted).rows == len(levels)


@settings(max_examples=40)
@given(TEXT)
def test_the_way_days_are_written_is_text_and_nothing_else(text: str) -> None:
    """Whatever it says: days it does not fit are refused, and no other error comes."""
    prepared = Preprocessing.of(days={"d": Day("2000-01-01", "%Y" + text)})
    with pytest.raises(DataError, match=r"are not days written as|cannot be read"):
        gram(([["no day"]], [1.0]), features=["d"], target="y", preprocessing=prepared)


def test_columns_that_are_there_twice_are_refused_only_where_they_are_asked_for() -> None:
    columns = {f"c{j}": np.array([1.0, 2.0, float(j)]) for j in range(4)}
    table = FrameTable(columns, ["a", "b", "b", "y"], "columns")
    assert gram(table, features=["a"], target="y")[3] == 3
    with pytest.raises(DataError, match="2 columns stand for 'b': 'b', 'b'; keep one of them"):
        gram(table, features=["b"], target="y")


def test_names_are_told_apart_by_their_case() -> None:
    connection = duckdb.connect()
    with pytest.raises(DataError, match="there is no column 'A'"):
        gram(connection.sql("SELECT 1.0 AS a, 2.0 AS y"), features=["A"], target="y")
