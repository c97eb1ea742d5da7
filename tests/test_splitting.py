"""Who gets which rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.errors import DataError, TermsError
from deltaml_core.splitting import by_owner, deal, folds, hold_out
from deltaml_core.statistics import Dataset


def test_rows_are_dealt_like_cards() -> None:
    assert deal(7, 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    with pytest.raises(TermsError, match="at least 2"):
        deal(7, 1)


def test_owners_come_in_the_order_of_their_first_row() -> None:
    X, y = np.arange(10.0).reshape(5, 2), np.arange(5.0)
    shards, names = by_owner(X, y, ["north", "east", "north", "west", "east"])
    assert names == ["north", "east", "west"]
    assert [labels.tolist() for _, labels in shards] == [[0, 2], [1, 4], [3]]
    assert shards[1][0].tolist() == [[2, 3], [8, 9]]
    with pytest.raises(DataError, match="5 rows"):
        by_owner(X, y, ["north"])


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 10))
def test_every_row_is_either_kept_or_held_out(rows: int, share: float, seed: int) -> None:
    dataset = Dataset.of(np.arange(rows, dtype=float).reshape(-1, 1), np.zeros(rows))
    kept, tested = hold_out(dataset, share, seed)
    assert sorted([*kept.X[:, 0], *tested.X[:, 0]]) == list(range(rows))
    assert min(kept.rows, tested.rows) >= 1
    assert hold_out(dataset, share, seed)[1].X.tolist() == tested.X.tolist()


def test_one_row_cannot_be_split() -> None:
    with pytest.raises(DataError, match="one row"):
        hold_out(Dataset.of([[1.0]], [1.0]), 0.5, 0)


@pytest.mark.parametrize("share", ["0.2", True, None, float("nan"), 0, 1, -1e300])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(TermsError, match="must lie between 0 and 1"):
        hold_out(Dataset.of([[1.0], [2.0]], [1.0, 2.0]), share, 0)


@pytest.mark.parametrize("seed", ["a", -1, 1.5])
def test_a_seed_that_is_none_is_refused(seed: int) -> None:
    with pytest.raises(TermsError, match="seed must be a whole number"):
        hold_out(Dataset.of([[1.0], [2.0]], [1.0, 2.0]), 0.5, seed)


@pytest.mark.parametrize("owners", [0, 1])
def test_nobody_validates_in_turn_alone(owners: int) -> None:
    with pytest.raises(TermsError, match="at least 2 are needed"):
        folds(owners)


@given(st.integers(2, 40), st.data())
def test_every_owner_validates_once(owners: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(2, owners))
    found = folds(owners, count)
    assert sorted(owner for fold in found for owner in fold) == list(range(owners))
    assert len(found) == count
    assert folds(owners) == [[owner] for owner in range(owners)]


@pytest.mark.parametrize("count", [0, 1, 6])
def test_folds_that_leave_nobody_are_refused(count: int) -> None:
    with pytest.raises(TermsError, match="2 to 5 folds"):
        folds(5, count)
