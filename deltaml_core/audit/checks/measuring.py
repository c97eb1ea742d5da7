"""Checks of what is said in measuring."""

from __future__ import annotations

from deltaml_core.audit.checks.common import between, of, opens, said_by, same, values_of
from deltaml_core.audit.record import Fault
from deltaml_core.audit.state import State
from deltaml_core.measurement import Measurement, pairs
from deltaml_core.messages import (
    Evaluate,
    MaskedErrors,
    Measured,
    MeasurementFailed,
    MetricAnnounced,
    MetricConfirmed,
    OpenedResiduals,
    OpenedSums,
    OpenResiduals,
    OpenSums,
    Products,
    Residuals,
    RevealNoise,
    SentErrors,
    SquaredErrors,
    Subject,
    ZeroTest,
    ZeroTestAnswer,
)
from deltaml_core.metrics.noise import squared_error
from deltaml_core.metrics.verifiable.opened import ATTEMPTS, range_fault, slots_of, total
from deltaml_core.schedule import residual_slots
from deltaml_core.transcript import ciphertexts_hash, errors_digest

# --- measuring ---------------------------------------------------------------------------------------------------


@of(Evaluate)
def _evaluate(state: State, message: Evaluate) -> None:
    """The weights are those that are due to be measured."""
    said_by(message, state.header.aggregator)
    if state.measuring is None or state.measuring.number != message.evaluation:
        state.begin(message, message.evaluation, message.models)
    measuring = state.under_way(message, message.evaluation)
    if message.recipient not in state.validators or message.recipient in measuring.asked:
        raise Fault("measurement", "a measurement asks every validator once")
    measuring.asked.add(message.recipient)
    said = (message.subject, message.scale, message.models, message.numerator, message.denominator)
    if said != (measuring.subject, measuring.scale, measuring.models, *measuring.factor):
        raise Fault("schedule", "its subject, scale, models or factor are others than the schedule's")
    same(message.weights, measuring.weights)


@of(MetricAnnounced)
def _metric(state: State, message: MetricAnnounced) -> None:
    """What was measured, the same to everybody."""
    said_by(message, state.header.aggregator)
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
        rows = sum(state.rows[validator] for validator in state.validators)
        if message.squared_error < 0 or (message.scale, message.rows) != (measuring.scale + state.terms.row_bits, rows):
            raise Fault("announcement", "its scale or rows cannot be those of this measurement")
        state.conclude(measuring, said)
    if said != measuring.result:
        raise Fault("announcement", "it is another error than was measured, or than others were told")
    measuring.told.add(message.recipient)


# --- measuring verifiably ----------------------------------------------------------------------------------------


@of(MaskedErrors)
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


@of(Products)
def _products(state: State, message: Products) -> None:
    """In their form; the zero test shows whether they are honest."""
    measuring = state.under_way(message, message.evaluation)
    said_by(message, state.header.buyer)
    for ciphertexts in (message.products, message.scaled):
        state.key.check(ciphertexts, len(pairs(measuring.models)), message.sender)


@of(ZeroTest)
def _zero_test(state: State, message: ZeroTest) -> None:
    """In its form; it is asked once for every attempt."""
    if message.sender not in state.validators or message.recipient != state.header.buyer:
        raise Fault("participants", "a validator asks that, of the buyer")
    state.key.check(message.ciphertext, 1, message.sender)


@of(ZeroTestAnswer)
def _zero_test_answer(state: State, message: ZeroTestAnswer) -> None:
    """It opens the ciphertext as 0, or declines to."""
    said_by(message, state.header.buyer)
    asked = state.record.answered(message)
    if not isinstance(asked, ZeroTest):
        raise Fault("zero test", "what it answers is sealed, though everybody may read it")
    if (message.evaluation, message.attempt) != (asked.evaluation, asked.attempt):
        raise Fault("zero test", "it answers for another measurement")
    if message.randomness:
        opens(state, asked.ciphertext, (0,), message.randomness, "zero test")
        state.tested.add((message.evaluation, message.recipient))
        state.counts["zero tests"] += 1


@of(SquaredErrors)
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
    digest = errors_digest(message.rows, message.values, state.key)
    if any(told.digest != digest for told in measuring.sent.get(message.sender, ())):
        raise Fault("measurement", "it told another validator of other errors")
    measuring.answers[message.sender] = message


@of(SentErrors)
def _sent_errors(state: State, message: SentErrors) -> None:
    """What the validator is about to send, told to another one first."""
    said_by(message, *state.validators)
    measuring = state.under_way(message, message.evaluation)
    if message.recipient not in state.validators or message.recipient == message.sender or message.sender in measuring.answers:
        raise Fault("measurement", "it goes from a validator that is about to answer to another one")
    measuring.sent.setdefault(message.sender, []).append(message)


@of(MeasurementFailed)
def _measurement_failed(state: State, message: MeasurementFailed) -> None:
    """The run ends here."""
    said_by(message, *state.validators)
    if (message.evaluation, message.sender) in state.tested:
        raise Fault("zero test", "its zero test held")
    state.failed = f"measurement {message.evaluation} failed: {message.sender}'s zero tests did not hold"


@of(OpenSums)
def _open_sums(state: State, message: OpenSums) -> None:
    """The sums of what the validators sent."""
    between(message, state.header.aggregator, state.header.buyer)
    if state.public:
        state.begin(message, message.evaluation, message.models)
    measuring = state.under_way(message, message.evaluation)
    untested = [validator for validator in state.validators if (message.evaluation, validator) not in state.tested]
    if untested or not (state.public or len(measuring.answers) == len(state.validators)):
        raise Fault("zero test", f"{len(untested)} validators' products have not passed a zero test, or an answer is missing")
    rows = sum(state.rows[validator] for validator in state.validators)
    if measuring.sums or (message.scale, message.models, message.rows) != (measuring.scale, measuring.models, rows):
        raise Fault("measurement", "it was asked before, or its scale, models or rows are not those of the measurement")
    count = len(pairs(measuring.models))
    measuring.sums = state.key.check(message.sums, count, message.sender)
    if not state.public:
        same(message.sums, total(state.key, values_of(state, measuring), count))
        state.counts["sums"] += 1


@of(OpenedSums)
def _opened_sums(state: State, message: OpenedSums) -> None:
    """The opening holds, and can be what it is said to be."""
    measuring = state.under_way(message, message.evaluation)
    between(message, state.header.buyer, state.header.aggregator)
    if not measuring.sums or measuring.result is not None:
        raise Fault("measurement", "nothing was to be opened")
    opens(state, measuring.sums, message.plaintexts, message.randomness)
    rows = sum(state.rows[validator] for validator in state.validators)
    if fault := range_fault(state.terms, message.plaintexts, measuring.scale, measuring.models, rows):
        raise Fault("range", fault)
    measuring.openings = message.plaintexts, message.randomness
    if measuring.subject is Subject.MODEL and measuring.round == state.terms.rounds:
        state.metric_hash = ciphertexts_hash(measuring.sums, state.key)
    state.conclude(measuring, Measurement(message.plaintexts, measuring.scale + state.terms.row_bits, rows, measuring.models))


@of(Measured)
def _measured(state: State, message: Measured) -> None:
    """The same that was sent and opened."""
    measuring = state.under_way(message, message.evaluation)
    said_by(message, state.header.aggregator)
    if message.recipient not in state.validators or message.recipient in measuring.shown:
        raise Fault("announcement", "every validator is shown it once")
    rows = tuple(state.rows[validator] for validator in state.validators)
    said = (message.scale, message.models, message.validators, message.rows, (message.plaintexts, message.randomness))
    if said != (measuring.scale, measuring.models, state.validators, rows, measuring.openings) or measuring.result is None:
        raise Fault("announcement", "it is something else than was measured")
    same(message.values, values_of(state, measuring))
    measuring.shown.add(message.recipient)


# --- measuring with noise ----------------------------------------------------------------------------------------


@of(Residuals)
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


@of(OpenResiduals)
def _open_residuals(state: State, message: OpenResiduals) -> None:
    """In their form; the noise hides what they hold."""
    measuring = state.under_way(message, message.evaluation)
    between(message, state.header.aggregator, state.header.buyer)
    rows = tuple(state.rows[validator] for validator in state.validators)
    if not measuring.rows.keys() >= set(state.validators) or measuring.opening is not None:
        raise Fault("measurement", "a validator's residuals are missing, or it was asked before")
    if message.rows != rows or message.scale != measuring.scale:
        raise Fault("rows", "its rows or scale are others than the validators'")
    slots = residual_slots(state.terms, state.key.capacity, measuring.scale)
    state.key.check(message.packed, sum(map(slots.plaintexts, rows)), message.sender)
    measuring.opening = message


@of(OpenedResiduals)
def _opened_residuals(state: State, message: OpenedResiduals) -> None:
    """A number for every row."""
    measuring = state.under_way(message, message.evaluation)
    said_by(message, state.header.buyer)
    if measuring.opening is None or measuring.digits or len(message.digits) != sum(measuring.opening.rows):
        raise Fault("measurement", "it does not open the residuals that were to be opened")
    measuring.digits = message.digits


@of(RevealNoise)
def _reveal_noise(state: State, message: RevealNoise) -> None:
    """The squared error follows from what was opened."""
    measuring = state.under_way(message, message.evaluation)
    said_by(message, state.header.aggregator)
    if not measuring.digits or measuring.squared_error is not None or len(message.noise) != len(measuring.digits):
        raise Fault("measurement", "its noise is not that of the opened residuals")
    slots = residual_slots(state.terms, state.key.capacity, measuring.scale)
    found = squared_error(measuring.digits, message.noise, slots, message.sender)
    if found != message.squared_error:
        raise Fault("squared error", f"the opened residuals give {found}, not {message.squared_error}")
    measuring.squared_error = found
    state.counts["squared errors"] += 1


@of(MetricConfirmed)
def _metric_confirmed(state: State, message: MetricConfirmed) -> None:
    """The buyer's, once."""
    said_by(message, state.header.buyer)
    if state.public:
        return
    measuring = state.under_way(message, message.evaluation)
    if measuring.squared_error is None or measuring.opening is None or measuring.result is not None:
        raise Fault("measurement", "there is nothing to confirm")
    if measuring.subject is Subject.MODEL and measuring.round == state.terms.rounds:
        state.metric_hash = ciphertexts_hash(measuring.opening.packed, state.key)
    rows = sum(measuring.opening.rows)
    state.conclude(measuring, Measurement((measuring.squared_error,), measuring.scale + state.terms.row_bits, rows))
