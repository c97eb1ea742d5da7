"""Everything that others rely on is measured, under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deltaml_core.benchmarks import corruption, run_benchmarks, suite
from deltaml_core.benchmarks.measure import Measurement, Stopwatch
from deltaml_core.schemes.base import PrivateKey

NAMES = ["shapley_4", "shapley_8", "shapley_15", "affine_map_11", "affine_map_30", "affine_map_100", "compute_small", "compute_large"]
OVER_HTTP = ["round_http_5", "round_bytes_5", "round_http_50", "round_bytes_50", "owners_50_training", "paper_run_http_wall"]


def test_all_names_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(name: str, unit: str = "CPU s") -> Measurement:
        return Measurement(name, 1.0, unit, 1024)

    paper = [one("paper_run"), one("paper_run_noise"), one("metric_evaluation_50"), one("bytes_train", "bytes")]
    monkeypatch.setattr(suite, "paper_measurements", lambda setup, tell: (paper, Stopwatch()))
    monkeypatch.setattr(suite, "shapley", lambda key, trainers, watch, four: one(f"shapley_{trainers}"))
    monkeypatch.setattr(suite, "affine_map", lambda key, dimension, repetitions: one(f"affine_map_{dimension}"))
    monkeypatch.setattr(suite, "compute", lambda name, key, dimension, repetitions: one(name, "wall s"))
    monkeypatch.setattr(suite, "corruption_table", lambda tell: [one("share_honest", "share")])

    def over_http(owners: int, key: PrivateKey) -> list[Measurement]:
        names = [f"round_http_{owners}", f"round_bytes_{owners}", f"owners_{owners}_training"]
        return [one(name, "wall s") for name in names]

    monkeypatch.setattr(suite, "over_http", over_http)
    monkeypatch.setattr(suite, "paper_run_over_http", lambda key_bits, in_process: one("paper_run_http_wall", "wall s"))
    names = [m.name for m in run_benchmarks(1024)]
    assert names == ["paper_run", "paper_run_noise", "metric_evaluation_50", *NAMES, *OVER_HTTP, "share_honest", "bytes_train"]


def test_the_table_of_corruption(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few rounds, which leave the names and what is compared as they are."""
    real: Callable[..., Any] = corruption.run
    monkeypatch.setattr(
        corruption, "run", lambda shards, validators=corruption.VALIDATORS, **how: real(shards, validators, **how | {"rounds": 3})
    )
    told: list[str] = []
    table = {m.name: m for m in corruption.corruption_table(told.append)}
    scenarios = ["honest", "shuffled_labels", "random_features", "constant_target", "tiny", "duplicated_pair"]
    assert list(table) == [*(f"share_{name}" for name in scenarios), "robust_final_mse"]
    assert {m.unit for m in table.values()} == {"share", "MSE"}
    assert all(m.baseline is not None for m in table.values())
    assert "times the single share" in table["share_duplicated_pair"].how
    assert told == ["corrupted owners", "a poisoned update"]
