"""The measured affine map is compared with a correct one, and its result is looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core import schemes
from deltaml_core.benchmarks.affine import affine_map, one_power_a_product
from deltaml_core.benchmarks.measure import WrongResultError
from deltaml_core.schemes.paillier import PaillierPublicKey


@given(
    st.lists(st.lists(st.integers(-50, 50), min_size=2, max_size=2), min_size=1, max_size=3),
    st.lists(st.integers(1, 100), min_size=2, max_size=2),
)
def test_one_power_a_product_is_the_definition(exponents: list[list[int]], vector: list[int]) -> None:
    n = 101
    expected = tuple(pow(vector[0], a, n**2) * pow(vector[1], b, n**2) % n**2 for a, b in exponents)
    assert one_power_a_product(exponents, tuple(vector), n) == expected


def test_both_ways_are_timed_and_named_by_the_dimension() -> None:
    measurement = affine_map(schemes.generate("paillier", 256), 3, repetitions=2)
    assert (measurement.name, measurement.unit, measurement.key_bits) == ("affine_map_3", "CPU ms", 256)
    assert measurement.value > 0
    assert measurement.baseline is not None
    assert measurement.baseline > 0


def test_a_map_that_computes_something_else_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PaillierPublicKey, "affine", lambda self, linear, offset, vector: self.encrypt([0] * len(vector)))
    with pytest.raises(WrongResultError, match="3 x 3"):
        affine_map(schemes.generate("paillier", 256), 3, repetitions=1)
