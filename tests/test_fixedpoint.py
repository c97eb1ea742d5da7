"""The laws of fixedpoint.py's docstring."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deltaml_core.fixedpoint import Slots, bits_for, decode, decode_array, encode, encode_array, round_shift

finite = st.floats(allow_nan=False, allow_infinity=False)
moderate = st.floats(-1e9, 1e9)
scales = st.integers(0, 400)


@pytest.mark.parametrize(
    ("value", "scale", "encoded"),
    [
        (0.0, 10, 0),
        (1.0, 0, 1),
        (1.5, 1, 3),
        (-1.5, 1, -3),
        (0.5, 0, 0),
        (1.5, 0, 2),
        (2.5, 0, 2),
        (-0.5, 0, 0),
        (-2.5, 0, -2),
        (6.0, -1, 3),
    ],
)
def test_encode_by_hand(value: float, scale: int, encoded: int) -> None:
    assert encode(value, scale) == encoded
    assert encode(Fraction(value), scale) == encoded


@given(finite, scales)
def test_encoding_is_at_most_half_a_unit_off(value: float, scale: int) -> None:
    assert abs(encode(value, scale) - Fraction(value) * 2**scale) <= Fraction(1, 2)


@given(finite, st.integers(-40, 400))
def test_a_float_and_the_fraction_it_is_encode_alike(value: float, scale: int) -> None:
    assert encode(value, scale) == encode(Fraction(value), scale)


@given(finite)
def test_a_scale_of_at_least_the_floats_own_loses_nothing(value: float) -> None:
    own = Fraction(value).denominator.bit_length() - 1
    assert decode(encode(value, own), own) == value
    assert decode(encode(value, own + 7), own + 7) == value


@given(moderate, moderate, st.integers(60, 120), st.integers(60, 120))
def test_scales_of_a_product_add(a: float, b: float, s: int, t: int) -> None:
    product = decode(encode(a, s) * encode(b, t), s + t)
    assert product == pytest.approx(a * b, rel=1e-12, abs=(abs(a) + abs(b) + 1) * 2.0**-59)


@given(st.lists(moderate, max_size=6), scales)
def test_arrays_are_encoded_entry_by_entry(values: list[float], scale: int) -> None:
    encoded = encode_array(np.array(values), scale)
    assert encoded == [encode(value, scale) for value in values]
    assert decode_array(encoded, scale).tolist() == [decode(value, scale) for value in encoded]
    assert all(type(value) is int for value in encoded)


def test_decoding_rounds_correctly_whatever_the_integers_size() -> None:
    assert decode((1 << 4000) + 1, 4000) == 1.0
    assert decode(-3 << 5000, 5001) == -1.5
    assert decode(5, -2) == 20.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_encoded(value: float) -> None:
    with pytest.raises(ValueError, match="only finite numbers"):
        encode(value, 10)
    with pytest.raises(ValueError, match="only finite numbers"):
        encode_array([1.0, value], 10)


@given(st.integers(-(10**40), 10**40), st.integers(0, 90))
def test_round_shift_is_the_nearest_integer_with_ties_to_even(value: int, bits: int) -> None:
    assert round_shift(value, bits) == round(Fraction(value, 1 << bits))


def test_round_shift_to_the_left_is_exact() -> None:
    assert round_shift(-5, -3) == -40
    assert round_shift(7, 0) == 7


@given(st.floats(1e-300, 1e300))
def test_bits_for_is_the_least_that_holds(bound: float) -> None:
    bits = bits_for(bound)
    assert Fraction(bound) <= 2**bits
    assert bits == 0 or Fraction(bound) > 2 ** (bits - 1)


@pytest.mark.parametrize("exponent", [0, 1, 10, 49, 52, 100, 900])
def test_bits_for_beside_a_power_of_two(exponent: int) -> None:
    power = 2.0**exponent
    assert bits_for(power) == exponent
    assert bits_for(math.nextafter(power, math.inf)) == exponent + 1
    assert bits_for(math.nextafter(power, 0)) == exponent


def test_bits_for_nothing_and_for_too_much() -> None:
    assert bits_for(0) == bits_for(-3) == 0
    with pytest.raises(OverflowError, match="no number of bits"):
        bits_for(math.inf)


slot_layouts = st.builds(
    lambda value_bits, slack, per_plaintext: Slots(value_bits, value_bits + 1 + slack, per_plaintext),
    st.integers(1, 70),
    st.integers(0, 90),
    st.integers(1, 6),
)


@given(slot_layouts, st.data())
def test_signed_values_with_masks_come_out_of_their_slots_unchanged(slots: Slots, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 15))
    values = data.draw(st.lists(st.integers(-slots.offset + 1, slots.offset - 1), min_size=count, max_size=count))
    room = (1 << slots.width) - 2 * slots.offset
    masks = data.draw(st.lists(st.integers(0, room), min_size=count, max_size=count))
    joined = [
        a + b + c for a, b, c in zip(slots.join_all(values), slots.join_all([slots.offset] * count), slots.join_all(masks), strict=True)
    ]
    digits = slots.split_all(joined, count)
    assert [digit - mask - slots.offset for digit, mask in zip(digits, masks, strict=True)] == values


@given(slot_layouts, st.data())
def test_split_undoes_join(slots: Slots, data: st.DataObject) -> None:
    digits = data.draw(st.lists(st.integers(0, (1 << slots.width) - 1), min_size=1, max_size=slots.per_plaintext))
    joined = slots.join(digits)
    assert joined < 1 << (slots.width * len(digits))
    assert slots.split(joined, len(digits)) == digits


@given(slot_layouts, st.integers(0, 50))
def test_groups_hold_every_value_once(slots: Slots, count: int) -> None:
    groups = slots.groups(count)
    assert sum(groups) == count
    assert len(groups) == slots.plaintexts(count)
    assert all(1 <= size <= slots.per_plaintext for size in groups)
    assert [len(group) for group in slots.grouped(range(count))] == groups


@given(slot_layouts, st.integers(1, 12))
def test_what_does_not_fit_its_slots_is_refused(slots: Slots, count: int) -> None:
    plaintexts = slots.join_all([0] * count)
    last = slots.groups(count)[-1]
    for wrong in (-1, 1 << (slots.width * last)):
        with pytest.raises(ValueError, match="does not fit its slots"):
            slots.split_all([*plaintexts[:-1], wrong], count)


@given(moderate, scales)
def test_encoding_is_odd(value: float, scale: int) -> None:
    assume(value != 0)
    assert encode(-value, scale) == -encode(value, scale)
