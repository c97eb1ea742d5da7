"""The aggregator: what it computes, and that it refuses what is not due without losing its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import (
    RUN,
    Stage,
    changed,
    check_refused,
    check_refused_when_malformed,
    check_refused_when_repeated,
    check_refused_without_trace,
    key_pair,
    oracle,
    undisturbed,
)

from deltaml_core.aggregator import Aggregator
from deltaml_core.errors import MessageError
from deltaml_core.messages import (
    ApproveResult,
    Evaluate,
    FinalModel,
    InitialModel,
    Message,
    MetricAnnounced,
    MetricConfirmed,
    OpenedResiduals,
    OpenResiduals,
    OwnerReady,
    ProposeResult,
    Refresh,
    Refreshed,
    Residuals,
    SoloModel,
    Subject,
    Train,
    TrainAlone,
    Update,
)
from deltaml_core.schedule import weight_slots
from deltaml_core.signatures import SignedMessage

HEARD: list[type[Message]] = [
    InitialModel,
    OwnerReady,
    Update,
    Residuals,
    OpenedResiduals,
    MetricConfirmed,
    Refreshed,
    SoloModel,
    ApproveResult,
]


# --- what it does ------------------------------------------------------------------------------------------------


def test_it_starts_when_everybody_is_there_and_not_before() -> None:
    stage = Stage(**RUN)
    for _ in range(5):
        stage.step()
        assert [message.kind for message in stage.waiting if message.sender == "aggregator"] == []
    stage.step()
    assert {message.kind: message.round for message in stage.waiting} == {"evaluate": 0, "train": 1}
    assert sorted(message.recipient for message in stage.waiting) == sorted([*stage.validators, *stage.trainers])


def test_training_goes_on_while_the_model_is_measured_until_it_is_to_be_measured_again() -> None:
    stage = Stage(**RUN)
    while not all(isinstance(message, Residuals) for message in stage.waiting):
        if isinstance(stage.waiting[0], Residuals):
            stage.waiting.rotate(-1)
        else:
            stage.step()
    assert {message.round for message in stage.waiting} == {0}
    assert {message.round for message in stage.sent(Update)} == {1, 2}
    assert {message.round for message in stage.sent(Evaluate)} == {0}
    assert stage.finish() == undisturbed(**RUN)


def test_with_updates_that_are_measured_too_a_round_waits_for_the_measurement() -> None:
    stage = Stage(**{**RUN, "metrics": "verifiable", "robust": True})
    stage.until(Train)
    assert {message.round for message in stage.sent(MetricAnnounced)} == {0}


def test_a_run_is_gradient_descent_on_the_trainers_rows() -> None:
    outcome = undisturbed(**RUN)
    stage = Stage(**RUN)
    weights, history = oracle(stage.shards, [1, 2], 6, 0.5)
    assert np.allclose(outcome.model, weights, rtol=1e-7)
    assert [number for number, _ in outcome.history] == [0, 2, 4, 6]
    assert np.allclose([metric.mse for _, metric in outcome.history], [mse for _, mse in history], rtol=1e-7)
    assert {metric.rows for _, metric in outcome.history} == {6 + 12}


def test_with_encryption_it_is_the_same_run_to_the_last_bit() -> None:
    assert Stage(**RUN, scheme="paillier").finish() == undisturbed(**RUN)


def test_it_asks_every_trainer_every_round_and_every_validator_every_time() -> None:
    stage = Stage(**RUN)
    stage.finish()
    assert [(m.round, m.recipient) for m in stage.sent(Train)] == [(r, t) for r in range(1, 7) for t in stage.trainers]
    assert {m.trainers for m in stage.sent(Train)} == {3}
    assert [m.recipient for m in stage.sent(TrainAlone)] == stage.trainers
    assert {m.rows for m in stage.sent(TrainAlone)} == {9 + 5 + 4}
    assert {m.recipient for m in stage.sent(Evaluate)} == set(stage.validators)
    assert {m.recipient for m in [*stage.sent(OpenResiduals), *stage.sent(Refresh)]} == {"buyer"}
    assert {m.recipient for m in stage.sent(FinalModel)} == {"buyer", *stage.trainers, *stage.validators}


def test_the_order_of_answers_does_not_matter() -> None:
    stage = Stage(**RUN)
    while stage.waiting:
        if stage.waiting[0].kind in ("update", "residuals", "solo-model", "owner-ready"):
            stage.waiting.rotate(-1) if len({m.kind for m in stage.waiting}) == 1 and len(stage.waiting) > 1 else None
        stage.step()
    assert stage.finish() == undisturbed(**RUN)


def test_coalitions_metrics_go_to_validators_only() -> None:
    stage = Stage(**RUN)
    stage.finish()
    told = stage.sent(MetricAnnounced)
    assert {m.recipient for m in told if m.subject == Subject.COALITION} == set(stage.validators)
    assert {m.recipient for m in told if m.subject == Subject.MODEL} == {*stage.validators, *stage.trainers}


def test_the_proposal_states_what_was_measured() -> None:
    stage = Stage(**RUN)
    outcome = stage.finish()
    proposals = stage.sent(ProposeResult)
    assert [p.recipient for p in proposals] == stage.validators
    for proposal in proposals:
        assert (proposal.initial, proposal.final) == (outcome.history[0][1].units, outcome.history[-1][1].units)
        assert dict(zip(proposal.trainers, proposal.gains, strict=True)) == outcome.gains
        assert proposal.weights_hash == stage.aggregator.weights_hash.hex()
    assert stage.aggregator.approvals == stage.validators


def test_a_result_needs_a_majority_of_the_validators() -> None:
    stage = Stage(**RUN)
    stage.until(ApproveResult)
    assert not stage.aggregator.done
    stage.step()
    assert not stage.aggregator.done
    stage.step()
    assert stage.aggregator.done


def test_the_proposal_states_the_hash_of_the_transcript_its_transport_wrote() -> None:
    stage = Stage(**RUN)
    stage.aggregator.transcript.entries.append(SignedMessage(b"{}", bytes(65)).encode())
    proposals = [stage.until(ProposeResult)]
    stage.step()
    proposals.append(stage.until(ProposeResult))
    assert {proposal.transcript_hash for proposal in proposals} == {stage.aggregator.transcript.hash.hex()}


# --- what leaves it is fresh -------------------------------------------------------------------------------------


def test_no_ciphertext_it_computed_is_the_product_of_those_it_got() -> None:
    stage = Stage(**RUN, scheme="paillier")
    stage.finish()
    key, n = stage.aggregator._party.key, stage.aggregator._party.key.modulus

    def product(vectors: list[tuple[int, ...]]) -> tuple[int, ...]:
        total = vectors[0]
        for vector in vectors[1:]:
            total = key.add(total, vector)
        return total

    for number in range(1, 6):
        deterministic = product([m.weights for m in stage.sent(Update) if m.round == number])
        passed_on = next(m.weights for m in stage.sent(Train) if m.round == number + 1)
        assert not set(deterministic) & set(passed_on)
    asked = stage.sent(Refresh)[0]
    final = product([m.weights for m in stage.sent(Update) if m.round == 6])
    slots = weight_slots(stage.terms, key.capacity, asked.scale)
    offsets = slots.join_all([slots.offset] * 3)
    deterministic = [
        c * (1 + n * a) % (n * n)
        for c, a in zip(key.combine(key.prepare(slots.join_rows([[1, 0, 0], [0, 1, 0], [0, 0, 1]])), final), offsets, strict=True)
    ]
    private = key_pair("paillier", RUN["key_bits"])
    assert private.decrypt(asked.packed) == private.decrypt(tuple(deterministic))
    assert not set(asked.packed) & set(deterministic)
    for opened in stage.sent(OpenResiduals):
        received = [c for m in stage.sent(Residuals) if m.evaluation == opened.evaluation for c in m.packed]
        ratios = [sent * pow(got, -1, n * n) % (n * n) for sent, got in zip(opened.packed, received, strict=True)]
        assert not any(ratio % n == 1 for ratio in ratios), "(1 + n)**noise alone is 1 mod n: nothing fresh was multiplied in"


# --- what it refuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEARD)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"request": "request-2"}, "belongs to request 'request-2', not 'request-1'"),
        ({"recipient": "buyer"}, "is meant for 'buyer', not 'aggregator'"),
        ({"sender": "stranger"}, "may say that to aggregator"),
    ],
    ids=["request", "recipient", "sender"],
)
def test_wrong_request_recipient_or_sender(kind: type[Message], changes: dict[str, Any], why: str) -> None:
    check_refused_without_trace(kind, why, changes)


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        (InitialModel, {"sender": "owner-1"}, "only buyer may say that"),
        (OwnerReady, {"rows": 0}, "at least one row"),
        (OwnerReady, {"sender": "buyer"}, "no role in this request"),
        (Update, {"round": 2}, "is not expected"),
        (Update, {"round": 0}, "is not expected"),
        (Update, {"scale": lambda s: s + 1}, "its scale or number of trainers is not what was asked for"),
        (Update, {"scale": 2**52}, "is not what was asked for"),
        (Update, {"trainers": 2}, "is not what was asked for"),
        (Update, {"sender": "owner-2"}, "it was not asked, or has answered"),
        (Residuals, {"round": 2}, "measurement 0 is not under way"),
        (Residuals, {"evaluation": 1}, "measurement 1 is not under way"),
        (Residuals, {"sender": "owner-1"}, "not"),
        (Residuals, {"rows": 0}, "another number of rows than it reported"),
        (Residuals, {"rows": lambda r: r - 1}, "another number of rows than it reported"),
        (Residuals, {"rows": 2**52}, "another number of rows than it reported"),
        (OpenedResiduals, {"sender": "owner-1"}, "only buyer may say that"),
        (OpenedResiduals, {"round": 2}, "measurement 0 is not under way"),
        (OpenedResiduals, {"evaluation": 7}, "measurement 7 is not under way"),
        (OpenedResiduals, {"digits": lambda d: d[1:]}, "expected 18 opened residuals, got 17"),
        (OpenedResiduals, {"digits": lambda d: (*d, 0)}, "expected 18 opened residuals, got 19"),
        (OpenedResiduals, {"digits": lambda d: (0, *d[1:])}, "residual 0 is beyond what the terms allow"),
        (OpenedResiduals, {"digits": lambda d: (*d[:-1], 1 << 20_000)}, "residual 17 is beyond"),
        (MetricConfirmed, {"sender": "owner-2"}, "only buyer may say that"),
        (MetricConfirmed, {"evaluation": 1}, "measurement 1 is not under way"),
        (Refreshed, {"sender": "owner-1"}, "only buyer may say that"),
        (Refreshed, {"round": 5}, "is not expected"),
        (SoloModel, {"round": 5}, "is not expected"),
        (SoloModel, {"sender": "owner-2"}, "it was not asked, or has answered"),
        (SoloModel, {"scale": lambda s: s - 1}, "its scale or number of rows is not what was asked for"),
        (ApproveResult, {"sender": "owner-1"}, "not a validator"),
        (ApproveResult, {"weights_hash": "00" * 32}, "approves other weights"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_honest_message_then_taken(kind: type[Message], changes: dict[str, Any], why: str) -> None:
    check_refused_without_trace(kind, why, changes)


@pytest.mark.parametrize(("kind", "last"), [(kind, 0) for kind in HEARD] + [(OwnerReady, 4), (Update, 2), (Residuals, 1), (SoloModel, 2)])
def test_a_second_answer_is_refused(kind: type[Message], last: int) -> None:
    check_refused_when_repeated(kind, last)


def test_residuals_opened_anew_after_the_noise_is_known_are_refused() -> None:
    check_refused_when_repeated(OpenedResiduals, digits=lambda d: (d[0] + 1, *d[1:]))


@pytest.mark.parametrize("kind", [Update, Residuals, OpenedResiduals, MetricConfirmed, Refreshed, SoloModel, ApproveResult])
def test_answers_before_anybody_asked_are_refused(kind: type[Message]) -> None:
    stage = Stage(**RUN)
    later = Stage(**RUN).until(kind)
    check_refused(stage.aggregator, later, "is not expected")
    assert stage.finish() == undisturbed(**RUN)


@pytest.mark.parametrize("kind", [Train, Evaluate, OpenResiduals, FinalModel])
def test_messages_for_other_roles_are_refused(kind: type[Message]) -> None:
    stage = Stage(**RUN)
    other = stage.until(kind)
    check_refused(stage.aggregator, changed(other, recipient="aggregator", sender="owner-1"), "is not expected")


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (InitialModel, "weights"),
        (Update, "weights"),
        (Residuals, "packed"),
        (Refreshed, "weights"),
        (SoloModel, "weights"),
        (SoloModel, "target_share"),
    ],
)
def test_malformed_ciphertexts(kind: type[Message], field: str) -> None:
    check_refused_when_malformed(kind, field)


def test_initial_weights_other_than_the_requests_are_refused() -> None:
    stage = Stage(**RUN)
    seat = stage.aggregator._party
    picky = Aggregator(seat, stage.trainers, stage.validators, stage.record(), bytes(32))
    with pytest.raises(MessageError, match="not those the request was posted with"):
        picky.handle(stage.until(InitialModel))
