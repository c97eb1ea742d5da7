"""400 rounds at the size of real keys, against the oracle on rows."""

from __future__ import annotations

import numpy as np
import pytest
from adversaries import Table
from helpers import oracle, paper_shards, random_shards

from deltaml_core import train
from deltaml_core.messages import OpenedMasked

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

ROUNDS = 400


@pytest.mark.parametrize("evaluate_every", [2, 100])
def test_400_rounds_at_2048_bits_equal_the_oracle(evaluate_every: int) -> None:
    """In the clear, on the exact integers that Paillier would hold under a key of 2048 bits."""
    shards = paper_shards()
    result = train(shards, validators=[1], rounds=ROUNDS, step=1.5, scheme="plain", key_bits=2048, evaluate_every=evaluate_every)
    weights, history = oracle(shards, [1], ROUNDS, 1.5, evaluate_every=evaluate_every)
    found = np.append(result.coef_, result.intercept_)
    assert np.abs(found - weights).max() <= 1e-6 * np.abs(weights).max()
    assert [number for number, _ in result.mse_history] == [number for number, _ in history]
    for (_, measured), (_, expected) in zip(result.mse_history, history, strict=True):
        assert measured == pytest.approx(expected, rel=1e-6)
    assert sum(message.kind == "opened-masked" for message in result.transcript.messages()) >= 1
    assert sum(result.contributions.values()) == pytest.approx(1)


@pytest.mark.slow
def test_400_encrypted_rounds_at_2048_bits_equal_the_oracle() -> None:
    """Under the real key: the scale budget ends every 50 rounds or so, and the weights come down without being shown."""
    shards = random_shards(3, (9, 6, 12), 2)
    result = train(shards, validators=[1], rounds=ROUNDS, step=0.5, evaluate_every=100)
    weights, history = oracle(shards, [1], ROUNDS, 0.5, evaluate_every=100)
    assert np.abs(np.append(result.coef_, result.intercept_) - weights).max() <= 1e-6 * np.abs(weights).max()
    for (_, measured), (_, expected) in zip(result.mse_history, history, strict=True):
        assert measured == pytest.approx(expected, rel=1e-6)
    assert sum(message.kind == "opened-masked" for message in result.transcript.messages()) >= ROUNDS // 60


def test_400_encrypted_rounds_with_many_refreshes_equal_the_oracle() -> None:
    """A key so short that the scale comes down every few rounds."""
    shards = random_shards(3, (9, 6, 12), 2)
    table = Table(shards, judges=[1], rounds=ROUNDS, step=0.5, evaluate_every=40, key_bits=512).run()
    assert len(table.heard(OpenedMasked)) >= 30
    weights, history = oracle(shards, [1], ROUNDS, 0.5, evaluate_every=40)
    for (_, metric), (_, expected) in zip(table.aggregator.history, history, strict=True):
        assert metric.mse == pytest.approx(expected, rel=1e-6)
    assert table.settle() == pytest.approx(weights.tolist(), rel=1e-6, abs=1e-8)
