"""Chapter 8: the run's curve, its alternatives, a round of 2019, and the refund."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import oracle, pooled_mse

from deltaml_core.lessons import experiment, patients
from deltaml_core.payouts import ONE
from deltaml_core.training import TrainingResult


@pytest.fixture(scope="module")
def shards() -> list[patients.Shard]:
    return patients.paper_shards()


@pytest.fixture(scope="module")
def run(shards: list[patients.Shard]) -> experiment.PaperRun:
    return experiment.PaperRun(shards)


@pytest.fixture(scope="module")
def result(run: experiment.PaperRun) -> TrainingResult:
    return run.train(scheme="plain")


def test_the_curve_grew_to_the_papers_error(run: experiment.PaperRun, result: TrainingResult) -> None:
    assert run.history == result.mse_history
    assert len(run.history) == 51
    assert list(run.chart.figure.data[0].y) == [mse for _, mse in result.mse_history]
    assert result.mse_final == pytest.approx(3311.856, abs=0.001)


def test_the_table_compares_with_the_thesis(shards: list[patients.Shard], result: TrainingResult) -> None:
    rows = [[cell["text"] for cell in row["cells"]] for row in experiment.against_thesis(result, shards).children[-1].rows]
    assert rows[0] == ["final MSE", "3311.84", "3311.856"]
    assert rows[1] == ["the same without encryption", "–", "3311.856"]
    assert rows[2][2] == "27,742"


def test_alternatives_are_those_of_the_oracle(shards: list[patients.Shard], result: TrainingResult) -> None:
    found = experiment.alternatives(shards)
    weights, _ = oracle(shards, [1], 100, 1.5)
    assert found.federated == pytest.approx(pooled_mse([shards[1]], weights))
    alone, _ = oracle([shards[0], shards[1]], [1], 100, 1.5)
    assert found.alone[0] == pytest.approx(pooled_mse([shards[1]], alone))
    assert found.alone.keys() == {0, 2, 3, 4}
    words = experiment.alternatives_chart(found, result).children[-1].words.value
    assert f"{sum(error < found.federated for error in found.alone.values())} of 4 would have done better alone" in words


def test_a_round_of_2019_is_timed_and_compared(shards: list[patients.Shard], result: TrainingResult) -> None:
    few = [(X[:4], y[:4]) for X, y in shards]
    old = experiment.round_of_2019(few, key_bits=1024)
    assert old.seconds > 0
    said = experiment.old_against_new(experiment.OldRound(2.0, 2048), result)
    assert "so 200 s for 100 rounds" in said


def test_the_refund_is_what_the_contract_pays_back(result: TrainingResult) -> None:
    paid = experiment.payouts_of(result, 5 * ONE)
    assert sum(paid.trainers_wei) + sum(paid.validators_wei) + paid.aggregator_wei + paid.refund_wei == 5 * ONE
    amounts = [row["cells"][2]["text"] for row in experiment.payouts_table(paid, [0, 2, 3, 4]).children[-1].rows]
    assert sum(float(amount.split()[0]) for amount in amounts) == pytest.approx(5, abs=0.001)
    left = result.mse_final / result.mse_initial
    assert paid.refund_wei / ONE == pytest.approx(3.5 * left)
    assert experiment.refund_exercise(result).check(3.5 * left).right
    assert not experiment.refund_exercise(result).check(np.array(3.5)).right
