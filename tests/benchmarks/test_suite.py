"""Everything that others rely on is measured, under its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from deltaml_core.benchmarks import corruption, run_benchmarks, suite
from deltaml_core.benchmarks.measure import Measurement, Stopwatch
from deltaml_core.schemes.base import PrivateKey

NAMES = [
    *("shapley_4", "shapley_8", "shapley_15", "affine_map_11", "affine_map_30", "affine_map_100", "owner_answer"),
    *("compute_small", "two_processes"),
]
OVER_HTTP = [
    "round_http_5",
    "round_bytes_5",
    "round_http_50",
    "round_bytes_50",
    "owners_50_training",
    "round_nats_5",
    "round_nats_50",
    "paper_run_http_wall",
]
SCANS = ["scan_parquet", "rows_independence"]


def test_all_names_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(name: str, unit: str = "CPU s") -> Measurement:
        return Measurement(name, 1.0, unit, 1024)

    paper = [one("paper_run_shapley"), one("paper_run_noise"), one("metric_evaluation_50"), one("bytes_train", "bytes")]
    monkeypatch.setattr(suite, "paper_measurements", lambda setup, tell: (paper, Stopwatch()))
    monkeypatch.setattr(suite, "shapley", lambda key, trainers, watch, four: one(f"shapley_{trainers}"))
    monkeypatch.setattr(suite, "affine_map", lambda key, dimension, repetitions: one(f"affine_map_{dimension}"))
    monkeypatch.setattr(suite, "owner_answer", lambda key: one("owner_answer", "CPU ms"))
    monkeypatch.setattr(suite, "in_a_process_of_its_own", lambda name, bits, dimension, repetitions: one(name, "wall s"))
    monkeypatch.setattr(suite, "corruption_table", lambda tell: [one("share_honest", "share")])

    def over_http(owners: int, key: PrivateKey) -> list[Measurement]:
        names = [f"round_http_{owners}", f"round_bytes_{owners}", f"owners_{owners}_training"]
        return [one(name, "wall s") for name in names]

    monkeypatch.setattr(suite, "over_http", over_http)
    monkeypatch.setattr(suite, "over_nats", lambda owners, key: one(f"round_nats_{owners}", "ms a round"))
    monkeypatch.setattr(suite, "paper_run_over_http", lambda key_bits, in_process: one("paper_run_http_wall", "wall s"))
    monkeypatch.setattr(suite, "scheme_table", lambda key_bits, progress: [one("scheme_plain_11", "wall s")])
    monkeypatch.setattr(suite, "scan_measurements", lambda key, rows: [one(name, "wall s") for name in SCANS])
    names = [m.name for m in run_benchmarks(1024)]
    served = [*OVER_HTTP, *SCANS, "scheme_plain_11"]
    assert names == ["paper_run_shapley", "paper_run_noise", "metric_evaluation_50", *NAMES, *served, "share_honest", "bytes_train"]


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
