"""The cost of shares is of a run that found the right ones, and the extrapolation is the sum it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from deltaml_core import schemes
from deltaml_core.benchmarks import shapley as module
from deltaml_core.benchmarks.measure import Stopwatch, WrongResultError
from deltaml_core.benchmarks.shapley import owners, retraining_seconds, shapley


@pytest.fixture
def watch() -> Stopwatch:
    watch = Stopwatch()
    watch.laps.update({"round": [3.0, 5.0], "metric": [10.0], "refresh": [0.5]})
    return watch


def test_every_coalition_is_retrained_refreshed_and_measured(watch: Stopwatch) -> None:
    """Of three trainers: 3 alone, 3 pairs, 1 of all, and nobody."""
    a_trainers_round, memberships = 4 / 2, 3 * 1 + 3 * 2 + 1 * 3
    assert retraining_seconds(3, watch, baseline_trainers=2) == 100 * memberships * a_trainers_round + 7 * 50 * 0.5 + 8 * 10


def test_shares_are_found_and_timed(watch: Stopwatch) -> None:
    measurement = shapley(schemes.generate("paillier", 768), 3, watch, 4)
    assert (measurement.name, measurement.unit, measurement.key_bits) == ("shapley_3", "CPU s", 768)
    assert measurement.value > 0
    assert measurement.ratio is not None
    assert measurement.ratio > 100


def test_gains_that_do_not_add_up_are_not_timed(watch: Stopwatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "together", lambda shards: 1.0)
    with pytest.raises(WrongResultError, match="the gains of 2 trainers"):
        shapley(schemes.generate("plain", 768), 2, watch, 4)


def test_owners_take_the_data_from_the_start_again() -> None:
    shards = owners(16)
    assert [len(y) for _, y in shards] == [50] * 16
    X = np.vstack([X for X, _ in shards])
    assert np.array_equal(X[:358], X[442:])
