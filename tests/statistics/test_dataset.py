"""Data sets: what is accepted, what is refused and why, and the statistics of one scan."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.errors import ConstantColumnWarning, DataError, RequirementsError
from deltaml_core.statistics import Column, Dataset, Requirements, Statistics

X = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]])
Y = np.array([5.0, 6.0, 9.0])
BY_NAME = Requirements((Column("b", 0, 50), Column("a", 0, 5)), Column("price", 5, 9), minimum_rows=3)


def named() -> Dataset:
    return Dataset.of(X, Y, ["a", "b"], "price")


# --- building ----------------------------------------------------------------------------------------------------


def test_columns_get_names_and_intercept_is_last() -> None:
    dataset = Dataset.of(X.tolist(), Y.tolist())
    assert dataset.features == ("x1", "x2")
    assert dataset.target == "target"
    assert dataset.rows == 3
    assert dataset.design().tolist() == [[1, 10, 1], [2, 20, 1], [4, 40, 1]]


@pytest.mark.parametrize(
    ("data", "target", "why"),
    [
        ([1.0, 2.0], [1.0, 2.0], "X must have two dimensions and y one, not 1 and 1; for one feature use X.reshape"),
        ([[[1.0]]], [1.0], "not 3 and 1"),
        ([[1.0]], [[1.0]], "not 2 and 2"),
        ([[1.0], [2.0]], [1.0], "X has 2 rows and y has 1"),
        (np.empty((0, 2)), [], "X has 0 rows and 2 columns"),
        (np.empty((3, 0)), [1, 2, 3], "X has 3 rows and 0 columns"),
        ([[1.0], [np.nan]], [1.0, 2.0], "column 'x1' has 1 missing or infinite values among 2 rows"),
        ([[1.0, 1.0], [2.0, np.inf]], [1.0, 2.0], "column 'x2' has 1 missing"),
        ([[1.0, 1.0], [2.0, -np.inf]], [1.0, 2.0], "column 'x2' has 1 missing"),
        ([[np.nan], [np.nan]], [1.0, 2.0], "column 'x1' has 2 missing"),
        ([[1.0], [2.0]], [np.nan, 2.0], "column 'target' has 1 missing"),
        ([["one"], ["two"]], [1.0, 2.0], "X must hold numbers only"),
        ([[1.0], [2.0, 3.0]], [1.0, 2.0], "X must hold numbers only, in rows of equal length"),
        ([[1.0], [None]], ["a", "b"], "y must hold numbers only"),
    ],
)
def test_data_that_cannot_be_used_is_refused(data: object, target: object, why: str) -> None:
    with pytest.raises(DataError, match=re.escape(why)):
        Dataset.of(data, target)  # type: ignore[arg-type]


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "b", "c"]])
def test_names_must_fit_the_columns(names: list[str]) -> None:
    with pytest.raises(DataError, match="distinct names"):
        Dataset.of(X, Y, names)


def test_a_constant_feature_only_warns() -> None:
    with pytest.warns(ConstantColumnWarning, match="'x1' has the same value in all 3 rows"):
        dataset = Dataset.of([[7.0, 1.0], [7.0, 2.0], [7.0, 3.0]], Y)
    assert dataset.rows == 3


def test_one_row_is_no_constant_column() -> None:
    assert Dataset.of([[7.0]], [1.0]).rows == 1


def test_repr_shows_names_and_size_but_no_value() -> None:
    secret = Dataset.of([[1234.5], [777.25]], [42.75, 99.5], ["income"], "price")
    assert repr(secret) == "Dataset(2 rows, features income, target price)"
    for shown in (repr(secret), repr(Statistics.of(secret)), repr([secret])):
        assert not any(number in shown for number in ("1234", "777", "42.75", "99.5", "2011"))


# --- files -------------------------------------------------------------------------------------------------------


def test_from_csv(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a, price ,b\n1,5,10\n2,6,20\n4,9,40\n")
    dataset = Dataset.from_csv(file, "price")
    assert dataset.features == ("a", "b")
    assert dataset.X.tolist() == X.tolist()
    assert dataset.y.tolist() == Y.tolist()
    assert dataset.commitment(b"s") == named().commitment(b"s")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no rows below its header line"),
        ("a,price\n", "has no rows below its header line"),
        ("a,b\n1,2\n", "has no column 'price'; it has a, b"),
        ("a,price\n1,2\n3\n", "line 3: 1 values where the header names 2 columns"),
        ("a,price\n1,2,3\n", "line 2: 3 values where the header names 2 columns"),
        ("a,price\n1,2\nx,4\n", "line 3, column 'a': 'x' is not a number"),
        ("a,price\n1,\n", "line 2, column 'price': '' is not a number"),
        ("a,price\n1,2\nnan,3\n", "column 'a' has 1 missing or infinite values"),
        ("a,a,price\n1,2,3\n", "distinct names"),
        ("price\n1\n", "0 columns"),
    ],
)
def test_faulty_files_are_refused_with_file_and_place(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=re.escape(why)) as refused:
        Dataset.from_csv(file, "price")
    assert str(file) in str(refused.value)


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    binary = tmp_path / "rows.csv"
    binary.write_bytes(b"a,price\n\xff\xfe,1\n")
    for path in (binary, tmp_path / "absent.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            Dataset.from_csv(path, "price")


# --- requirements ------------------------------------------------------------------------------------------------


def test_a_data_set_that_matches() -> None:
    chosen = named().select(BY_NAME)
    assert chosen.features == ("b", "a")
    assert chosen.X.tolist() == [[10, 1], [20, 2], [40, 4]]
    assert named().mismatches(BY_NAME) == []


def test_further_columns_are_left_out() -> None:
    only = Requirements((Column("b", 10, 40),), Column("price", 0, 9))
    assert named().select(only).X.tolist() == [[10], [20], [40]]


@pytest.mark.parametrize(
    ("requirements", "why"),
    [
        (Requirements((Column("c", 0, 1),), Column("price", 0, 9)), "there is no column 'c'"),
        (Requirements((Column("a", 0, 5),), Column("cost", 0, 9)), "the target is 'price', not 'cost'"),
        (Requirements((Column("a", 0, 5),), Column("price", 0, 9), 4), "there are 3 rows, fewer than the 4 asked for"),
        (Requirements((Column("a", 0, 3),), Column("price", 0, 9)), "1 of 3 values of 'a' lie outside [0, 3] (they span [1, 4])"),
        (Requirements((Column("a", 2, 5),), Column("price", 0, 9)), "1 of 3 values of 'a' lie outside [2, 5]"),
        (Requirements((Column("a", 0, 5),), Column("price", 0, 5)), "2 of 3 values of 'price' lie outside [0, 5]"),
    ],
)
def test_every_mismatch_is_named(requirements: Requirements, why: str) -> None:
    assert [fault for fault in named().mismatches(requirements) if why in fault]
    with pytest.raises(RequirementsError, match=re.escape(why)):
        named().select(requirements)


def test_all_mismatches_are_listed_at_once() -> None:
    wrong = Requirements((Column("c", 0, 1), Column("a", 9, 9)), Column("cost", 0, 1), 10)
    assert len(named().mismatches(wrong)) == 5


def test_magnitude_is_the_larger_end() -> None:
    assert Column("a", -7, 3).magnitude == 7
    assert Column("a", 1, 3).magnitude == 3


# --- commitment --------------------------------------------------------------------------------------------------


def test_commitment_binds_salt_names_and_every_value() -> None:
    first = named().commitment(b"salt")
    assert first == named().commitment(b"salt")
    assert len(first) == 32
    other_value = Dataset.of(np.where(X == 20, 21, X), Y, ["a", "b"], "price")
    other_target = Dataset.of(X, np.where(Y == 6, 6 + 1e-9, Y), ["a", "b"], "price")
    swapped = Dataset.of(X[[1, 0, 2]], Y[[1, 0, 2]], ["a", "b"], "price")
    renamed = Dataset.of(X, Y, ["a", "c"], "price")
    others = [other_value, other_target, swapped, renamed]
    assert len({first, named().commitment(b"tals"), *(d.commitment(b"salt") for d in others)}) == 6


# --- statistics --------------------------------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 10**6))
def test_one_scan_sums_over_the_rows(rows: int, features: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data, target = rng.normal(size=(rows, features)), rng.normal(size=rows)
    statistics = Statistics.of(Dataset.of(data, target))
    A, b, c = np.zeros((features + 1, features + 1)), np.zeros(features + 1), 0.0
    for x, y in zip(data, target, strict=True):
        row = np.append(x, 1.0)
        A += np.outer(row, row)
        b += y * row
        c += y * y
    assert np.allclose(statistics.A, A, rtol=1e-12, atol=1e-12)
    assert np.allclose(statistics.b, b, rtol=1e-12, atol=1e-12)
    assert statistics.c == pytest.approx(c)
    assert statistics.rows == rows
    assert statistics.target_sum == pytest.approx(target.sum(), abs=1e-12)
