"""Chapter 8's sliders: more epsilon and more rows cost less, and a trusted hand less than none."""

from __future__ import annotations

import pytest

from deltaml_core.lessons import patients
from deltaml_core.lessons.privacy_cost import PrivacyCost


@pytest.fixture(scope="module")
def cost() -> PrivacyCost:
    return PrivacyCost(patients.paper_shards())


def test_the_lines_that_need_no_noise_are_the_papers(cost: PrivacyCost) -> None:
    assert cost.errors[2:] == pytest.approx([3311.856, 4760.6], abs=0.5)


def test_more_epsilon_and_more_rows_cost_less(cost: PrivacyCost) -> None:
    cost.epsilon.value, cost.rows.value = 100, 200
    cheap = cost.errors
    cost.epsilon.value, cost.rows.value = 1, 20
    dear = cost.errors
    assert cheap[0] == pytest.approx(cheap[2], rel=0.02)
    assert dear[0] > cheap[0] + 100
    assert dear[1] < dear[0], "one draw of noise over all rows disturbs less than one for each owner"
    assert "leaves an error of" in cost.chart.words.value
