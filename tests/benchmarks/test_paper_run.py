"""Both ways run, take turns, and the extrapolation is the sum it says it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deltaml_core.benchmarks import baseline_2019
from deltaml_core.benchmarks.measure import WrongResultError
from deltaml_core.benchmarks.paper import Baseline, paper_measurements
from deltaml_core.benchmarks.pieces import Setup


@pytest.fixture
def tiny() -> Setup:
    rng = np.random.default_rng(3)
    shards = [rng.uniform(-1, 1, (rows, 2)) for rows in (3, 2, 3)]
    return Setup([(X, 10 + X @ [3.0, -2.0]) for X in shards], validators=(1,), rounds=4, step=0.5, key_bits=1024, cycles=2)


def test_the_papers_set_up_is_that_of_the_thesis() -> None:
    setup = Setup.paper(2048, cycles=3)
    assert [X.shape for X, _ in setup.shards] == [(50, 10)] * 5
    assert (setup.validators, setup.trainers, setup.rounds, setup.step) == ((1,), [0, 2, 3, 4], 100, 1.5)


def test_run_pieces_and_bytes_are_measured_against_2019(tiny: Setup) -> None:
    told: list[str] = []
    listed, watch = paper_measurements(tiny, told.append)
    measurements = {m.name: m for m in listed}
    assert len(watch.laps["round"]) == 4
    runs = "paper_run_shapley", "paper_run_verifiable", "paper_run_noise"
    for name in (*runs, "paper_round", "metric_evaluation_2", "paper_contributions"):
        measurement = measurements[name]
        assert measurement.unit == "CPU s"
        assert measurement.value > 0
        assert measurement.baseline is not None
        assert measurement.baseline > 0
    assert "extrapolated from 4 rounds, 2 measurements" in measurements["paper_run_shapley"].how
    many, few = measurements["metric_evaluation_5000"], measurements["metric_evaluation_2"]
    assert many.baseline == pytest.approx(2500 * few.baseline)  # type: ignore[operator]
    assert many.value < 3 * few.value
    for kind in ("train", "update", "evaluate", "residuals", "open_residuals"):
        assert measurements[f"bytes_{kind}"].ratio is not None
    assert measurements["bytes_masked_errors"].baseline is None
    assert all(m.key_bits == 1024 and m.value > 0 for m in measurements.values())
    assert sum("rounds of the 2019 way" in text for text in told) == 2


def test_the_extrapolation_adds_means_times_counts(tiny: Setup) -> None:
    baseline = Baseline(tiny)
    baseline.watch.laps.clear()
    baseline.watch.laps.update({"key": [100.0], "round": [1.0, 3.0], "metric": [10.0], "left out": [5.0, 7.0], "refresh": [0.5]})
    everything, without = baseline.run_seconds(rounds=4)
    assert without == 100 + 4 * 2 + 3 * 10 + 2 * 0.5
    assert everything - without == 2 * 2 * 6  # two measurements, two trainers


def test_a_baseline_that_computes_something_else_is_not_measured(tiny: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline_2019, "gradient", lambda X, y, weights: weights * 0.5)
    with pytest.raises(WrongResultError, match="plain arithmetic"):
        Baseline(tiny).cycle()


def test_a_small_key_makes_refreshes_which_are_measured_too(tiny: Setup) -> None:
    short_of_room = replace(tiny, rounds=16)
    measurements = {m.name: m for m in paper_measurements(short_of_room, lambda text: None)[0]}
    assert measurements["paper_refresh"].value > 0
    assert "a run has" in measurements["paper_refresh"].how
