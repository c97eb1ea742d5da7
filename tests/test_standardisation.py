"""Pooled moments against scikit-learn's StandardScaler on all rows together, and what is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from helpers import Array, key_pair, paper_shards
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from deltaml_core import schemes
from deltaml_core.errors import (
    CiphertextError,
    DataError,
    FewOwnersWarning,
    MessageError,
    RequirementsError,
    ScaleBudgetError,
    TooFewOwnersError,
)
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.standardisation import Moments, MomentSums, secure_moments
from deltaml_core.statistics import Column, Dataset

KEY = key_pair("paillier", 256)
PLAIN = key_pair("plain", 2048)


def owned(parts: list[Array]) -> list[Dataset]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constant columns are among the cases
        return [Dataset.of(X, np.zeros(len(X))) for X in parts]


def ranges(parts: list[Array], slack: float = 0.0) -> tuple[Column, ...]:
    X = np.vstack(parts)
    return tuple(Column(f"x{j + 1}", float(x.min() - slack), float(x.max() + slack)) for j, x in enumerate(X.T))


def pooled(parts: list[Array], key: PrivateKey = PLAIN, slack: float = 0.0) -> Moments:
    return secure_moments(owned(parts), key, ranges(parts, slack))


def check_agrees(moments: Moments, parts: list[Array]) -> None:
    scaler = StandardScaler().fit(np.vstack(parts))
    assert moments.rows == sum(len(X) for X in parts)
    assert moments.mean == pytest.approx(scaler.mean_, rel=1e-9, abs=1e-9 * np.abs(np.vstack(parts)).max())
    assert moments.scale == pytest.approx(scaler.scale_, rel=1e-9)


def test_three_owners_by_hand() -> None:
    parts = [np.array([[1.0, 5.0]]), np.array([[3.0, 5.0], [5.0, 5.0]]), np.array([[7.0, 5.0]])]
    moments = pooled(parts, KEY)
    assert moments.mean.tolist() == [4.0, 5.0]
    assert moments.scale.tolist() == [np.sqrt(5), 1.0]
    assert moments.rows == 4
    assert moments.apply([[4.0, 6.0]]).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize("bits", [256, 512, 2048])
def test_the_papers_owners_at_any_length_of_key(bits: int) -> None:
    parts = [X for X, _ in paper_shards()]
    check_agrees(pooled(parts, key_pair("paillier", bits)), parts)


@given(st.integers(0, 2**32), st.integers(3, 8), st.integers(1, 5), st.floats(-1e6, 1e6), st.sampled_from([1e-3, 1.0, 1e5]))
@settings(max_examples=60)
def test_moments_are_the_standard_scalers(seed: int, owners: int, features: int, offset: float, spread: float) -> None:
    rng = np.random.default_rng(seed)
    parts = [offset + rng.normal(scale=spread, size=(rng.integers(1, 30), features)) + spread * rng.normal() for _ in range(owners)]
    check_agrees(pooled(parts, slack=spread), parts)


def test_a_spread_far_below_its_declared_range_keeps_its_digits() -> None:
    """Sums of plain squares would lose eleven of sixteen."""
    rng = np.random.default_rng(1)
    parts = [rng.normal(0.25, 1e-5, (40, 1)) for _ in range(4)]
    exact = np.vstack(parts) - 0.25
    moments = secure_moments(owned(parts), PLAIN, [Column("x1", -3.0, 3.0)])
    assert moments.scale == pytest.approx(exact.std(axis=0), rel=1e-9)
    assert moments.mean == pytest.approx(0.25 + exact.mean(axis=0), abs=1e-15)


def test_constant_features_are_shifted_and_not_scaled() -> None:
    parts = [np.array([[0.1, 1e9], [0.1, 1e9]]), np.full((3, 2), [0.1, 1e9]), np.full((1, 2), [0.1, 1e9])]
    moments = pooled(parts)
    assert moments.scale.tolist() == [1.0, 1.0]
    assert moments.mean == pytest.approx([0.1, 1e9], rel=1e-15)


def test_features_come_in_the_order_asked_for_and_others_stay_out() -> None:
    parts = [np.array([[1.0, 10.0, -1.0]]), np.array([[2.0, 30.0, -1.0]]), np.array([[3.0, 20.0, -2.0]])]
    moments = secure_moments(owned(parts), KEY, [Column("x2", 0, 40), Column("x1", 0, 4)])
    assert moments.mean.tolist() == [20.0, 2.0]


def test_coefficients_of_standardised_rows_become_those_of_rows_as_they_were() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(50, 3)) * [1, 10, 0.1] + [5, 0, -2]
    for y in (X @ [1.0, 2.0, 3.0] + 4, X @ np.array([[1.0, 0.0], [2.0, 1.0], [3.0, -1.0]]) + [4, 5]):
        moments = pooled([X[:20], X[20:30], X[30:]])
        fitted = LinearRegression().fit(moments.apply(X), y)
        coef, intercept = moments.apply_weights(fitted.coef_, fitted.intercept_)
        direct = LinearRegression().fit(X, y)
        assert coef == pytest.approx(direct.coef_, rel=1e-9, abs=1e-9)
        assert intercept == pytest.approx(direct.intercept_, rel=1e-9)
        assert coef.shape == direct.coef_.shape


def test_declared_ranges_hold_the_standardised_rows() -> None:
    rng = np.random.default_rng(6)
    parts = [rng.uniform(-3, 9, (20, 2)) for _ in range(3)]
    moments, declared = pooled(parts), ranges(parts)
    for column, x in zip(moments.apply_columns(declared), moments.apply(np.vstack(parts)).T, strict=True):
        assert (column.low, column.high) == (x.min(), x.max())


# --- what is refused, and whom it names ----------------------------------------------------------------------------

FEATURES = (Column("x1", 0.0, 8.0), Column("x2", -4.0, 4.0))


def parts_for(key: PrivateKey, layout: MomentSums) -> dict[str, tuple[int, ...]]:
    datasets = owned([np.array([[1.0, 2.0]]), np.array([[3.0, 0.0], [5.0, 1.0]]), np.array([[7.0, -4.0]])])
    return {f"owner-{index}": layout.encrypt(data, key.public) for index, data in enumerate(datasets)}


def test_nothing_is_opened_of_one_owner_and_two_are_warned() -> None:
    two = [np.array([[1.0], [2.0]]), np.array([[3.0]])]
    with pytest.raises(TooFewOwnersError, match="means over 1 owner"):
        pooled(two[:1])
    with pytest.warns(FewOwnersWarning, match="2 owners hides neither from the other"):
        check_agrees(pooled(two), two)


def test_everybodys_sums_are_added_or_none() -> None:
    layout = MomentSums(FEATURES, 3, KEY.public.capacity)
    parts = parts_for(KEY, layout)
    with pytest.raises(TooFewOwnersError, match="2 of 3 owners sent their sums"):
        layout.add(dict(list(parts.items())[:2]), KEY.public)
    with pytest.raises(CiphertextError, match=r"from owner-1: expected 5 ciphertexts, got 1"):
        layout.add({**parts, "owner-1": parts["owner-1"][:1]}, KEY.public)
    with pytest.raises(CiphertextError, match=r"from owner-2: .*not between"):
        layout.add({**parts, "owner-2": (0, *parts["owner-2"][1:])}, KEY.public)


def test_an_owners_sums_look_new_each_time_and_so_does_the_total() -> None:
    layout = MomentSums(FEATURES, 3, KEY.public.capacity)
    parts, again = parts_for(KEY, layout), parts_for(KEY, layout)
    assert all(parts[name] != again[name] for name in parts)
    assert layout.add(parts, KEY.public) != layout.add(parts, KEY.public)


@pytest.mark.parametrize(
    ("slot", "change", "why"),
    [
        (0, -4 << 128, "0 rows, which 3 owners cannot have"),
        (0, 1 << 127, "4.5 rows"),
        (0, 1 << 170, "cannot have"),
        (1, 9 << 128, "'x1' are none of values within its declared range"),
        (2, -(1 << 130), "'x1' are none of"),
        (4, 9 << 128, "'x2' are none of"),
        (4, 1 << 180, "cannot be unpacked"),
    ],
)
def test_sums_of_no_possible_rows_stay_with_the_buyer(slot: int, change: int, why: str) -> None:
    layout = MomentSums(FEATURES, 3, PLAIN.public.capacity)
    total = layout.add(parts_for(PLAIN, layout), PLAIN.public)
    assert layout.open(total, PLAIN).mean.tolist() == [4.0, -0.25]
    with pytest.raises(MessageError, match=f"from aggregator: .*{why}"):
        layout.open((total[0] + (change << (layout.slots.width * slot)),), PLAIN)


def test_data_that_are_not_as_declared_name_their_owner() -> None:
    parts = owned([np.array([[1.0, 9.0]]), np.array([[3.0, 0.0]]), np.array([[3.0, 0.0]])])
    with pytest.raises(RequirementsError, match=r"bob: .*1 of 1 values of 'x2' lie outside \[-4, 4\]"):
        secure_moments([parts[1], parts[0], parts[2]], KEY, FEATURES, owners=["ann", "bob", "cat"])
    with pytest.raises(RequirementsError, match="owner 0: the data set has no column age"):
        secure_moments(parts, KEY, [Column("age", 0, 1)])


@pytest.mark.parametrize(
    "column", [Column("x1", 1.0, 0.0), Column("x1", -np.inf, 0.0), Column("x1", 0.0, np.nan), Column("x1", 0.0, 1e200)]
)
def test_ranges_nobody_can_scale_to(column: Column) -> None:
    with pytest.raises(RequirementsError, match="the range of 'x1' must be in order"):
        MomentSums((column,), 3, 254)


def test_layouts_without_features_or_room() -> None:
    with pytest.raises(RequirementsError, match="no features"):
        MomentSums((), 3, 254)
    with pytest.raises(ScaleBudgetError, match="takes 172 bits, but the key holds 126"):
        MomentSums(FEATURES, 3, 126)


@pytest.mark.parametrize("X", [[1.0, 2.0, 3.0], [[1.0, 2.0]], [[[1.0]]]])
def test_rows_and_coefficients_of_another_width(X: npt.ArrayLike) -> None:
    moments = Moments(np.zeros(3), np.ones(3), 4)
    with pytest.raises(DataError, match="moments are known of 3 features"):
        moments.apply(X)
    with pytest.raises(DataError, match="moments are known of 3 features"):
        moments.apply_weights([1.0, 2.0], 0.0)
    with pytest.raises(DataError):
        replace(moments, mean=np.zeros(1)).apply_weights(1.0, 0.0)


def test_every_party_may_hold_only_its_own_key_object() -> None:
    """Nothing but the modulus passes from the buyer to the others."""
    layout = MomentSums(FEATURES, 3, KEY.public.capacity)
    stranger = schemes.public_key("paillier", KEY.public.modulus)
    datasets = owned([np.array([[1.0, 2.0]]), np.array([[3.0, 0.0]]), np.array([[8.0, -2.0]])])
    parts = {str(index): layout.encrypt(data, stranger) for index, data in enumerate(datasets)}
    assert layout.open(layout.add(parts, stranger), KEY).mean.tolist() == [4.0, 0.0]
