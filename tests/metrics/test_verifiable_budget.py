"""The smallest key that the schedule accepts gives right results, on data as extreme as the declared ranges allow."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adversaries import Table
from helpers import Shard, oracle, stable_step
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core.errors import PrivacyWarning, ScaleBudgetError
from deltaml_core.messages import LeaveOut
from deltaml_core.schedule import schedule
from deltaml_core.schemes.plain import PlainKey
from deltaml_core.statistics import Dataset
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges


def accepted(terms: TrainingTerms, bits: int) -> bool:
    try:
        schedule(replace(terms, key_bits=bits), PlainKey(bits).capacity)
    except ScaleBudgetError:
        return False
    return True


def smallest_key(shards: list[Shard], **chosen: Any) -> int:
    """By halving."""
    terms = TrainingTerms(declared_ranges([Dataset.of(X, y) for X, y in shards]), **chosen)
    low, high = 1, 8192
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepted(terms, middle) else (middle, high)
    assert accepted(terms, high)
    assert not accepted(terms, high - 1)
    return high


def corners(seed: int, rows: list[int], features: int, magnitude: float, middle: float, spread: float) -> list[Shard]:
    """Rows at the corners of the declared ranges only."""
    rng = np.random.default_rng(seed)
    return [(magnitude * rng.choice([-1.0, 1.0], (count, features)), middle + spread * rng.choice([-1.0, 1.0], count)) for count in rows]


@st.composite
def runs(draw: Any) -> tuple[list[Shard], dict[str, Any]]:
    owners = draw(st.integers(3, 4))
    rows = draw(st.lists(st.integers(6, 12), min_size=owners, max_size=owners))
    spread = draw(st.sampled_from([1e-6, 1.0, 1e5]))
    middle = draw(st.sampled_from([0.0, 3.0, -3.0])) * spread
    shards = corners(draw(st.integers(0, 10**6)), rows, draw(st.integers(1, 4)), draw(st.sampled_from([0.1, 1.0, 10.0])), middle, spread)
    chosen = {
        "rounds": draw(st.integers(1, 14)),
        "step": stable_step(shards) * draw(st.sampled_from([0.3, 0.95])),
        "evaluate_every": draw(st.integers(1, 5)),
        "local_steps": draw(st.sampled_from([1, 3])),
        "robust": draw(st.sampled_from([False, False, True])),
    }
    return shards, chosen


@given(runs())
@settings(max_examples=40)
def test_the_smallest_key_gives_right_results(case: tuple[list[Shard], dict[str, Any]]) -> None:
    shards, chosen = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bits = smallest_key(shards, scheme="plain", **chosen)
        table = Table(shards, judges=[0], scheme="plain", key_bits=bits, **chosen).run()
    weights, history = oracle(shards, [0], chosen["rounds"], chosen["step"], chosen["local_steps"], chosen["evaluate_every"])
    alike = min((notice.round for notice in table.heard(LeaveOut)), default=chosen["rounds"] + 1)  # until somebody is left out
    largest = max(mse for _, mse in history)
    for (number, metric), (_, expected) in zip(table.aggregator.history, history, strict=True):
        assert number >= alike or metric.mse == pytest.approx(expected, rel=1e-6, abs=2e-9 * largest)
    assert alike <= chosen["rounds"] or table.settle() == pytest.approx(weights.tolist(), rel=1e-6, abs=1e-6 * float(np.abs(weights).max()))


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.ConstantColumnWarning")
def test_the_smallest_paillier_key_gives_right_results() -> None:
    shards = corners(3, [6, 5, 7, 4], 2, 1.0, 3.0, 1.0)
    chosen = {"rounds": 7, "step": 0.9 * stable_step(shards), "evaluate_every": 2}
    bits = smallest_key(shards, **chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivacyWarning)
        table = Table(shards, judges=[1], key_bits=bits + bits % 2, **chosen).run()
    weights, history = oracle(shards, [1], 7, chosen["step"])
    assert table.aggregator.history[-1][1].mse == pytest.approx(history[-1][1], rel=1e-6)
    assert table.settle() == pytest.approx(weights.tolist(), rel=1e-6)
