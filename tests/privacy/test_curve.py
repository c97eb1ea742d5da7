"""What privacy costs: the curve lies between its lines, and its chart and its table say the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import descend, paper_shards, pooled_mse, random_shards

from deltaml_core.benchmarks.privacy import paper_curve, table
from deltaml_core.errors import PrivacyError, TermsError
from deltaml_core.node.privacy import Account, PrivacyRule
from deltaml_core.privacy import Guarantee
from deltaml_core.privacy.curve import CurvePoint, PrivacyCurve, privacy_curve
from deltaml_core.statistics import Dataset
from deltaml_core.store.book import Card
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges
from deltaml_core.views.dataset_card import DatasetCard
from deltaml_core.views.privacy_chart import PrivacyChart

CURVE = PrivacyCurve((CurvePoint(1.0, 40.0, 30.0, 60.0), CurvePoint(10.0, 20.0, 15.0, 22.0)), 1e-5, 7, (50, 50), 10.0, 50.0)


def test_more_epsilon_and_more_rows_cost_less_and_the_lines_are_the_oracles() -> None:
    """A run's error is far from the next column's: 10 runs each, and medians."""
    few, many = (paper_curve(copies=copies, runs=10, epsilons=(1, 100)) for copies in (1, 200))
    shards = paper_shards()
    trainers = [shards[index] for index in (0, 2, 3, 4)]
    mean = np.zeros(11)
    mean[-1] = np.mean([y for _, y in trainers])
    for curve in (few, many):
        assert curve.without_noise == pytest.approx(3311.856, abs=0.02)
        assert curve.mean_predictor == pytest.approx(pooled_mse([shards[1]], mean))
        assert curve.points[1].median < curve.points[0].median
        assert all(point.low <= point.median <= point.high for point in curve.points)
    assert many.points[0].median < few.points[0].median
    assert many.points[1].median == pytest.approx(many.without_noise, rel=0.01)
    assert (few.rows, many.rows) == ((50,) * 4, (10_000,) * 4)


def test_the_curve_of_any_terms() -> None:
    shards = random_shards(2, (40, 40, 40), 1)
    owners = [Dataset.of(X, y) for X, y in shards]
    terms = TrainingTerms(declared_ranges(owners), rounds=3, local_steps=2, step=0.4)
    curve = privacy_curve(owners, terms, validators=[0], epsilons=[50], runs=2)
    weights = np.zeros(2)
    for _ in range(3):
        weights = np.mean([descend(shard, weights, 0.4, 2) for shard in shards[1:]], axis=0)
    assert curve.without_noise == pytest.approx(pooled_mse(shards[:1], weights))
    for wrong in ({"validators": []}, {"validators": [0, 1, 2]}, {"validators": [0], "runs": 0}):
        with pytest.raises(TermsError):
            privacy_curve(owners, terms, **wrong)
    with pytest.raises(PrivacyError, match="epsilon must be"):
        privacy_curve(owners, terms, validators=[0], epsilons=[0])


def test_a_curve_is_drawn_between_its_lines_and_said_in_words() -> None:
    chart = PrivacyChart(CURVE)
    noisy, exact, mean = chart.figure.data
    assert (list(noisy.x), list(noisy.y)) == ([1.0, 10.0], [40.0, 20.0])
    assert (list(noisy.error_y.array), list(noisy.error_y.arrayminus)) == ([20.0, 2.0], [10.0, 5.0])
    assert (set(exact.y), set(mean.y), chart.figure.layout.xaxis.type) == ({10.0}, {50.0}, "log")
    assert (
        "At epsilon 1 the mean squared error is 40 in the median of 7 runs, at epsilon 10 it is 20; without noise it is 10"
        in chart.words.value
    )


def test_a_curve_as_a_table() -> None:
    assert table(CURVE).splitlines()[2:] == [
        "| 1 | 40 | 30 to 60 |",
        "| 10 | 20 | 15 to 22 |",
        "| without noise | 10 | |",
        "| mean predictor | 50 | |",
    ]


def test_a_data_sets_card_shows_what_is_spent_and_what_is_left() -> None:
    account = Account(PrivacyRule(Guarantee(1.0), 3.0), spent=1.46, following=1.82, unprotected=0)
    card = DatasetCard(Card("d1", "/data/rows.csv", 20, ()), account=account)
    shown = "epsilon 1.46 spent, 1.54 left of 3. Another acceptance with epsilon 1 at delta 1e-05 makes it 1.82."
    assert shown in card.value
    assert "✓" in card.value
    card.show(Card("d1", "/data/rows.csv", 20, ()), {}, replace(account, following=3.1, unprotected=2))
    assert "✕" in card.value
    assert "Trainings without noise, which no budget bounds: 2." in card.value
    card.show(Card("d1", "/data/rows.csv", 20, ()), {})
    assert "epsilon" not in card.value
