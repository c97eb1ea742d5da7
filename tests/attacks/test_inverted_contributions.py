"""Shuffled labels pay best under the 2019 rule, and nothing under ours."""

from __future__ import annotations

import numpy as np
import pytest
from captures import NOISE, trained
from helpers import Shard, paper_shards

from deltaml_core.attacks import AttackFailed, shares_of_2019
from deltaml_core.contributions import shares

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

USELESS = 2


@pytest.fixture(scope="module")
def shards() -> list[Shard]:
    """The paper's owners, one of whom has shuffled its labels."""
    owners = paper_shards()
    X, y = owners[USELESS]
    owners[USELESS] = X, np.random.default_rng(4).permutation(y)
    return owners


def test_the_rule_of_2019_pays_most_to_the_owner_of_shuffled_labels(shards: list[Shard]) -> None:
    captured = trained(shards, [1], **NOISE, rounds=100, evaluate_every=100)
    paid = shares_of_2019(captured.validators[1].received)
    useless = captured.owners[USELESS]
    assert max(paid, key=lambda owner: paid[owner]) == useless
    assert paid[useless] > 0.5
    needed = max(captured.session.aggregator.gains, key=lambda owner: captured.session.aggregator.gains[owner])
    assert paid[needed] == 0


@pytest.mark.parametrize("rule", ["shapley", "leave_one_out"])
def test_ours_pays_it_nothing(shards: list[Shard], rule: str) -> None:
    captured = trained(shards, [1], contributions=rule, rounds=100, evaluate_every=100)
    gains = captured.session.aggregator.gains
    paid = dict(zip(gains, shares(list(gains.values())), strict=True))
    assert paid[captured.owners[USELESS]] <= 0.01
    assert sum(paid.values()) == pytest.approx(1)
    with pytest.raises(AttackFailed, match="were not announced"):
        shares_of_2019(captured.validators[1].received)
