"""What each kind of message must be, given those before it: one function a kind, found by `check`.

Every check takes a message whose signature and place in the record hold, compares it with what follows from earlier messages and
the terms, and notes what later ones will be compared with. In the public part what rests on sealed messages is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from deltaml_core.audit.record import Fault
from deltaml_core.audit.state import Measuring, State
from deltaml_core.measurement import Measurement, pairs
from deltaml_core.messages import (
    ApproveResult,
    AskMasks,
    Evaluate,
    FinalModel,
    InitialModel,
    LeaveOut,
    MaskedErrors,
    Masks,
    Measured,
    MeasurementFailed,
    Message,
    MetricAnnounced,
    MetricConfirmed,
    OpenedMasked,
    OpenedResiduals,
    OpenedSums,
    OpenMasked,
    OpenResiduals,
    OpenSums,
    OwnerReady,
    Products,
    ProposeResult,
    Refresh,
    Refreshed,
    Residuals,
    RevealNoise,
    SoloModel,
    SquaredErrors,
    Subject,
    Train,
    TrainAlone,
    Update,
    ZeroTest,
    ZeroTestAnswer,
)
from deltaml_core.metrics.noise import squared_error
from deltaml_core.metrics.verifiable.opened import ATTEMPTS, range_fault, slots_of, total
from deltaml_core.refresh import unmask
from deltaml_core.schedule import Kind, Step, masked_weight_slots, residual_slots, weight_slots
from deltaml_core.schemes.base import Ciphertexts, Opening
from deltaml_core.transcript import ciphertexts_hash

ANSWERS: dict[type[Message], type[Message]] = {
    Update: Train,
    Refreshed: Refresh,
    Masks: AskMasks,
    OpenedMasked: OpenMasked,
    Residuals: Evaluate,
    OpenedResiduals: OpenResiduals,
    MetricConfirmed: RevealNoise,
    Products: MaskedErrors,
    ZeroTest: Products,
    ZeroTestAnswer: ZeroTest,
    SquaredErrors: ZeroTestAnswer,
    MeasurementFailed: ZeroTestAnswer,
    OpenedSums: OpenSums,
    SoloModel: TrainAlone,
    ApproveResult: ProposeResult,
}
"""What answers one kind only."""

UNASKED = (InitialModel, OwnerReady, FinalModel)
"""What may be said of one's own accord."""

_CHECKS: dict[type[Message], Callable[[State, Any], None]] = {}
_M = TypeVar("_M", bound=Message)


def check(state: State, message: Message) -> None:
    """Compare the record's latest message with those before.

    Raises:
        Fault, DeltaMLError: something does not hold.
    """
    asked, expected = state.record.answered(message), ANSWERS.get(type(message))
    if not message.answers and not isinstance(message, UNASKED):
        raise Fault("order", "it answers nothing")
    if expected is not None and asked is not None and (type(asked) is not expected or asked.round != message.round):
        raise Fault("order", f"it answers a {asked.kind} of round {asked.round}")
    if type(message) not in _CHECKS:
        raise Fault("kind", "no check is known for messages of this kind")
    _CHECKS[type(message)](state, message)


def _of(kind: type[_M]) -> Callable[[Callable[[State, _M], None]], Callable[[State, _M], None]]:
    def register(function: Callable[[State, _M], None]) -> Callable[[State, _M], None]:
        _CHECKS[kind] = function
        return function

    return register


def _from(message: Message, *senders: str) -> None:
    if message.sender not in senders:
        raise Fault("participants", f"only {' or '.join(senders)} may say that")


def _between(message: Message, sender: str, recipient: str) -> None:
    if (message.sender, message.recipient) != (sender, recipient):
        raise Fault("participants", f"only {sender} may say that, to {recipient}")


def _ask(state: State, message: Message, recipients: tuple[str, ...]) -> None:
    """The aggregator asks each of these once in a step."""
    _from(message, state.header.aggregator)
    if message.recipient not in recipients or message.recipient in state.asked:
        raise Fault("order", "it goes to somebody whom it does not concern, or who was asked already")
    state.asked.add(message.recipient)


def _scale(step: Step, scale: int, added: int = 0) -> None:
    if scale != step.scale + added:
        raise Fault("schedule", f"its scale is {scale} bits instead of {step.scale + added}")


def _same(found: Ciphertexts, product: Ciphertexts) -> None:
    if found != product:
        raise Fault("product", "its ciphertexts are not the product of those before it")


# --- setting out -------------------------------------------------------------------------------------------------


@_of(InitialModel)
def _initial_model(state: State, message: InitialModel) -> None:
    _between(message, state.header.buyer, state.header.aggregator)
    if state.initial:
        raise Fault("order", "there are initial weights already")
    state.initial = state.weights = state.key.check(message.weights, state.terms.weights, message.sender)


@_of(OwnerReady)
def _owner_ready(state: State, message: OwnerReady) -> None:
    _from(message, *state.owners)
    if message.sender in state.rows or message.rows < 1:
        raise Fault("rows", "an owner reports once, with at least one row")
    state.rows[message.sender] = message.rows


# --- a round -----------------------------------------------------------------------------------------------------


@_of(Train)
def _train(state: State, message: Train) -> None:
    """The weights are those that the last round, or the last refresh, left."""
    step = state.enter(message, Kind.TRAIN)
    _ask(state, message, state.active)
    if message.trainers != len(state.active):
        raise Fault("round", f"it divides by {message.trainers} instead of {len(state.active)} trainers")
    _scale(step, message.scale)
    _same(message.weights, state.weights)


@_of(Update)
def _update(state: State, message: Update) -> None:
    """In its form; with the last of them the average is due."""
    step = state.current(message, Kind.TRAIN)
    if message.sender not in state.asked or message.sender in state.updates:
        raise Fault("order", "it was not asked for, or is there already")
    if message.trainers != len(state.active):
        raise Fault("round", f"it divides by {message.trainers} instead of {len(state.active)} trainers")
    _scale(step, message.scale, state.terms.map_bits)
    state.key.check(message.weights, state.terms.weights, message.sender)
    state.updates[message.sender] = message
    if len(state.updates) == len(state.active):
        state.finish_round()


@_of(LeaveOut)
def _leave_out(state: State, message: LeaveOut) -> None:
    """It follows from the measured updates."""
    _from(message, state.header.aggregator)
    leaving = state.leaving
    if leaving is None or (message.evaluation, message.trainers, message.left) != (leaving.number, leaving.trainers, leaving.left):
        raise Fault("robust", "leaving that trainer out does not follow from the measured updates")
    if message.recipient not in state.header.validators or message.recipient in leaving.told:
        raise Fault("robust", "every validator is told once")
    leaving.told.add(message.recipient)


# --- refreshes ---------------------------------------------------------------------------------------------------


@_of(AskMasks)
def _ask_masks(state: State, message: AskMasks) -> None:
    step = state.enter(message, Kind.REFRESH)
    _ask(state, message, state.owners)
    _scale(step, message.scale)


@_of(Masks)
def _masks(state: State, message: Masks) -> None:
    """In their form; only their owner knows what they hold."""
    state.current(message, Kind.REFRESH)
    if message.sender not in state.asked or message.sender in state.masks:
        raise Fault("order", "they were not asked for, or are there already")
    state.key.check(message.high, state.terms.weights, message.sender)
    state.key.check(message.low, state.terms.weights if message.sender in state.header.trainers else 0, message.sender)
    state.masks[message.sender] = message


@_of(OpenMasked)
def _open_masked(state: State, message: OpenMasked) -> None:
    """The masks of all, on the weights of the round before."""
    step = state.enter(message, Kind.REFRESH)
    _between(message, state.header.aggregator, state.header.buyer)
    _scale(step, message.scale)
    count, key = state.terms.weights, state.key
    slots = masked_weight_slots(state.terms, key.capacity, step.scale)
    if state.masked or not (state.public or len(state.masks) == len(state.owners)):
        raise Fault("order", "masks are missing, or it was asked before")
    state.masked = key.check(message.packed, slots.plaintexts(count), message.sender)
    if state.public:
        return
    high = state.sum([state.masks[owner].high for owner in state.owners])
    low = [state.masks[trainer].low for trainer in state.header.trainers]
    masked = state.sum([state.weights, key.scale(high, [1 << (step.scale - state.terms.base_scale)] * count), *low])
    ones = [[int(row == column) for column in range(count)] for row in range(count)]
    joined = key.combine(key.prepare(slots.join_rows(ones)), masked)
    _same(message.packed, state.blind(key.shift(joined, slots.join_all([slots.offset] * count)), "refresh", step.round))


@_of(OpenedMasked)
def _opened_masked(state: State, message: OpenedMasked) -> None:
    """The opening holds; with the masks taken off it is the refreshed weights."""
    step = state.current(message, Kind.REFRESH)
    _between(message, state.header.buyer, state.header.aggregator)
    if not state.masked or state.refreshed:
        raise Fault("order", "nothing was to be opened")
    _opens(state, state.masked, message.plaintexts, message.randomness)
    state.refreshed = True
    state.counts["refreshes"] += 1
    if not state.public:
        high = state.sum([state.masks[owner].high for owner in state.owners])
        state.weights = state.blind(unmask(state.party, high, step.scale, message), "refreshed", step.round)


@_of(Refresh)
def _refresh(state: State, message: Refresh) -> None:
    """In its form: only the key holder can compare."""
    step = state.enter(message, Kind.REFRESH)
    _ask(state, message, (state.header.buyer,))
    _scale(step, message.scale)
    slots = weight_slots(state.terms, state.key.capacity, step.scale)
    state.key.check(message.packed, slots.plaintexts(state.terms.weights), message.sender)


@_of(Refreshed)
def _refreshed(state: State, message: Refreshed) -> None:
    """In its form, likewise."""
    state.current(message, Kind.REFRESH)
    _between(message, state.header.buyer, state.header.aggregator)
    if not state.asked or state.refreshed:
        raise Fault("order", "no refresh is due")
    state.weights = state.key.check(message.weights, state.terms.weights, message.sender)
    state.refreshed = True


# --- measuring ---------------------------------------------------------------------------------------------------


@_of(Evaluate)
def _evaluate(state: State, message: Evaluate) -> None:
    """The weights are those that are due to be measured."""
    _from(message, state.header.aggregator)
    if state.measuring is None or state.measuring.number != message.evaluation:
        state.begin(message, message.evaluation, message.models)
    measuring = state.under_way(message, message.evaluation)
    if message.recipient not in state.header.validators or message.recipient in measuring.asked:
        raise Fault("measurement", "a measurement asks every validator once")
    measuring.asked.add(message.recipient)
    said = (message.subject, message.scale, message.models, message.numerator, message.denominator)
    if said != (measuring.subject, measuring.scale, measuring.models, *measuring.factor):
        raise Fault("schedule", "its subject, scale, models or factor are others than the schedule's")
    _same(message.weights, measuring.weights)


@_of(MetricAnnounced)
def _metric(state: State, message: MetricAnnounced) -> None:
    """What was measured, the same to everybody."""
    _from(message, state.header.aggregator)
    noise = state.terms.metrics == "noise"
    if state.public and noise and (state.measuring is None or state.measuring.number != message.evaluation):
        state.begin(message, message.evaluation, 1)
    measuring = state.under_way(message, message.evaluation)
    if message.recipient not in state.audience(measuring) or message.recipient in measuring.told:
        raise Fault("announcement", "everybody it concerns is told once")
    if (message.subject, message.coalition) != (measuring.subject, measuring.coalition):
        raise Fault("announcement", "it names another subject than was measured")
    said = Measurement((message.squared_error,), message.scale, message.rows)
    if state.public and noise and measuring.result is None:
        rows = sum(state.rows[validator] for validator in state.header.validators)
        if message.squared_error < 0 or (message.scale, message.rows) != (measuring.scale + state.terms.row_bits, rows):
            raise Fault("announcement", "its scale or rows cannot be those of this measurement")
        state.conclude(measuring, said)
    if said != measuring.result:
        raise Fault("announcement", "it is another error than was measured, or than others were told")
    measuring.told.add(message.recipient)


# --- measuring verifiably ----------------------------------------------------------------------------------------


@_of(MaskedErrors)
def _masked_errors(state: State, message: MaskedErrors) -> None:
    """In their form; only the validator could compute them."""
    measuring = state.under_way(message, message.evaluation)
    if message.sender not in measuring.asked or message.recipient != state.header.buyer:
        raise Fault("measurement", "it is from somebody who was not asked")
    attempts = state.attempts.setdefault((message.evaluation, message.sender), 0)
    if message.attempt != attempts + 1 or message.attempt > ATTEMPTS:
        raise Fault("measurement", f"attempt {attempts + 1} is due, not {message.attempt}")
    state.attempts[message.evaluation, message.sender] += 1
    if (message.scale, message.models) != (measuring.scale, measuring.models) or not 1 <= message.entries <= state.terms.weights:
        raise Fault("measurement", "its scale or sizes are not those of what it was to measure")
    count = slots_of(state.party, message.scale, message.attempt).plaintexts(message.models * message.entries)
    for ciphertexts in (message.masked, message.scaled):
        state.key.check(ciphertexts, count, message.sender)


@_of(Products)
def _products(state: State, message: Products) -> None:
    """In their form; the zero test shows whether they are honest."""
    measuring = state.under_way(message, message.evaluation)
    _from(message, state.header.buyer)
    for ciphertexts in (message.products, message.scaled):
        state.key.check(ciphertexts, len(pairs(measuring.models)), message.sender)


@_of(ZeroTest)
def _zero_test(state: State, message: ZeroTest) -> None:
    """In its form; it is asked once for every attempt."""
    if message.sender not in state.header.validators or message.recipient != state.header.buyer:
        raise Fault("participants", "a validator asks that, of the buyer")
    state.key.check(message.ciphertext, 1, message.sender)


@_of(ZeroTestAnswer)
def _zero_test_answer(state: State, message: ZeroTestAnswer) -> None:
    """It opens the ciphertext as 0, or declines to."""
    _from(message, state.header.buyer)
    asked = state.record.answered(message)
    if not isinstance(asked, ZeroTest):
        raise Fault("zero test", "what it answers is sealed, though everybody may read it")
    if (message.evaluation, message.attempt) != (asked.evaluation, asked.attempt):
        raise Fault("zero test", "it answers for another measurement")
    if message.randomness:
        _opens(state, asked.ciphertext, (0,), message.randomness, "zero test")
        state.tested.add((message.evaluation, message.recipient))
        state.counts["zero tests"] += 1


@_of(SquaredErrors)
def _squared_errors(state: State, message: SquaredErrors) -> None:
    """In their form, of the reported rows, after a zero test that held."""
    measuring = state.under_way(message, message.evaluation)
    if message.sender not in measuring.asked or message.sender in measuring.answers or message.recipient != state.header.aggregator:
        raise Fault("measurement", "they were not asked for, or are there already")
    if (message.evaluation, message.sender) not in state.tested:
        raise Fault("zero test", "the products they rest on have not passed the zero test")
    if message.rows != state.rows[message.sender]:
        raise Fault("rows", f"they are of {message.rows} rows, but the validator reported {state.rows[message.sender]}")
    state.key.check(message.values, len(pairs(measuring.models)), message.sender)
    measuring.answers[message.sender] = message


@_of(MeasurementFailed)
def _measurement_failed(state: State, message: MeasurementFailed) -> None:
    """The run ends here."""
    _from(message, *state.header.validators)
    if (message.evaluation, message.sender) in state.tested:
        raise Fault("zero test", "its zero test held")
    state.failed = f"measurement {message.evaluation} failed: {message.sender}'s zero tests did not hold"


@_of(OpenSums)
def _open_sums(state: State, message: OpenSums) -> None:
    """The sums of what the validators sent."""
    _between(message, state.header.aggregator, state.header.buyer)
    if state.public:
        state.begin(message, message.evaluation, message.models)
    measuring = state.under_way(message, message.evaluation)
    untested = [validator for validator in state.header.validators if (message.evaluation, validator) not in state.tested]
    if untested or not (state.public or len(measuring.answers) == len(state.header.validators)):
        raise Fault("zero test", f"{len(untested)} validators' products have not passed a zero test, or an answer is missing")
    rows = sum(state.rows[validator] for validator in state.header.validators)
    if measuring.sums or (message.scale, message.models, message.rows) != (measuring.scale, measuring.models, rows):
        raise Fault("measurement", "it was asked before, or its scale, models or rows are not those of the measurement")
    count = len(pairs(measuring.models))
    measuring.sums = state.key.check(message.sums, count, message.sender)
    if not state.public:
        _same(message.sums, total(state.key, _values(state, measuring), count))
        state.counts["sums"] += 1


@_of(OpenedSums)
def _opened_sums(state: State, message: OpenedSums) -> None:
    """The opening holds, and can be what it is said to be."""
    measuring = state.under_way(message, message.evaluation)
    _between(message, state.header.buyer, state.header.aggregator)
    if not measuring.sums or measuring.result is not None:
        raise Fault("measurement", "nothing was to be opened")
    _opens(state, measuring.sums, message.plaintexts, message.randomness)
    rows = sum(state.rows[validator] for validator in state.header.validators)
    if fault := range_fault(state.terms, message.plaintexts, measuring.scale, measuring.models, rows):
        raise Fault("range", fault)
    measuring.openings = message.plaintexts, message.randomness
    if measuring.subject is Subject.MODEL:
        state.metric_hash = ciphertexts_hash(measuring.sums, state.key)
    state.conclude(measuring, Measurement(message.plaintexts, measuring.scale + state.terms.row_bits, rows, measuring.models))


@_of(Measured)
def _measured(state: State, message: Measured) -> None:
    """The same that was sent and opened."""
    measuring = state.under_way(message, message.evaluation)
    _from(message, state.header.aggregator)
    if message.recipient not in state.header.validators or message.recipient in measuring.shown:
        raise Fault("announcement", "every validator is shown it once")
    rows = tuple(state.rows[validator] for validator in state.header.validators)
    said = (message.scale, message.models, message.validators, message.rows, (message.plaintexts, message.randomness))
    if said != (measuring.scale, measuring.models, state.header.validators, rows, measuring.openings) or measuring.result is None:
        raise Fault("announcement", "it is something else than was measured")
    _same(message.values, _values(state, measuring))
    measuring.shown.add(message.recipient)


# --- measuring with noise ----------------------------------------------------------------------------------------


@_of(Residuals)
def _residuals(state: State, message: Residuals) -> None:
    """In their form, of all rows the validator reported."""
    measuring = state.under_way(message, message.evaluation)
    if message.sender not in measuring.asked or message.sender in measuring.rows:
        raise Fault("measurement", "they were not asked for, or are there already")
    if message.rows != state.rows[message.sender]:
        raise Fault("rows", f"they are of {message.rows} rows, but the validator reported {state.rows[message.sender]}")
    slots = residual_slots(state.terms, state.key.capacity, measuring.scale)
    state.key.check(message.packed, slots.plaintexts(message.rows), message.sender)
    measuring.rows[message.sender] = message.rows


@_of(OpenResiduals)
def _open_residuals(state: State, message: OpenResiduals) -> None:
    """In their form; the noise hides what they hold."""
    measuring = state.under_way(message, message.evaluation)
    _between(message, state.header.aggregator, state.header.buyer)
    rows = tuple(state.rows[validator] for validator in state.header.validators)
    if len(measuring.rows) < len(rows) or measuring.opening is not None:
        raise Fault("measurement", "a validator's residuals are missing, or it was asked before")
    if message.rows != rows or message.scale != measuring.scale:
        raise Fault("rows", "its rows or scale are others than the validators'")
    slots = residual_slots(state.terms, state.key.capacity, measuring.scale)
    state.key.check(message.packed, sum(map(slots.plaintexts, rows)), message.sender)
    measuring.opening = message


@_of(OpenedResiduals)
def _opened_residuals(state: State, message: OpenedResiduals) -> None:
    """A number for every row."""
    measuring = state.under_way(message, message.evaluation)
    _from(message, state.header.buyer)
    if measuring.opening is None or measuring.digits or len(message.digits) != sum(measuring.opening.rows):
        raise Fault("measurement", "it does not open the residuals that were to be opened")
    measuring.digits = message.digits


@_of(RevealNoise)
def _reveal_noise(state: State, message: RevealNoise) -> None:
    """The squared error follows from what was opened."""
    measuring = state.under_way(message, message.evaluation)
    _from(message, state.header.aggregator)
    if not measuring.digits or measuring.squared_error is not None or len(message.noise) != len(measuring.digits):
        raise Fault("measurement", "its noise is not that of the opened residuals")
    slots = residual_slots(state.terms, state.key.capacity, measuring.scale)
    found = squared_error(measuring.digits, message.noise, slots, message.sender)
    if found != message.squared_error:
        raise Fault("squared error", f"the opened residuals give {found}, not {message.squared_error}")
    measuring.squared_error = found
    state.counts["squared errors"] += 1


@_of(MetricConfirmed)
def _metric_confirmed(state: State, message: MetricConfirmed) -> None:
    """The buyer's, once."""
    _from(message, state.header.buyer)
    if state.public:
        return
    measuring = state.under_way(message, message.evaluation)
    if measuring.squared_error is None or measuring.opening is None or measuring.result is not None:
        raise Fault("measurement", "there is nothing to confirm")
    if measuring.subject is Subject.MODEL:
        state.metric_hash = ciphertexts_hash(measuring.opening.packed, state.key)
    rows = sum(measuring.opening.rows)
    state.conclude(measuring, Measurement((measuring.squared_error,), measuring.scale + state.terms.row_bits, rows))


# --- contributions and the end -----------------------------------------------------------------------------------


@_of(TrainAlone)
def _train_alone(state: State, message: TrainAlone) -> None:
    """From the initial weights, over all trainers' rows."""
    step = state.enter(message, Kind.CONTRIBUTIONS)
    _ask(state, message, state.header.trainers)
    _scale(step, message.scale)
    rows = sum(state.rows[trainer] for trainer in state.header.trainers)
    if message.rows != rows:
        raise Fault("rows", f"the trainers reported {rows} rows, not {message.rows}")
    _same(message.weights, state.initial)


@_of(SoloModel)
def _solo_model(state: State, message: SoloModel) -> None:
    """In its form."""
    step = state.current(message, Kind.CONTRIBUTIONS)
    if message.sender not in state.asked or message.sender in state.solo_models:
        raise Fault("order", "it was not asked for, or is there already")
    _scale(step, message.scale, state.terms.map_bits)
    state.key.check(message.weights, state.terms.weights, message.sender)
    state.key.check(message.target_share, 1, message.sender)
    state.solo_models[message.sender] = message


@_of(ProposeResult)
def _propose_result(state: State, message: ProposeResult) -> None:
    """All of it follows from the measurements; the hash is the record's."""
    _from(message, state.header.aggregator)
    state.complete()
    if not state.at_end():
        raise Fault("schedule", "the run is not at its end")
    if message.recipient not in state.header.validators or message.recipient in state.proposed or message.round != state.terms.rounds:
        raise Fault("result", "every validator is proposed the result of the last round once")
    errors = dict(state.history)
    last = errors[state.terms.rounds]
    claims: dict[str, tuple[object, object]] = {
        "initial error": (message.initial, errors[0].units),
        "final error": (message.final, last.units),
        "scale": (message.scale, 2 * last.scale),
        "rows": (message.rows, last.rows),
        "list of trainers": (message.trainers, state.header.trainers),
        "gains": (message.gains, state.gains()),
    }
    if not state.public:
        claims["final weights' hash"] = (message.weights_hash, ciphertexts_hash(state.weights, state.key).hex())
    if state.metric_hash:
        claims["metric's hash"] = (message.metric_hash, state.metric_hash.hex())
    for name, (claimed, found) in claims.items():
        if claimed != found:
            raise Fault("result", f"the proposed {name} does not follow from the messages before it")
    if message.transcript_hash not in [known.hex() for known in state.record.hashes_before_answer(message)]:
        raise Fault("hash", "the header or the messages before it are not those whose hash it states")
    if state.proposal is not None and replace(message, recipient=state.proposal.recipient) != state.proposal:
        raise Fault("result", "another validator was proposed another result")
    state.proposal = message
    state.proposed.add(message.recipient)
    state.counts["gains"] = len(message.gains)


@_of(ApproveResult)
def _approve_result(state: State, message: ApproveResult) -> None:
    """A validator's, of what it was proposed."""
    if state.proposal is None or message.sender not in state.proposed or message.sender in state.approved:
        raise Fault("result", "nothing was proposed to it, or it has approved")
    if message.weights_hash != state.proposal.weights_hash:
        raise Fault("result", "it approves other weights than were proposed")
    state.approved.add(message.sender)
    state.counts["approvals"] += 1


@_of(FinalModel)
def _final_model(state: State, message: FinalModel) -> None:
    """The weights that were measured last: the aggregator's to owners for keeping, then anybody's to the buyer."""
    if 2 * len(state.approved) <= len(state.header.validators):
        raise Fault("order", "no majority has approved the result yet")
    if message.recipient != state.header.buyer:
        _from(message, state.header.aggregator)
    if message.round != state.terms.rounds or message.scale != _final_scale(state):
        raise Fault("schedule", "it is not the last round's model")
    _same(message.weights, state.weights)


# --- common ------------------------------------------------------------------------------------------------------


def _opens(state: State, ciphertexts: Ciphertexts, plaintexts: tuple[int, ...], randomness: tuple[int, ...], name: str = "opening") -> None:
    if not len(ciphertexts) == len(plaintexts) == len(randomness):
        raise Fault(name, f"it opens {len(plaintexts)} of {len(ciphertexts)} ciphertexts")
    for ciphertext, plaintext, power in zip(ciphertexts, plaintexts, randomness, strict=True):
        if not state.key.verify(ciphertext, Opening(plaintext, power)):
            raise Fault(name, "it does not hold")
    state.counts["openings"] += len(ciphertexts)


def _values(state: State, measuring: Measuring) -> Ciphertexts:
    return tuple(value for validator in state.header.validators for value in measuring.answers[validator].values)


def _final_scale(state: State) -> int:
    return [step.scale for step in state.party.steps if step.kind is Kind.EVALUATE][-1]
