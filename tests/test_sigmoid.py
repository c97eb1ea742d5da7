"""The cubic is the least-squares one of its source, and as good as it says."""

from __future__ import annotations

import numpy as np
import pytest

from deltaml_core.sigmoid import CUBIC, least_squares_cubic, sigma


def test_the_coefficients_are_those_of_least_squares() -> None:
    found = least_squares_cubic(8.0)
    assert found.slope == pytest.approx(CUBIC.slope, rel=1e-5)
    assert found.cube == pytest.approx(CUBIC.cube, rel=1e-4)
    assert CUBIC.interval == 8


def test_no_other_cubic_is_nearer() -> None:
    z = np.linspace(-8, 8, 4001)

    def distance(slope: float, cube: float) -> float:
        return float(((0.5 + slope * z + cube * z**3 - sigma(z)) ** 2).mean())

    best = distance(CUBIC.slope, CUBIC.cube)
    for factor in (0.99, 1.01):
        assert distance(factor * CUBIC.slope, CUBIC.cube) > best
        assert distance(CUBIC.slope, factor * CUBIC.cube) > best


def test_it_is_within_twelve_hundredths_and_rises_to_the_stated_place() -> None:
    z = np.linspace(-8, 8, 4001)
    assert np.abs(CUBIC(z) - sigma(z)).max() < 0.12
    assert CUBIC(np.array([0.0])).tolist() == [0.5]
    assert z[np.argmax(CUBIC(z))] == pytest.approx(5.6, abs=0.01)


def test_sigma_by_hand() -> None:
    assert sigma(np.array([0.0, np.log(3.0), -np.log(3.0)])).tolist() == pytest.approx([0.5, 0.75, 0.25])
    assert sigma(np.array([-1e3, 1e3])).tolist() == [0, 1]
