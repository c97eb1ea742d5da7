"""An owner vanishes for good at every kind of step: the run goes on without it, as the oracle of those that remain says."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from helpers import Array, Shard, descend, key_pair, pooled_mse, random_shards
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core.audit import audit
from deltaml_core.contributions import shares
from deltaml_core.errors import MessageError, MetricError, PrivacyWarning
from deltaml_core.messages import (
    ApproveResult,
    AskMasks,
    Evaluate,
    FinalModel,
    MaskedErrors,
    Masks,
    Message,
    MetricAnnounced,
    OwnerDropped,
    OwnerReady,
    Products,
    ProposeResult,
    Residuals,
    SentErrors,
    SentModel,
    SoloModel,
    SquaredErrors,
    Train,
    TrainAlone,
    Update,
)
from deltaml_core.owner import Trainer, Validator
from deltaml_core.session import Session
from deltaml_core.signatures import LocalSigner
from deltaml_core.statistics import Dataset
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges

ROUNDS = 6
STEP = 0.5
SHARDS = random_shards(7, (9, 6, 12, 5, 4, 8, 7), 2)
JUDGES = (1, 2, 3)
VERIFIABLE = {"metrics": "verifiable", "contributions": "shapley", "key_bits": 512}
NOISE = {"metrics": "noise", "contributions": "leave_one_out", "key_bits": 400}


class Vanishing:
    """A seat whose process is killed before its answer of a kind leaves it: what it says before that in the same breath is sent."""

    def __init__(self, role: Trainer | Validator, kind: type[Message], skip: int = 0) -> None:
        self.role = role
        self.leaves_no_trace = role.leaves_no_trace
        self.gone = False
        self._kind, self._skip = kind, skip

    def handle(self, message: Message) -> list[Message]:
        if self.gone:
            return []
        said: list[Message] = []
        for answer in self.role.handle(message):
            if isinstance(answer, self._kind):
                self.gone = self._skip == 0
                self._skip -= 1
            if self.gone:
                break
            said.append(answer)
        return said


class Market:
    """Four trainers, three validators; whoever is silent is dropped when nothing else happens, as its node's clock would have it.

    Attributes:
        session: the real roles.
        names: of the owners, in the order of the shards.
    """

    def __init__(
        self, silent_from_the_start: int | None = None, shards: Sequence[Shard] = SHARDS, judges: Sequence[int] = JUDGES, **chosen: Any
    ) -> None:
        data = [Dataset.of(X, y) for X, y in shards]
        scheme = chosen.pop("scheme", "plain")
        terms = {"rounds": ROUNDS, "step": STEP, "scheme": scheme, "evaluate_every": 2, **VERIFIABLE, **chosen}
        self.terms = TrainingTerms(declared_ranges(data), **terms)
        buyer, aggregator, *owners = (LocalSigner() for _ in range(2 + len(data)))
        self.names = [owner.address for owner in owners]
        self._signers = {signer.address: signer for signer in owners}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrivacyWarning)
            self.session = Session(
                "17",
                self.terms,
                key_pair(scheme, self.terms.key_bits),
                dict(zip(self.names, data, strict=True)),
                validators=[self.names[judge] for judge in judges],
                buyer=buyer,
                aggregator=aggregator,
                signers=owners,
            )
        self.aggregator, self.transport = self.session.aggregator, self.session.transport
        if silent_from_the_start is not None:
            self._never_reports(self.names[silent_from_the_start])
            self.vanish(silent_from_the_start, Message).gone = True

    def _never_reports(self, name: str) -> None:
        """Its readiness, which the session has queued, is neither on record nor delivered."""
        waiting, entries = self.transport._waiting, self.aggregator.transcript.entries
        place = next(place for place, (message, _) in enumerate(waiting) if message.sender == name)
        del waiting[place], entries[place]

    def seat(self, index: int) -> Any:
        return self.transport._roles[self.names[index]]

    def vanish(self, index: int, kind: type[Message], skip: int = 0) -> Vanishing:
        """Have an owner killed before it sends its answer of a kind, after so many others."""
        name = self.names[index]
        vanishing = Vanishing(self.transport._roles[name], kind, skip)
        self.transport.join(self._signers[name], vanishing)
        return vanishing

    def drop(self, *names: str) -> None:
        self.transport.send(self.aggregator.drop(name) for name in names)

    def flow(self) -> None:
        while self.transport.deliver():
            pass

    def run(self) -> Market:
        """To the end, dropping whoever is awaited when nothing moves."""
        self.flow()
        while self.aggregator.awaited:
            self.drop(sorted(self.aggregator.awaited)[0])
            self.flow()
        return self

    @property
    def messages(self) -> list[Message]:
        return self.aggregator.transcript.messages()

    @property
    def dropped(self) -> list[int]:
        return [self.names.index(name) for name in self.aggregator.dropped]

    def heard(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    def model(self) -> Array:
        self.session.deliver_model()
        model = self.session.buyer.model
        assert model is not None
        return model


@dataclass(frozen=True)
class Expected:
    """What plain arithmetic on rows gives."""

    model: Array
    initial: float
    final: float
    gains: dict[int, float]


def expected(trainer: int | None = None, since: int = 1, validator: int | None = None, rule: str = "shapley") -> Expected:
    """The oracle: a trainer gone from a round on (0: it counts in no round), a validator gone at any time."""
    judges = [SHARDS[judge] for judge in JUDGES if judge != validator]
    all_trainers = [index for index in range(len(SHARDS)) if index not in JUDGES]
    weights = np.zeros(SHARDS[0][0].shape[1] + 1)
    for number in range(1, ROUNDS + 1):
        active = [index for index in all_trainers if index != trainer or number < since]
        weights = np.mean([descend(SHARDS[index], weights, STEP, 1) for index in active], axis=0)
    remaining = [index for index in all_trainers if index != trainer]
    solo = {index: descend(SHARDS[index], np.zeros(len(weights)), STEP, ROUNDS) for index in remaining}
    mean = float(np.concatenate([SHARDS[index][1] for index in remaining]).mean())

    def error(members: tuple[int, ...]) -> float:
        model = np.mean([solo[index] for index in members], axis=0) if members else np.array([*[0.0] * (len(weights) - 1), mean])
        return pooled_mse(judges, model)

    gains = dict.fromkeys(all_trainers, 0.0)
    if rule == "leave_one_out":
        for index in remaining:
            gains[index] = error(tuple(other for other in remaining if other != index)) - error(tuple(remaining))
    else:
        gains |= shapley(remaining, error)
    return Expected(weights, pooled_mse(judges, np.zeros(len(weights))), pooled_mse(judges, weights), gains)


def shapley(members: Sequence[int], error: Any) -> dict[int, float]:
    total = dict.fromkeys(members, 0.0)
    orders = list(permutations(members))
    for order in orders:
        for place, member in enumerate(order):
            total[member] += error(tuple(order[:place])) - error(tuple(order[: place + 1]))
    return {member: value / len(orders) for member, value in total.items()}


def check(market: Market, oracle: Expected) -> None:
    """The run ended in the oracle's result, on record and for everybody to check."""
    aggregator = market.aggregator
    assert aggregator.failed is None
    assert aggregator.done
    proposal = aggregator.proposal
    assert proposal is not None
    assert proposal.trainers == tuple(name for place, name in enumerate(market.names) if place not in JUDGES)
    assert (proposal.initial / 1e18, proposal.final / 1e18) == pytest.approx((oracle.initial, oracle.final), rel=1e-6)
    gained = dict(zip((market.names.index(name) for name in proposal.trainers), proposal.gains, strict=True))
    assert {index: gain / 1e18 for index, gain in gained.items()} == pytest.approx(oracle.gains, rel=1e-5, abs=1e-7)
    assert sum(shares(proposal.gains)) == pytest.approx(1)
    assert market.model() == pytest.approx(oracle.model, rel=1e-6)
    for transcript in (aggregator.transcript, aggregator.transcript.public()):
        report = audit(transcript)
        assert report.ok, report.verdict
        assert f"dropped owners {len(aggregator.dropped)}" in report.verdict


each_run = pytest.mark.parametrize(
    "chosen", [{}, {"scheme": "paillier"}, NOISE, {**NOISE, "scheme": "paillier"}], ids=["plain", "paillier", "noise", "noise, paillier"]
)
verifiable_runs = pytest.mark.parametrize("chosen", [{}, {"scheme": "paillier"}, {"robust": True}], ids=["plain", "paillier", "robust"])


# --- a trainer ---------------------------------------------------------------------------------------------------


@each_run
@pytest.mark.parametrize(("kind", "skip", "since"), [(Update, 0, 1), (Update, 2, 3), (SoloModel, 0, ROUNDS + 1)])
def test_a_trainer_vanishes(kind: type[Message], skip: int, since: int, chosen: dict[str, Any]) -> None:
    market = Market(**chosen)
    market.vanish(4, kind, skip)
    market.run()
    assert market.dropped == [4]
    check(market, expected(4, since, rule=market.terms.contributions))
    if kind is Update:
        assert [m.trainers for m in market.heard(Train) if m.round == since] == [4] * 4 + [3] * 3
        assert [m.trainers for m in market.heard(Train) if m.round == since + 1] == [3] * 3
    assert market.names[4] not in {m.recipient for m in market.heard(FinalModel)}


@verifiable_runs
@pytest.mark.parametrize("kind", [Update, SoloModel])
def test_a_trainer_vanishes_verifiably_at_any_protocol(kind: type[Message], chosen: dict[str, Any]) -> None:
    market = Market(**chosen)
    market.vanish(0, kind)
    check(market.run(), expected(0, 1 if kind is Update else ROUNDS + 1))


@pytest.mark.parametrize("robust", [False, True])
def test_a_trainer_vanishes_after_it_told_the_validators_and_not_the_aggregator(robust: bool) -> None:
    """Its update, its solo model: what it told is of nothing that counts."""
    for kind in [Update, SoloModel] if robust else [SoloModel]:
        market = Market(robust=robust)
        market.vanish(5, kind)
        market.run()
        assert [m for m in market.heard(SentModel) if m.sender == market.names[5]]
        assert not [m for m in market.heard(kind) if m.sender == market.names[5]]
        check(market, expected(5, 1 if kind is Update else ROUNDS + 1))


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
@pytest.mark.parametrize("index", [6, 2], ids=["trainer", "validator"])
def test_an_owner_vanishes_before_its_masks(index: int, scheme: str) -> None:
    market = Market(scheme=scheme)
    market.vanish(index, Masks)
    market.run()
    (asked, *_) = market.heard(AskMasks)
    check(market, expected(6, asked.round + 1) if index == 6 else expected(validator=2))
    assert {m.recipient for m in market.heard(AskMasks) if m.round > asked.round} <= set(market.names) - {market.names[index]}


@each_run
@pytest.mark.parametrize("index", [0, 3], ids=["trainer", "validator"])
def test_an_owner_that_never_reports(index: int, chosen: dict[str, Any]) -> None:
    market = Market(silent_from_the_start=index, **chosen)
    market.run()
    assert market.dropped == [index]
    assert len(market.heard(OwnerReady)) == len(SHARDS) - 1
    rule = market.terms.contributions
    check(market, expected(0, 1, rule=rule) if index == 0 else expected(validator=3, rule=rule))


def test_a_slow_answer_that_crosses_the_news_of_a_drop_is_no_fault() -> None:
    """Another trainer's update, divided by four, arrives after the round was asked again from three."""
    for kind, robust in ((Update, False), (Update, True), (SoloModel, False)):
        market = Market(robust=robust)
        market.vanish(4, kind if kind is Update and not robust else SentModel)
        waiting = market.transport._waiting
        while not any(isinstance(message, kind) for message, _ in waiting):
            market.transport.deliver()
        market.drop(market.names[4])
        waiting.rotate(1)
        check(market.run(), expected(4, 1 if kind is Update else ROUNDS + 1))


# --- a validator -------------------------------------------------------------------------------------------------


def told_by(chosen: dict[str, Any]) -> type[Message]:
    return Residuals if chosen.get("metrics") == "noise" else SquaredErrors


@each_run
@pytest.mark.parametrize("skip", [0, 1, 3, 4, 5], ids=["initial", "round 2", "final", "mean", "Gram matrix"])
def test_a_validator_vanishes_and_errors_are_compared_on_the_rows_of_the_rest(skip: int, chosen: dict[str, Any]) -> None:
    market = Market(**chosen)
    market.vanish(2, told_by(chosen), skip)
    market.run()
    assert market.dropped == [2]
    check(market, expected(validator=2, rule=market.terms.contributions))
    asked = [(m.subject, m.round) for m in market.heard(Evaluate) if m.recipient == market.names[1]]
    assert asked.count(("model", 0)) == (1 if skip == 0 else 2)
    assert asked.count(("model", ROUNDS)) == (1 if skip <= 3 else 2)
    if market.terms.metrics == "verifiable":
        assert asked.count(("coalition", ROUNDS)) == (1 if skip <= 4 else 2)
        assert asked.count(("solo-models", ROUNDS)) == 1
    assert asked.count(("model", 2)) == 1
    assert market.aggregator.history[-1][1].rows == market.aggregator.history[0][1].rows - (SHARDS[2][1].size if skip else 0)


@pytest.mark.parametrize("scheme", ["plain", "paillier"])
def test_validators_vanish_while_what_the_last_one_measured_is_measured_again(scheme: str) -> None:
    """Of five validators two go, the second at the re-measurement of the initial error."""
    shards = [*SHARDS, *random_shards(8, (5, 6), 2)]
    judges = (*JUDGES, 7, 8)
    market = Market(shards=shards, judges=judges, scheme=scheme)
    market.vanish(1, SquaredErrors, 4)
    market.vanish(3, SquaredErrors, 6)
    market.run()
    assert market.dropped == [1, 3]
    assert market.aggregator.done
    proposal = market.aggregator.proposal
    assert proposal is not None
    judged = [shards[index] for index in (2, 7, 8)]
    assert proposal.rows == sum(len(y) for _, y in judged)
    assert proposal.initial / 1e18 == pytest.approx(pooled_mse(judged, np.zeros(3)), rel=1e-6)
    for transcript in (market.aggregator.transcript, market.aggregator.transcript.public()):
        assert audit(transcript).ok, audit(transcript).verdict


@each_run
def test_a_validator_that_does_not_approve_is_not_waited_for(chosen: dict[str, Any]) -> None:
    """The result stands as it was proposed."""
    market = Market(**chosen)
    market.vanish(1, ApproveResult)
    market.flow()
    assert market.aggregator.done
    assert market.aggregator.awaited == frozenset()
    market = Market(**chosen)
    market.vanish(1, ApproveResult)
    market.transport._roles[market.names[2]] = slow = Vanishing(market.seat(2), ApproveResult)
    market.flow()
    assert market.aggregator.awaited == {market.names[1], market.names[2]}
    market.drop(market.names[1])
    market.flow()
    assert market.aggregator.awaited == {market.names[2]}
    assert slow.role.approved is not None
    assert not market.aggregator.done


# --- a run that cannot go on -------------------------------------------------------------------------------------


def test_without_a_trainer_the_request_fails_and_nobody_is_asked_for_anything() -> None:
    market = Market()
    for index in (0, 4, 5, 6):
        market.vanish(index, Update, 1)
    market.run()
    assert market.aggregator.failed == "no trainer is left"
    assert not market.aggregator.done
    assert market.aggregator.awaited == frozenset()
    last = market.messages[-1]
    assert isinstance(last, OwnerDropped)
    report = audit(market.aggregator.transcript)
    assert report.failure is not None
    assert report.failure.check == "completeness"


def test_without_a_majority_of_the_contracts_validators_the_request_fails() -> None:
    market = Market()
    market.vanish(1, SquaredErrors, 1)
    market.vanish(3, SquaredErrors, 1)
    market.run()
    assert market.aggregator.failed == "1 of 3 validators are left, of whom no majority can approve a result"
    assert isinstance(market.messages[-1], OwnerDropped)
    message = next(m for m in market.heard(SquaredErrors) if m.sender == market.names[2])
    with pytest.raises(MessageError, match="the request has failed: 1 of 3"):
        market.aggregator.handle(message)


# --- what is refused ---------------------------------------------------------------------------------------------


def stopped_at(kind: type[Message], index: int, skip: int = 0, **chosen: Any) -> Market:
    """A market that waits for one owner."""
    market = Market(**chosen)
    market.vanish(index, kind, skip)
    market.flow()
    assert market.aggregator.awaited == {market.names[index]}
    return market


def test_only_who_is_awaited_can_be_dropped_and_only_the_aggregator_says_so() -> None:
    market = stopped_at(Update, 4)
    buyer, aggregator = market.aggregator._party.buyer, market.aggregator._party.aggregator
    for owner in (market.names[0], market.names[1], buyer, "nobody"):
        with pytest.raises(MessageError, match="does not wait for"):
            market.aggregator.handle(market.aggregator.drop(owner))
    order = market.aggregator.drop(market.names[4])
    assert (order.sender, order.recipient, order.round) == (aggregator, aggregator, 1)
    for sender in (buyer, market.names[0]):
        with pytest.raises(MessageError, match="may say that"):
            market.aggregator.handle(OwnerDropped(request="17", round=1, sender=sender, recipient=aggregator, owner=market.names[4]))
    check(market.run(), expected(4, 1))


@pytest.mark.parametrize(("kind", "index"), [(Update, 4), (SquaredErrors, 2)])
def test_a_dropped_owner_is_refused_by_everybody_and_stops(kind: type[Message], index: int) -> None:
    market = stopped_at(kind, index)
    name = market.names[index]
    role = market.seat(index).role
    assert not role.dropped
    market.run()
    late = OwnerReady(request="17", round=1, sender=name, recipient=market.aggregator._party.aggregator, rows=3)
    with pytest.raises(MessageError, match="was silent for 300 seconds and was dropped") as refusal:
        market.aggregator.handle(late)
    assert refusal.value.sender == name
    notice = next(m for m in market.heard(OwnerDropped) if m.recipient == name)
    assert role.handle(notice) == []
    assert role.dropped
    asked = next(m for m in market.heard(AskMasks) + market.heard(MetricAnnounced) + market.heard(Evaluate) if m.recipient == name)
    with pytest.raises(MessageError, match="was silent for 300 seconds and was dropped"):
        role.handle(asked)


def test_buyer_and_validators_refuse_a_dropped_validator() -> None:
    market = stopped_at(SquaredErrors, 2, skip=1)
    name = market.names[2]
    before = [m for m in market.messages if m.sender == name and m.recipient == market.aggregator._party.buyer]
    market.run()
    with pytest.raises(MessageError, match="was dropped"):
        market.session.buyer.handle(before[-1])
    told = next(m for m in market.heard(SentErrors) if m.sender == name and m.recipient == market.names[1])
    with pytest.raises(MessageError, match="was dropped"):
        market.seat(1).handle(told)


def test_everybody_is_told_once() -> None:
    market = Market()
    market.vanish(4, Update)
    market.run()
    notices = market.heard(OwnerDropped)
    party = market.aggregator._party
    assert [m.recipient for m in notices] == [
        party.aggregator,
        party.buyer,
        *[market.names[i] for i in (0, 4, 5, 6)],
        *[market.names[j] for j in JUDGES],
    ]
    for role in (market.session.buyer, market.seat(1)):
        notice = next(m for m in notices if m.recipient == role._party.name)
        with pytest.raises(MessageError, match="was dropped before"):
            role.handle(notice)


def test_measuring_again_is_allowed_once_for_a_dropped_validator_and_of_the_same_weights_only() -> None:
    market = stopped_at(SquaredErrors, 2, skip=3)
    validator = market.seat(1)
    initial = next(m for m in market.heard(Evaluate) if m.recipient == market.names[1] and m.round == 0)
    middle = next(m for m in market.heard(Evaluate) if m.recipient == market.names[1] and m.round == 2)
    for asked in (initial, middle):
        with pytest.raises(MessageError, match="was measured before"):
            validator.handle(replace(asked, evaluation=40))
    market.run()
    for asked in (initial, middle):
        with pytest.raises(MessageError, match="was measured before"):
            validator.handle(replace(asked, evaluation=41))


def test_a_result_that_compares_errors_of_other_rows_is_not_signed() -> None:
    """The aggregator drops a validator and proposes what was measured with it."""
    market = Market()
    market.vanish(2, SquaredErrors, 5)
    market.aggregator._comparison.stale = lambda validators, number: []  # type: ignore[method-assign]
    market.flow()
    market.drop(market.names[2])
    with pytest.raises(MessageError, match="the first or the last measurement is missing") as refusal:
        market.flow()
    assert refusal.value.sender == market.aggregator._party.aggregator


def test_releases_count_the_same_weights_once() -> None:
    """With three weights three errors at known weights may be opened; initial and final, each twice, are two."""
    market = Market()
    market.vanish(2, SquaredErrors, 5)
    market.run()
    assert market.aggregator.done
    assert market.seat(1)._releases.known == 2


def test_a_failed_zero_test_is_the_aggregators_failure_too() -> None:
    market = Market()
    honest = market.session.buyer.handle

    def lie(message: Message) -> list[Message]:
        return [replace(a, products=tuple(p + 1 for p in a.products)) if isinstance(a, Products) else a for a in honest(message)]

    market.session.buyer.handle = lie  # type: ignore[method-assign]
    with pytest.raises(MetricError, match="measurement 0 failed"):
        market.flow()
    assert market.aggregator.failed is not None
    assert market.aggregator.failed.startswith("measurement 0 failed")
    assert market.aggregator.awaited == frozenset()


# --- what a network needs of the roles ---------------------------------------------------------------------------


@pytest.mark.parametrize("robust", [False, True])
def test_validators_are_told_before_the_aggregator(robust: bool) -> None:
    """So that a validator's queue holds what it was told before the announcement that depends on it."""
    messages = Market(robust=robust).run().messages
    for sent, told in ((SquaredErrors, SentErrors), (SoloModel, SentModel), *([(Update, SentModel)] if robust else [])):
        for place, message in enumerate(messages):
            if isinstance(message, sent):
                others = [m for m in messages if isinstance(m, told) and (m.sender, m.answers) == (message.sender, message.answers)]
                assert len(others) == (2 if told is SentErrors else 3)
                assert all(messages.index(other) < place for other in others)


def test_what_leaves_no_trace_need_not_be_repeated() -> None:
    """A trainer that is handed only the other messages answers the next as one that has heard all."""
    market = Market()
    trainer = market.session.transport._roles[market.names[0]]
    market.run()
    heard = [m for m in market.messages if m.recipient == market.names[0] and isinstance(m, trainer.leaves_no_trace)]
    assert {type(m) for m in heard} == set(trainer.leaves_no_trace) == {Train, AskMasks, TrainAlone, MetricAnnounced}
    before = {name: value for name, value in vars(trainer).items() if name != "_prepared"}
    for message in heard:
        trainer.handle(message)
    assert {name: value for name, value in vars(trainer).items() if name != "_prepared"} == before


def test_a_buyer_that_refuses_a_malformed_measurement_counts_nothing() -> None:
    market = Market()
    while not isinstance(market.transport._waiting[0][0], MaskedErrors):
        market.transport.deliver()
    message = market.transport._waiting[0][0]
    with pytest.raises(MetricError, match="are not a measurement"):
        market.session.buyer.handle(replace(message, evaluation=9, models=0))
    assert market.run().aggregator.done


# --- anybody, at any moment --------------------------------------------------------------------------------------

MOMENTS: list[tuple[type[Message], int]] = [
    *((Update, skip) for skip in range(ROUNDS)),
    *((SquaredErrors, skip) for skip in range(6)),
    (Masks, 0),
    (SoloModel, 0),
]


@given(st.integers(0, len(SHARDS) - 1), st.sampled_from(MOMENTS), st.integers(0, len(SHARDS) - 1), st.sampled_from(MOMENTS), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_two_owners_at_any_moments(one: int, first: Any, other: int, second: Any, robust: bool) -> None:
    """A result of those that remain, or a reason why there is none; and the record says the same."""
    market = Market(robust=robust)
    market.vanish(one, *first)
    market.vanish(other, *second)
    market.run()
    aggregator = market.aggregator
    judges = [judge for judge in JUDGES if judge not in market.dropped]
    if len(judges) < 2:
        assert aggregator.failed is not None
        return
    assert aggregator.done
    proposal = aggregator.proposal
    assert proposal is not None
    assert proposal.rows == sum(len(SHARDS[judge][1]) for judge in judges)
    assert proposal.initial / 1e18 == pytest.approx(pooled_mse([SHARDS[j] for j in judges], np.zeros(3)), rel=1e-6)
    assert proposal.final / 1e18 == pytest.approx(pooled_mse([SHARDS[j] for j in judges], market.model()), rel=1e-6)
    gone = {market.names[index] for index in market.dropped}
    assert all(gain == 0 for name, gain in zip(proposal.trainers, proposal.gains, strict=True) if name in gone)
    for transcript in (aggregator.transcript, aggregator.transcript.public()):
        report = audit(transcript)
        assert report.ok, report.verdict
    assert len(market.heard(ProposeResult)) == len(judges)
