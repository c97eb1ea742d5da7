"""robust=True: a trainer that scales its update up is left out, validators confirm, and nobody is left out for less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from adversaries import Table, only
from helpers import Shard, oracle, paper_shards, random_shards

from deltaml_core import train
from deltaml_core.attacks import ScalingTrainer
from deltaml_core.errors import MessageError, MetricError, TermsError
from deltaml_core.messages import Evaluate, LeaveOut, Measured, ProposeResult, Subject, Train

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


def scaling(factor: int, first: int = 1, **terms: Any) -> Table:
    """A table at which the first trainer multiplies its updates from a round on."""
    table = Table(robust=True, **terms)
    poisoner = table.trainers[0]
    table.roles[poisoner] = ScalingTrainer(table.seat(poisoner), table.owners[poisoner], factor, first)
    return table


def without(shards: list[Shard], index: int) -> list[Shard]:
    return [shard for number, shard in enumerate(shards) if number != index]


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
@pytest.mark.parametrize("factor", [-15, -10])
def test_a_trainer_that_scales_its_update_is_left_out_and_the_others_train_on(scheme: str, factor: int) -> None:
    table = scaling(factor, scheme=scheme, rounds=6).run()
    poisoner = table.trainers[0]
    assert table.aggregator.left_out == [poisoner]
    assert {(m.recipient, m.left) for m in table.heard(LeaveOut)} == {(name, poisoner) for name in table.validators}
    assert table.aggregator.gains[poisoner] <= 0
    weights, history = oracle(without(table.shards, 0), [0, 1], 6, 0.5)
    assert table.aggregator.history[-1][1].mse == pytest.approx(history[-1][1], rel=1e-6)
    assert table.settle() == pytest.approx(weights.tolist(), rel=1e-6)
    asked = [m for m in table.heard(Train) if m.round == 1]
    assert [m.trainers for m in asked] == [3, 3, 3, 2, 2]
    assert not [m for m in table.heard(Train) if m.round > 1 and m.recipient == poisoner]


def test_a_trainer_that_begins_to_cheat_later_is_left_out_from_then_on() -> None:
    """Until then it has trained; its own rows count until it cheats."""
    table = scaling(20, first=3, scheme="plain", rounds=6).run()
    assert table.aggregator.left_out == [table.trainers[0]]
    assert {m.round for m in table.heard(LeaveOut)} == {3}
    start, _ = oracle(table.shards, [1, 2], 2, 0.5)
    assert table.heard(Train)[0].trainers == 3
    assert table.settle() != pytest.approx(start.tolist())


def test_the_papers_run_is_hardly_worse_for_a_poisoner() -> None:
    """The final error stays within 2 % of the run without it."""
    shards = paper_shards()
    poisoned = scaling(10, shards=shards, judges=[1], scheme="plain", key_bits=1024, rounds=20, step=1.5, evaluate_every=20).run()
    clean = train(without(shards, 0), validators=[0], rounds=20, step=1.5, scheme="plain", key_bits=1024, evaluate_every=20)
    assert poisoned.aggregator.left_out == [poisoned.trainers[0]]
    assert poisoned.aggregator.history[-1][1].mse == pytest.approx(clean.mse_final, rel=0.02)


def test_nobody_is_left_out_when_nobody_cheats() -> None:
    shards = random_shards(13, (8, 9, 10, 7), 2)
    table = Table(shards, robust=True, scheme="plain", rounds=8, judges=[0]).run()
    assert table.aggregator.left_out == []
    assert not table.heard(LeaveOut)
    weights, _ = oracle(shards, [0], 8, 0.5)
    assert table.settle() == pytest.approx(weights.tolist(), rel=1e-6)


def test_every_rounds_updates_are_measured_against_each_other() -> None:
    table = Table(robust=True, scheme="plain").run()
    measured = {m.round for m in table.heard(Evaluate) if m.subject == Subject.UPDATES}
    assert measured == set(range(1, table.terms.rounds + 1))
    assert {m.models for m in table.heard(Measured) if m.round == 1} == {3}


@pytest.mark.parametrize("wrong", ["another", "unmeasured", "fewer", "twice"])
def test_a_notice_that_does_not_follow_is_refused(wrong: str) -> None:
    table = scaling(10, scheme="plain")
    notice = table.until(LeaveOut)
    validator = table.owners[notice.recipient]
    changes: dict[str, dict[str, Any]] = {
        "another": {"left": table.trainers[1]},
        "unmeasured": {"evaluation": notice.evaluation + 1},
        "fewer": {"trainers": table.trainers[:2]},
        "twice": {"trainers": table.trainers[:1] * 3},
    }
    with pytest.raises(MessageError, match=r"does not follow|were not measured here|are not those still training") as refusal:
        validator.handle(replace(notice, **changes[wrong]))
    assert refusal.value.sender == table.aggregator_name
    assert table.run().aggregator.done


def test_gains_that_pay_a_trainer_that_was_left_out_are_not_signed() -> None:
    table = scaling(10, scheme="plain")

    def pay(proposed: ProposeResult) -> ProposeResult:
        return replace(proposed, gains=(max(proposed.gains) * 2, *proposed.gains[1:]))

    table.meddle({table.aggregator_name: only(ProposeResult, pay)})
    with pytest.raises(MetricError, match="gains does not follow"):
        table.run()
    assert not table.aggregator.done


def test_robust_training_needs_metrics_that_measure_single_updates() -> None:
    shards = random_shards(7, (9, 6, 12), 2)
    with pytest.raises(TermsError, match="no robust=True"):
        train(shards, validators=[0], rounds=2, metrics="noise", contributions="leave_one_out", robust=True, scheme="plain")


def test_robust_training_through_the_front_door_equals_the_oracle() -> None:
    shards = random_shards(7, (9, 6, 12, 5, 4), 2)
    result = train(shards, validators=[1, 2], rounds=4, step=0.5, robust=True, scheme="plain", key_bits=512)
    weights, _ = oracle(shards, [1, 2], 4, 0.5)
    assert np.append(result.coef_, result.intercept_) == pytest.approx(weights, rel=1e-6)


def test_an_update_beyond_all_range_fails_the_request_instead() -> None:
    """It cannot be opened, so nobody can be shown who sent it; no result comes of it."""
    table = scaling(10_000, scheme="plain")
    with pytest.raises(MetricError, match="stays closed"):
        table.run()
    assert not table.aggregator.done
    assert table.buyer.model() is None
