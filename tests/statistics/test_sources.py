"""One behaviour for all kinds of sources: the same rows give the same sums, and what does not fit is refused in the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deltaml_core.errors import ConstantColumnWarning, DataError, RequirementsError
from deltaml_core.statistics import Column, Day, Preprocessing, Requirements, gram, numpy_table, open_source
from deltaml_core.statistics.sources import local

SourceOf = Callable[[dict[str, list[Any]]], Any]

MESSY: dict[str, list[Any]] = {
    "Height": [180.0, 165.5, None, 171.0, 158.25, 190.0],
    "sex": ["f", "m", "m", "x", None, "f"],
    "visit": ["2020-01-01", "2020-03-01", "2021-12-31", "1999-12-31", "2020-02-29", "2020-01-02"],
    "score": [1.5, 2.5, 3.5, -9.0, 5.5, 6.5],
    "price": [10.5, 20.25, 30.0, 40.0, 50.0, 60.75],
}


def _oracle(X: Any, y: Any) -> tuple[Any, Any, float, int]:
    rows, target = np.column_stack([np.asarray(X, dtype=float), np.ones(len(y))]), np.asarray(y, dtype=float)
    return rows.T @ rows, rows.T @ target, float(target @ target), len(target)


def _assert_same(found: tuple[Any, Any, float, int], expected: tuple[Any, Any, float, int]) -> None:
    A, b, c, m = found
    norms = np.sqrt(np.append(np.diag(expected[0]), expected[2]))
    assert np.all(np.abs(A - expected[0]) <= 1e-9 * np.outer(norms[:-1], norms[:-1]))
    assert np.all(np.abs(b - expected[1]) <= 1e-9 * norms[:-1] * norms[-1])
    assert c == pytest.approx(expected[2], rel=1e-9)
    assert m == expected[3]


def test_sums_are_those_of_the_rows(source_of: SourceOf) -> None:
    """Of columns near 0, far from it, and of very different sizes."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(500, 4)) * [1.0, 1e-6, 5.0, 1e4] + [0.0, 1e-3, 1e8, -3e5]
    y = X @ [1.0, 2e5, 0.5, 1e-3] + rng.normal(size=500)
    columns = {name: values.tolist() for name, values in zip("abcdy", [*X.T, y], strict=True)}
    _assert_same(gram(source_of(columns), features=["a", "b", "c", "d"], target="y"), _oracle(X, y))


@pytest.mark.parametrize("block", [4, 1 << 18])
def test_many_columns_are_multiplied_here_with_the_same_result(source_of: SourceOf, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Down to what is dropped, and what is refused."""
    monkeypatch.setattr(local, "WIDEST_QUERY", 1)
    monkeypatch.setattr(local, "BLOCK_VALUES", block)
    columns = {"a": [1.0, None, 4.0, 3.0], "b": [1e9, 2.0, 45.0, 0.5], "y": [5.0, 6.0, 9.0, 1.0]}
    found = gram(source_of(columns), features=["a", "b"], target="y", preprocessing=Preprocessing.of(missing="drop"))
    _assert_same(found, _oracle([[1.0, 1e9], [4.0, 45.0], [3.0, 0.5]], [5.0, 9.0, 1.0]))
    with pytest.raises(DataError, match="column 'a' has 1 missing"):
        gram(source_of(columns), features=["a", "b"], target="y")


def test_spread_is_kept_where_values_are_far_from_zero(source_of: SourceOf) -> None:
    """A plain sum of squares would have no digit of it left: 1e9 squared is 1e18, and the spread is 1."""
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=400), rng.normal(size=400)
    far = (1e9 + x).tolist()
    requirements = Requirements((Column("x", -1e10, 1e10),), Column("y", -10, 10))
    table = numpy_table(*source, ["x"], "y") if isinstance(source := source_of({"x": far, "y": y.tolist()}), tuple) else open_source(source)
    found = table.select(requirements).moments.scatter
    both = np.array([far, y]) - np.mean([far, y], axis=1, keepdims=True)
    assert found == pytest.approx(both @ both.T, rel=1e-6)


def test_columns_come_in_the_order_asked_for(source_of: SourceOf) -> None:
    columns = {"a": [1.0, 2.0, 4.0, 3.0], "b": [10.0, 20.0, 45.0, 0.5], "y": [5.0, 6.0, 9.0, 1.0]}
    _assert_same(gram(source_of(columns), features=["a", "b"], target="y"), _oracle(np.array([columns["a"], columns["b"]]).T, columns["y"]))


def _select(source: Any, requirements: Requirements) -> Any:
    if isinstance(source, tuple):
        source = numpy_table(*source, list(MESSY)[:-1], "price")
    return open_source(source).select(requirements)


def test_messy_columns_become_what_the_request_asks_for(source_of: SourceOf) -> None:
    wanted = Requirements(
        (Column("height", 1, 2), Column("sex=f", 0, 1), Column("sex=m", 0, 1), Column("visit", -1, 1000), Column("score", 0, 7)),
        Column("price", 0, 100),
        preprocessing=Preprocessing.of(
            missing="drop",
            missing_texts=["-9"],
            fill={"height": 1.7},
            categories={"sex": ["f", "m", "x"]},
            days={"visit": Day("2020-01-01")},
            renames={"Height": "height"},
            units={"height": 0.01},
        ),
    )
    found = _select(source_of(MESSY), wanted)
    X = [[1.8, 1, 0, 0, 1.5], [1.655, 0, 1, 60, 2.5], [1.7, 0, 1, 730, 3.5], [1.9, 1, 0, 1, 6.5]]
    y = [10.5, 20.25, 30.0, 60.75]
    statistics = found.statistics()
    _assert_same((statistics.A, statistics.b, statistics.c, statistics.rows), _oracle(X, y))
    loaded = found.load()
    assert np.allclose(loaded.X, X, rtol=1e-12)
    assert loaded.y.tolist() == y
    assert loaded.features == ("height", "sex=f", "sex=m", "visit", "score")


AS_IT_IS = Column("price", 0, 100)


@pytest.mark.parametrize(
    ("features", "target", "preprocessing", "why"),
    [
        ([Column("Height", 0, 300)], AS_IT_IS, {}, "column 'Height' has 1 missing or infinite values among 6 rows"),
        ([Column("width", 0, 1)], AS_IT_IS, {}, "there is no column 'width'"),
        ([Column("Width", 0, 1)], AS_IT_IS, {"renames": {"breadth": "Width"}}, "there is no column 'Width', nor 'breadth'"),
        ([Column("s", 0, 1)], AS_IT_IS, {"renames": {"sex": "s", "score": "s"}}, "2 columns stand for 's': 'sex', 'score'"),
        ([Column("visit", 0, 1)], AS_IT_IS, {}, "6 of 6 values of 'visit' are not numbers: '1999-12-31' for one"),
        ([Column("sex", 0, 1)], AS_IT_IS, {"missing": "drop"}, "5 of 6 values of 'sex' are not numbers: 'f' for one"),
        (
            [Column("sex=f", 0, 1)],
            AS_IT_IS,
            {"categories": {"sex": ["f", "m"]}, "missing": "drop"},
            "1 of 6 values of 'sex' are not one of f, m",
        ),
        ([Column("sex=f", 0, 1)], AS_IT_IS, {"categories": {"sex": ["f", "m", "x"]}}, "column 'sex' has 1 missing"),
        ([Column("sex", 0, 1)], AS_IT_IS, {"days": {"sex": Day("2020-01-01")}, "missing": "drop"}, "5 of 6 values of 'sex' are not days"),
        (
            [Column("visit", 0, 9)],
            AS_IT_IS,
            {"days": {"visit": Day("2020-01-01", "%d.%m.%Y")}},
            "6 of 6 values of 'visit' are not days written",
        ),
        ([Column("visit", 0, 9)], AS_IT_IS, {"days": {"visit": Day("2020-01-01")}}, "lie outside [0, 9] (they span [-7306, 730])"),
        ([Column("score", -4, 4)], AS_IT_IS, {}, "3 of 6 values of 'score' lie outside [-4, 4] (they span [-9, 6.5])"),
        ([Column("score", 0, 4)], AS_IT_IS, {"missing_texts": ["-9"]}, "column 'score' has 1 missing"),
        (
            [Column("score", -9, 7)],
            Column("price", 1000, 6000),
            {"units": {"price": 10}},
            "6 of 6 values of 'price' lie outside [1000, 6000]",
        ),
        ([Column("score", -9, 7)], Column("Height", 0, 300), {"missing": "drop"}, "fewer than the 6 asked for, 1 more lack a value"),
    ],
)
def test_what_does_not_fit_is_refused_with_column_and_count(
    source_of: SourceOf, features: list[Column], target: Column, preprocessing: dict[str, Any], why: str
) -> None:
    wanted = Requirements(tuple(features), target, 6 if target.name == "Height" else 1, Preprocessing.of(**preprocessing))
    source = source_of(MESSY)
    with pytest.raises(RequirementsError, match=re.escape(why)):
        _select(source, wanted)


def test_what_only_the_preprocessing_of_others_needs_is_read_as_it_is(source_of: SourceOf) -> None:
    """Columns that nobody asks for may hold anything."""
    found = _select(source_of(MESSY), Requirements((Column("score", -9, 7),), AS_IT_IS)).statistics()
    _assert_same((found.A, found.b, found.c, found.rows), _oracle(np.array([MESSY["score"]]).T, MESSY["price"]))


def test_a_constant_feature_only_warns(source_of: SourceOf) -> None:
    with pytest.warns(ConstantColumnWarning, match="'a' has the same value in all 3 rows"):
        assert gram(source_of({"a": [7.0] * 3, "y": [1.0, 2.0, 3.5]}), features=["a"], target="y")[3] == 3


def test_a_source_without_rows_to_keep_is_refused(source_of: SourceOf) -> None:
    source = source_of({"a": [None, None], "b": [1.0, 2.0], "y": [1.0, 2.0]})
    with pytest.raises(DataError, match="there are 0 rows, fewer than the 1 asked for, 2 more lack a value"):
        gram(source, features=["a", "b"], target="y", preprocessing=Preprocessing.of(missing="drop"))


def test_values_that_are_not_finite_are_missing(source_of: SourceOf) -> None:
    columns = {"a": [1.0, float("nan"), float("inf"), 2.0], "y": [1.0, 2.0, 3.0, float("-inf")]}
    with pytest.raises(DataError, match=r"column 'a' has 2 missing or infinite.*column 'y' has 1 missing or infinite"):
        gram(source_of(columns), features=["a"], target="y")
    with pytest.warns(ConstantColumnWarning):
        filled = gram(source_of(columns), features=["a"], target="y", preprocessing=Preprocessing.of(missing="drop", fill={"a": 1.0}))
    _assert_same(filled, _oracle([[1.0], [1.0], [1.0]], [1.0, 2.0, 3.0]))


def test_what_is_no_source_is_refused() -> None:
    for nothing in (None, 7, {"a": [1.0]}, [1.0, 2.0, 3.0], object()):
        with pytest.raises(DataError, match="is no source of data"):
            gram(nothing, features=["a"], target="y")


@pytest.mark.parametrize(("features", "target"), [([], "y"), (["a", "a"], "y"), (["y"], "y")])
def test_a_model_needs_columns_of_different_names(features: list[str], target: str) -> None:
    with pytest.raises(DataError, match="a feature at least"):
        gram(([[1.0]], [1.0]), features=features, target=target)
