"""The law of packing.py's docstring, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import key_pair
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core.errors import LocalTrainingError, MessageError, ScaleBudgetError
from deltaml_core.fixedpoint import encode
from deltaml_core.updates.packing import UpdatePacking


def packing(parameters: int = 3, **changes: object) -> UpdatePacking:
    settings = {"clip_norm": 2.0, "fractional_bits": 16, "total_weight": 5, "capacity": 254, **changes}
    return UpdatePacking(parameters, **settings)  # type: ignore[arg-type]


def test_two_updates_by_hand() -> None:
    layout = packing(2, clip_norm=1.0, fractional_bits=2, total_weight=2)
    assert layout.bound == 5  # 4 quarters, and one for rounding
    assert (layout.slots.value_bits, layout.slots.width) == (3, 6)
    first, second = layout.pack(np.array([0.5, -0.75])), layout.pack(np.array([-1.0, 0.0]))
    assert first == [(2 + 8) + ((-3 + 8) << 6)]
    assert layout.mean([first[0] + second[0]], 2, "aggregator").tolist() == [-0.25, -0.375]


entries = st.sampled_from([-1.0, 1.0, 0.0]) | st.floats(-1, 1)


@given(st.data(), st.integers(1, 100), st.integers(1, 12), st.integers(0, 60), st.sampled_from([1e-3, 1.0, 37.5]))
def test_the_mean_of_packed_updates_is_the_mean_of_rounded_ones(
    data: st.DataObject, trainers: int, parameters: int, bits: int, clip: float
) -> None:
    """Up to a hundred trainers of any weights, entries at both extremes among them."""
    weights = data.draw(st.lists(st.integers(1, 10_000), min_size=trainers, max_size=trainers))
    layout = packing(parameters, clip_norm=clip, fractional_bits=bits, total_weight=sum(weights))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    chosen = data.draw(st.lists(entries, min_size=parameters, max_size=parameters))
    updates = [layout.clip(clip * (np.array(chosen) if index % 2 else rng.uniform(-1, 1, parameters))) for index in range(trainers)]
    sums = [0] * layout.ciphertexts
    for weight, update in zip(weights, updates, strict=True):
        sums = [total + weight * plaintext for total, plaintext in zip(sums, layout.pack(update), strict=True)]
    rounded = [sum(w * encode(u[j], bits) for w, u in zip(weights, updates, strict=True)) for j in range(parameters)]
    expected = [total / (sum(weights) * 2**bits) for total in rounded]
    assert layout.mean(sums, sum(weights), "aggregator") == pytest.approx(expected, rel=1e-12, abs=1e-300)
    assert all(plaintext.bit_length() <= layout.capacity for plaintext in sums)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_hundred_trainers_at_the_same_extreme_neither_borrow_nor_carry(sign: float) -> None:
    layout = packing(40, clip_norm=1.0, total_weight=100)
    update = np.zeros(40)
    for place in range(40):
        update[:] = 0
        update[place] = sign
        mean = layout.mean([100 * plaintext for plaintext in layout.pack(update)], 100, "aggregator")
        assert mean.tolist() == update.tolist()


@pytest.mark.parametrize("scheme", ["paillier", "plain"])
def test_sums_under_encryption_are_those_of_plaintexts(scheme: str) -> None:
    key = key_pair(scheme, 256)
    layout = packing(20, capacity=key.public.capacity)
    rng = np.random.default_rng(4)
    one, other = (layout.clip(rng.normal(size=20)) for _ in range(2))
    weighted = key.public.scale(key.public.encrypt(layout.pack(other)), [4] * layout.ciphertexts)
    mean = layout.mean(key.decrypt(key.public.add(key.public.encrypt(layout.pack(one)), weighted)), 5, "aggregator")
    assert mean == pytest.approx((one + 4 * other) / 5, abs=2.0**-17)


def test_clipping_keeps_the_direction_and_short_updates_as_they_are() -> None:
    layout = packing(2, clip_norm=5.0)
    short, long = np.array([3.0, -4.0]), np.array([30.0, -40.0])
    assert layout.clip(short) is short
    assert layout.clip(long) == pytest.approx(short)
    assert layout.clip(np.array([3e200, -4e200])) == pytest.approx(short)  # whose squares are no floats
    assert layout.clip(np.array([3e307, -1.7e308])) == pytest.approx(5 * np.array([3, -17]) / np.hypot(3, 17))
    assert layout.clip(np.zeros(2)).tolist() == [0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_packed(value: float) -> None:
    with pytest.raises(LocalTrainingError, match=r"alice failed: .*lower the learning rate") as failed:
        packing(2).pack(np.array([0.0, value]), "alice")
    assert failed.value.owner == "alice"


def test_a_key_too_short_for_one_sum_says_what_to_change() -> None:
    with pytest.raises(ScaleBudgetError, match="takes 141 bits, but the key holds 126: take a longer key"):
        _ = packing(fractional_bits=135, capacity=126).slots


def test_sums_that_no_clipped_updates_add_up_to_name_who_brought_them() -> None:
    layout = packing(2)
    honest = layout.pack(np.array([1.0, -1.0]))[0]
    width, entry = layout.slots.width, 3 << 16
    for wrong, why in (
        (-1, "cannot be unpacked"),
        (1 << (2 * width), "cannot be unpacked"),
        (honest + entry, "exceeds what updates of norm 2"),
        (honest - (entry << width), "exceeds what updates of norm 2"),
        (layout.slots.join([layout.bound + layout.slots.offset] * 2), "norm 2.8"),
    ):
        with pytest.raises(MessageError, match=f"from aggregator: .*{why}"):
            layout.mean([wrong], 1, "aggregator")
    assert layout.mean([honest], 1, "aggregator").tolist() == [1.0, -1.0]
