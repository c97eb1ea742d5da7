"""Owners: what trainers and validators answer, and that they answer their aggregator only, on schedule only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import (
    RUN,
    Stage,
    changed,
    check_refused,
    check_refused_when_malformed,
    check_refused_without_trace,
    descend,
    key_pair,
    random_shards,
    seat,
    stable_step,
    terms_for,
    undisturbed,
    with_ones,
)

from deltaml_core.errors import DivergentStepError, MetricError, RequirementsError, ScaleBudgetError
from deltaml_core.fixedpoint import decode, decode_array
from deltaml_core.messages import AskMasks, Evaluate, Message, MetricAnnounced, ProposeResult, SoloModel, Train, TrainAlone, Update
from deltaml_core.owner import Trainer, Validator
from deltaml_core.schedule import Kind
from deltaml_core.schemes import with_pool
from deltaml_core.schemes.levelling import LevelMatrix
from deltaml_core.schemes.paillier import PaillierPublicKey
from deltaml_core.statistics import Column, Dataset, Requirements

HEARD: list[type[Message]] = [Train, TrainAlone, Evaluate, MetricAnnounced, ProposeResult]


# --- what they compute -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
@pytest.mark.parametrize("local_steps", [1, 5])
def test_an_update_is_the_local_steps_divided_by_the_number_of_trainers(scheme: str, local_steps: int) -> None:
    stage = Stage(**RUN, scheme=scheme, local_steps=local_steps)
    stage.until(Train, skip=3)
    asked = stage.until(Train)
    (update,) = stage.roles["owner-1"].handle(asked)
    key = key_pair(scheme, 400)
    before = decode_array(key.decrypt(asked.weights), asked.scale)
    after = decode_array(key.decrypt(update.weights), update.scale)
    assert asked.recipient == "owner-1"
    assert asked.round == 2
    assert np.allclose(3 * after, descend(stage.shards[0], before, 0.5, local_steps), rtol=1e-8, atol=1e-9)


def test_a_solo_model_is_the_whole_run_on_one_owners_rows() -> None:
    stage = Stage(**RUN)
    solo = stage.until(SoloModel)
    rows, targets = 9 + 5 + 4, stage.shards[0][1]
    weights = decode_array(solo.weights, solo.scale)
    assert np.allclose(weights, descend(stage.shards[0], np.zeros(3), 0.5, 6), rtol=1e-7, atol=1e-9)
    assert decode(solo.target_share[0], solo.scale) == pytest.approx(targets.sum() / rows, rel=1e-9)


def test_a_trainer_asked_again_with_fewer_others_answers_for_them() -> None:
    stage = Stage(**RUN)
    asked = stage.until(Train)
    three, two = (stage.roles["owner-1"].handle(changed(asked, trainers=k))[0] for k in (3, 2))
    assert np.allclose(3 * decode_array(three.weights, three.scale), 2 * decode_array(two.weights, two.scale), rtol=1e-6)


def test_residuals_are_measured_on_the_validators_rows() -> None:
    stage = Stage(**RUN)
    stage.until(Evaluate, skip=2)
    asked = stage.until(Evaluate)
    weights = decode_array(asked.weights, asked.scale)
    stage.until(MetricAnnounced)
    X, y = np.vstack([stage.shards[j][0] for j in (1, 2)]), np.concatenate([stage.shards[j][1] for j in (1, 2)])
    (_, metric) = stage.aggregator.history[asked.evaluation]
    assert metric.mse == pytest.approx(float(np.mean((y - with_ones(X) @ weights) ** 2)), rel=1e-8)


def test_answers_are_re_randomised_each_time() -> None:
    stage = Stage(**RUN, scheme="paillier")
    key = key_pair("paillier", 400)
    for kind, field in ((Evaluate, "packed"), (Train, "weights"), (TrainAlone, "weights"), (TrainAlone, "target_share")):
        asked = stage.until(kind)
        first, second = (getattr(stage.roles[asked.recipient].handle(asked)[0], field) for _ in range(2))
        assert key.decrypt(first) == key.decrypt(second)
        assert len({*first, *second}) == len(first) + len(second)
        assert not {*first, *second} & set(asked.weights)


def test_a_trainers_answers_take_factors_made_beforehand_and_hold_the_same() -> None:
    """Update and masks; a validator's own are its masks only, as it must find again what it sent to be measured."""
    shards = random_shards(7, (9, 6, 12), 2)
    terms = terms_for(shards, scheme="paillier", key_bits=400, rounds=6)
    key, bare = key_pair("paillier", 400), seat(terms, "owner-1")
    pooled, pool = with_pool(bare.key, 20)
    assert pool is not None
    while pool.make_one():
        pass
    refresh = next(step for step in bare.steps if step.kind is Kind.REFRESH)
    scale = {step.round: step.scale for step in bare.steps if step.kind is Kind.TRAIN}[refresh.round]
    where = {"request": "request-1", "round": refresh.round, "sender": "aggregator", "recipient": "owner-1"}
    train = Train(**where, scale=scale, trainers=2, weights=key.encrypt([1, 2, 3]))
    ask = AskMasks(**where, scale=refresh.scale)
    first, second = (Trainer(party, Dataset.of(*shards[0])) for party in (replace(bare, pooled=pooled), bare))
    (update,), (same,) = first.handle(train), second.handle(train)
    assert isinstance(update, Update)
    assert isinstance(same, Update)
    assert len(pool) == 17
    assert key.decrypt(update.weights) == key.decrypt(same.weights)
    first.handle(ask)
    assert len(pool) == 11


# --- what a round costs ------------------------------------------------------------------------------------------


class CountingKey(PaillierPublicKey):
    """Adds up the multiplications that the products with encrypted vectors take."""

    multiplications = 0

    def combine(self, linear: Any, vector: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(linear, LevelMatrix):  # others are not of the rows
            self.multiplications += linear.work.squarings + linear.work.products
        return super().combine(linear, vector)


def cost_of_a_round(rows: int, local_steps: int) -> tuple[int, int]:
    """Multiplications of an update, and its bytes in ciphertexts, for data of so many rows with the same ranges."""
    (shard,) = random_shards(3, (rows,), 4)
    ends = np.array([[-1.0] * 4, [1.0] * 4])
    shard = np.vstack([shard[0], ends]), np.append(shard[1], [-8.0, 8.0])
    terms = terms_for([shard], scheme="paillier", key_bits=512, local_steps=local_steps, step=0.5)
    party = seat(terms, "owner-1")
    counting = CountingKey(party.key.modulus)
    trainer = Trainer(replace(party, key=counting), Dataset.of(*shard))
    weights = key_pair("paillier", 512).encrypt([0] * 5)
    scale = terms.base_scale + terms.map_bits
    ask = Train(request="request-1", round=2, sender="aggregator", recipient="owner-1", scale=scale, trainers=3, weights=weights)
    (update,) = trainer.handle(ask)
    assert isinstance(update, Update)
    return counting.multiplications, len(update.weights)


def test_a_round_costs_the_same_for_50_and_5000_rows_and_for_any_number_of_local_steps() -> None:
    few, many, stepping = cost_of_a_round(50, 1), cost_of_a_round(5000, 1), cost_of_a_round(50, 100)
    assert few[0] > 100
    assert many[0] == stepping[0] == few[0]
    assert few[1] == many[1] == stepping[1] == 5


# --- taking part -------------------------------------------------------------------------------------------------

SHARDS = random_shards(7, (9, 6, 12), 2)


def test_a_step_too_long_for_the_data_is_refused_with_the_largest_that_works() -> None:
    stable = stable_step(SHARDS[:1])
    terms = terms_for(SHARDS, step=stable * 1.01, key_bits=1024)
    dataset = Dataset.of(*SHARDS[0])
    with pytest.raises(DivergentStepError, match="the largest stable step is") as refusal:
        Trainer(seat(terms, "owner-1"), dataset)
    assert refusal.value.largest_stable_step == pytest.approx(stable)
    Trainer(seat(replace(terms, step=refusal.value.largest_stable_step), "owner-1"), dataset)


def dealt(role: type[Trainer] | type[Validator]) -> dict[str, Any]:
    """What a role is told of the others."""
    return {"validators": ["owner-1"], "trainers": ["owner-2"]} if role is Validator else {"validators": ["owner-2"]}


@pytest.mark.parametrize("role", [Trainer, Validator])
def test_data_outside_the_declared_ranges_is_refused(role: type[Trainer] | type[Validator]) -> None:
    terms = terms_for(SHARDS)
    narrow = Requirements((Column("x1", -0.01, 0.01), terms.requirements.features[1]), terms.requirements.target)
    with pytest.raises(RequirementsError, match=r"values of 'x1' lie outside \[-0.01, 0.01\]"):
        role(seat(replace(terms, requirements=narrow), "owner-1"), Dataset.of(*SHARDS[0]), **dealt(role))


@pytest.mark.parametrize("role", [Trainer, Validator])
def test_a_key_too_small_is_refused(role: type[Trainer] | type[Validator]) -> None:
    with pytest.raises(ScaleBudgetError, match="a 128-bit key is too small"):
        role(seat(terms_for(SHARDS, key_bits=128), "owner-1"), Dataset.of(*SHARDS[0]), **dealt(role))


# --- what they refuse --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEARD)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"request": "request-2"}, "belongs to request 'request-2', not 'request-1'"),
        ({"recipient": "owner-9"}, "is meant for 'owner-9'"),
        ({"sender": "buyer"}, "only aggregator may say that"),
    ],
    ids=["request", "recipient", "sender"],
)
def test_wrong_request_recipient_or_sender(kind: type[Message], changes: dict[str, Any], why: str) -> None:
    """Above all from the buyer: it could decrypt the update that answers it."""
    check_refused_without_trace(kind, why, changes)


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        (Train, {"scale": lambda s: s + 1}, "a scale of 38 bits is not on the schedule"),
        (Train, {"scale": 2**52}, "is not on the schedule"),
        (Train, {"round": 2}, "is not on the schedule"),
        (Train, {"round": 7}, "is not on the schedule"),
        (Train, {"trainers": 0}, "not between 1 and 64"),
        (Train, {"trainers": 65}, "not between 1 and 64"),
        (Train, {"trainers": 2**52}, "not between 1 and 64"),
        (TrainAlone, {"scale": lambda s: s + 33}, "cannot be right"),
        (TrainAlone, {"rows": 8}, "cannot be right"),
        (TrainAlone, {"rows": 0}, "cannot be right"),
        (Evaluate, {"scale": lambda s: s + 1}, "not on the schedule"),
        (Evaluate, {"scale": 2**52}, "not on the schedule"),
        (Evaluate, {"round": 1}, "not on the schedule"),
        (Evaluate, {"numerator": 2}, "is measured times 1, and nothing else"),
        (Evaluate, {"denominator": 2}, "is measured times 1, and nothing else"),
        (Evaluate, {"subject": "rows"}, "no subject"),
        (Evaluate, {"models": 2}, "there is one federated model"),
        (Evaluate, {"denominator": 0}, "not on the schedule"),
        (MetricAnnounced, {"rows": 0}, "cannot be those of a measurement"),
        (MetricAnnounced, {"scale": 2**52}, "cannot be those of a measurement"),
        (MetricAnnounced, {"squared_error": -1}, "cannot be those of a measurement"),
        (ProposeResult, {"initial": lambda e: e + 1}, "initial error does not follow"),
        (ProposeResult, {"final": lambda e: e - 1}, "final error does not follow"),
        (ProposeResult, {"final": 10**5000}, "final error does not follow"),
        (ProposeResult, {"gains": lambda g: (g[0] + 1, *g[1:])}, "gains does not follow"),
        (ProposeResult, {"gains": lambda g: g[::-1]}, "gains does not follow"),
        (ProposeResult, {"gains": ()}, "gains does not follow"),
        (ProposeResult, {"trainers": lambda t: t[::-1]}, "are not those that the contract dealt"),
        (ProposeResult, {"trainers": ()}, "are not those that the contract dealt"),
        (ProposeResult, {"trainers": ("owner-1", "owner-9")}, "are not those that the contract dealt"),
        (ProposeResult, {"weights_hash": "00" * 32}, "final weights does not follow"),
        (ProposeResult, {"weights_hash": ""}, "final weights does not follow"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_honest_message_then_taken(kind: type[Message], changes: dict[str, Any], why: str) -> None:
    check_refused_without_trace(kind, why, changes, skip=1 if kind is MetricAnnounced and "rows" in changes else 0)


def test_coalitions_are_measured_after_the_last_round_only() -> None:
    stage = Stage(**RUN)
    coalition = stage.until(Evaluate, skip=8)
    assert coalition.round == 6
    assert (coalition.numerator, coalition.denominator) == (1, 3)
    for wrong in ({"numerator": 65}, {"denominator": 0}, {"round": 4}, {"scale": 50}):
        check_refused(stage.roles[coalition.recipient], changed(coalition, **wrong), "not on the schedule")
    assert stage.finish() == undisturbed(**RUN)


def test_a_validator_signs_for_the_weights_it_measured_last_round_and_for_no_others() -> None:
    stage = Stage(**RUN)
    last = stage.until(Evaluate, skip=6)
    assert last.round == 6
    stage.step()
    validator = stage.roles[last.recipient]
    check_refused(validator, changed(last, weights=lambda w: (w[0] + 1, *w[1:])), "has measured other weights of that round")
    validator.handle(last)
    early = stage.sent(Evaluate)[0]
    validator.handle(early)
    assert stage.finish() == undisturbed(**RUN)


def test_a_proposal_before_the_measurements_is_refused() -> None:
    stage = Stage(**RUN)
    proposal = Stage(**RUN).until(ProposeResult)
    stage.until(Train)
    check_refused(stage.roles[proposal.recipient], proposal, "the first or the last measurement is missing")
    assert stage.finish() == undisturbed(**RUN)


def test_a_lie_about_a_measurement_is_a_metric_error() -> None:
    stage = Stage(**RUN)
    proposal = stage.until(ProposeResult)
    with pytest.raises(MetricError, match="from aggregator"):
        stage.roles[proposal.recipient].handle(changed(proposal, final=0))


def test_roles_do_not_do_each_others_work() -> None:
    stage = Stage(**RUN)
    for kind, wrong in ((Evaluate, "owner-1"), (Train, "owner-2"), (TrainAlone, "owner-2"), (ProposeResult, "owner-1")):
        check_refused(stage.roles[wrong], changed(stage.until(kind), recipient=wrong), "is not expected")
    assert stage.finish() == undisturbed(**RUN)


@pytest.mark.parametrize("kind", [Train, TrainAlone, Evaluate])
def test_malformed_ciphertexts(kind: type[Message]) -> None:
    check_refused_when_malformed(kind, "weights")
