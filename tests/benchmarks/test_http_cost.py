"""Trainings over HTTP are timed only if they find what plain arithmetic finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import key_pair, oracle, terms_for

from deltaml_core.benchmarks import http
from deltaml_core.benchmarks.http import STEP, over_http, paper_run_over_http, synthetic
from deltaml_core.benchmarks.measure import Measurement, WrongResultError
from deltaml_core.benchmarks.served import train_served

KEY_BITS = 512
UNITS = {
    "round_http_3": "ms a round",
    "round_bytes_3": "bytes a round",
    "owners_3_training": "wall s",
    "owners_3_cpu_per_owner": "CPU s",
    "owners_3_memory_per_owner": "MB",
}


def test_twelve_owners_over_http_find_the_model_of_plain_arithmetic(tmp_path: Path) -> None:
    shards, validators, rounds = synthetic(12), [0, 5], 3
    terms = terms_for(shards, rounds=rounds, step=STEP, scheme="paillier", key_bits=KEY_BITS)
    served = train_served(shards, validators, key_pair("paillier", KEY_BITS), terms, tmp_path)
    weights, history = oracle(shards, validators, rounds, STEP)
    (model,) = served.models
    assert model == pytest.approx(weights, abs=1e-6)
    assert [number for number, _ in served.history] == [number for number, _ in history]
    assert [mse for _, mse in served.history] == pytest.approx([mse for _, mse in history], rel=1e-6)
    assert min(served.wall_seconds, served.cpu_seconds, served.round_seconds) > 0
    ciphertexts = 2 * 10 * 11 * 2 * KEY_BITS // 4  # to ten trainers and back, eleven weights each, in hexadecimal
    assert ciphertexts < served.round_bytes < 2 * ciphertexts


def test_every_figure_has_its_name_unit_and_way_of_measuring() -> None:
    measurements = over_http(3, key_pair("paillier", KEY_BITS), rounds=3)
    assert {m.name: m.unit for m in measurements} == UNITS
    assert all(m.value >= 0 and m.key_bits == KEY_BITS and m.how for m in measurements)
    latency, *others = measurements
    assert latency.baseline is not None
    assert latency.ratio == latency.value / latency.baseline
    assert all(m.baseline is None for m in others)


def test_a_training_that_finds_another_model_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = http.train_served
    monkeypatch.setattr(http, "train_served", lambda *given, **chosen: replace(real(*given, **chosen), models=[np.zeros(11)]))
    with pytest.raises(WrongResultError, match="over the network 2 owners"):
        over_http(2, key_pair("paillier", KEY_BITS), rounds=2)


def test_a_training_that_does_not_end_is_not_waited_for(tmp_path: Path) -> None:
    shards = synthetic(2)
    terms = terms_for(shards, rounds=2, step=STEP, scheme="paillier", key_bits=KEY_BITS)
    with pytest.raises(WrongResultError, match="2 owners has not ended after 0 s"):
        train_served(shards, [0], key_pair("paillier", KEY_BITS), terms, tmp_path, patience_seconds=0)


@pytest.mark.slow
def test_the_papers_run_is_timed_against_the_one_in_one_process() -> None:
    measurement = paper_run_over_http(1024, Measurement("paper_run_noise", 0.5, "CPU s", 1024), rounds=2)
    assert (measurement.name, measurement.unit, measurement.key_bits) == ("paper_run_http_wall", "wall s", 1024)
    assert measurement.value > 0
    assert measurement.ratio == measurement.value / 0.5
    assert "paper_run_noise" in measurement.how
