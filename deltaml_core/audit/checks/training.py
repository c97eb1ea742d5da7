"""Checks of what is said in training: setting out, rounds, refreshes, the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from deltaml_core.audit.checks.common import ask, at_scale, between, final_scale_of, of, opens, said_by, same
from deltaml_core.audit.record import Fault
from deltaml_core.audit.state import State
from deltaml_core.messages import (
    ApproveResult,
    AskMasks,
    FinalModel,
    InitialModel,
    LeaveOut,
    Masks,
    OpenedMasked,
    OpenMasked,
    OwnerDropped,
    OwnerReady,
    ProposeResult,
    Refresh,
    Refreshed,
    SentModel,
    SoloModel,
    Subject,
    Train,
    TrainAlone,
    Update,
)
from deltaml_core.refresh import unmask
from deltaml_core.schedule import Kind, masked_weight_slots, weight_slots
from deltaml_core.transcript import ciphertexts_hash

# --- setting out -------------------------------------------------------------------------------------------------


@of(InitialModel)
def _initial_model(state: State, message: InitialModel) -> None:
    between(message, state.header.buyer, state.header.aggregator)
    if state.initial:
        raise Fault("order", "there are initial weights already")
    state.initial = state.weights = state.key.check(message.weights, state.terms.weights, message.sender)


@of(OwnerReady)
def _owner_ready(state: State, message: OwnerReady) -> None:
    said_by(message, *state.owners)
    if message.sender in state.rows or message.rows < 1:
        raise Fault("rows", "an owner reports once, with at least one row")
    state.rows[message.sender] = message.rows


@of(OwnerDropped)
def _owner_dropped(state: State, message: OwnerDropped) -> None:
    """Put on record first, of an owner that was awaited, then told to everybody. One that nobody waited for changes nothing."""
    said_by(message, state.header.aggregator)
    if message.recipient == state.header.aggregator:
        state.dropping.post(message)
        if not state.public and message.owner in state.awaited:
            state.drop(message.owner)
        return
    if state.public and state.dropping.posted(message.owner):
        state.drop(message.owner)
    state.dropping.tell(message)


# --- a round -----------------------------------------------------------------------------------------------------


@of(Train)
def _train(state: State, message: Train) -> None:
    """The weights are those that the last round, or the last refresh, left."""
    step = state.enter(message, Kind.TRAIN)
    ask(state, message, state.active)
    if message.trainers != len(state.active):
        raise Fault("round", f"it divides by {message.trainers} instead of {len(state.active)} trainers")
    at_scale(step, message.scale)
    same(message.weights, state.weights)


@of(Update)
def _update(state: State, message: Update) -> None:
    """In its form; with the last of them the average is due."""
    step, asked = state.current(message, Kind.TRAIN), state.record.answered(message)
    if isinstance(asked, Train) and asked.trainers > len(state.active) and message.trainers == asked.trainers and state.dropping.dropped:
        return  # it crossed the news that a trainer was dropped: the round is asked again
    if message.sender not in state.asked or message.sender in state.updates:
        raise Fault("order", "it was not asked for, or is there already")
    if message.trainers != len(state.active):
        raise Fault("round", f"it divides by {message.trainers} instead of {len(state.active)} trainers")
    at_scale(step, message.scale, state.terms.map_bits)
    state.key.check(message.weights, state.terms.weights, message.sender)
    _as_told(state, message)
    state.updates[message.sender] = message
    if len(state.updates) == len(state.active):
        state.finish_round()


@of(LeaveOut)
def _leave_out(state: State, message: LeaveOut) -> None:
    """It follows from the measured updates."""
    said_by(message, state.header.aggregator)
    leaving = state.leaving
    if leaving is None or (message.evaluation, message.trainers, message.left) != (leaving.number, leaving.trainers, leaving.left):
        raise Fault("robust", "leaving that trainer out does not follow from the measured updates")
    if message.recipient not in state.validators or message.recipient in leaving.told:
        raise Fault("robust", "every validator is told once")
    leaving.told.add(message.recipient)


# --- refreshes ---------------------------------------------------------------------------------------------------


@of(AskMasks)
def _ask_masks(state: State, message: AskMasks) -> None:
    step = state.enter(message, Kind.REFRESH)
    ask(state, message, state.owners)
    at_scale(step, message.scale)


@of(Masks)
def _masks(state: State, message: Masks) -> None:
    """In their form; only their owner knows what they hold."""
    state.current(message, Kind.REFRESH)
    if message.sender not in state.asked or message.sender in state.masks:
        raise Fault("order", "they were not asked for, or are there already")
    state.key.check(message.high, state.terms.weights, message.sender)
    state.key.check(message.low, state.terms.weights if message.sender in state.header.trainers else 0, message.sender)
    state.masks[message.sender] = message


@of(OpenMasked)
def _open_masked(state: State, message: OpenMasked) -> None:
    """The masks of all, on the weights of the round before."""
    step = state.enter(message, Kind.REFRESH)
    between(message, state.header.aggregator, state.header.buyer)
    at_scale(step, message.scale)
    count, key = state.terms.weights, state.key
    slots = masked_weight_slots(state.terms, key.capacity, step.scale)
    if state.masked or not (state.public or state.masks.keys() >= set(state.owners)):
        raise Fault("order", "masks are missing, or it was asked before")
    state.masked = key.check(message.packed, slots.plaintexts(count), message.sender)
    if state.public:
        return
    high = state.sum([state.masks[owner].high for owner in state.owners])
    low = [state.masks[trainer].low for trainer in state.trainers]
    masked = state.sum([state.weights, key.scale(high, [1 << (step.scale - state.terms.base_scale)] * count), *low])
    ones = [[int(row == column) for column in range(count)] for row in range(count)]
    joined = key.combine(key.prepare(slots.join_rows(ones)), masked)
    same(message.packed, state.blind(key.shift(joined, slots.join_all([slots.offset] * count)), "refresh", step.round))


@of(OpenedMasked)
def _opened_masked(state: State, message: OpenedMasked) -> None:
    """The opening holds; with the masks taken off it is the refreshed weights."""
    step = state.current(message, Kind.REFRESH)
    between(message, state.header.buyer, state.header.aggregator)
    if not state.masked or state.refreshed:
        raise Fault("order", "nothing was to be opened")
    opens(state, state.masked, message.plaintexts, message.randomness)
    state.refreshed = True
    state.counts["refreshes"] += 1
    if not state.public:
        high = state.sum([state.masks[owner].high for owner in state.owners])
        state.weights = state.blind(unmask(state.party, high, step.scale, message), "refreshed", step.round)


@of(Refresh)
def _refresh(state: State, message: Refresh) -> None:
    """In its form: only the key holder can compare."""
    step = state.enter(message, Kind.REFRESH)
    ask(state, message, (state.header.buyer,))
    at_scale(step, message.scale)
    slots = weight_slots(state.terms, state.key.capacity, step.scale)
    state.key.check(message.packed, slots.plaintexts(state.terms.weights), message.sender)


@of(Refreshed)
def _refreshed(state: State, message: Refreshed) -> None:
    """In its form, likewise."""
    state.current(message, Kind.REFRESH)
    between(message, state.header.buyer, state.header.aggregator)
    if not state.asked or state.refreshed:
        raise Fault("order", "no refresh is due")
    state.weights = state.key.check(message.weights, state.terms.weights, message.sender)
    state.refreshed = True


# --- contributions and the end -----------------------------------------------------------------------------------


@of(TrainAlone)
def _train_alone(state: State, message: TrainAlone) -> None:
    """From the initial weights, over all trainers' rows."""
    step = state.enter(message, Kind.CONTRIBUTIONS)
    ask(state, message, state.trainers)
    at_scale(step, message.scale)
    rows = sum(state.rows[trainer] for trainer in state.trainers)
    if message.rows != rows:
        raise Fault("rows", f"the trainers reported {rows} rows, not {message.rows}")
    same(message.weights, state.initial)


@of(SoloModel)
def _solo_model(state: State, message: SoloModel) -> None:
    """In its form."""
    step, asked = state.current(message, Kind.CONTRIBUTIONS), state.record.answered(message)
    rows = sum(state.rows[trainer] for trainer in state.trainers)
    if isinstance(asked, TrainAlone) and asked.rows > rows and message.rows == asked.rows and state.dropping.dropped:
        return  # it crossed the news that a trainer was dropped: solo models are asked for again
    if message.sender not in state.asked or message.sender in state.solo_models:
        raise Fault("order", "it was not asked for, or is there already")
    if message.rows != rows:
        raise Fault("rows", f"the trainers reported {rows} rows, not {message.rows}")
    at_scale(step, message.scale, state.terms.map_bits)
    state.key.check(message.weights, state.terms.weights, message.sender)
    state.key.check(message.target_share, 1, message.sender)
    _as_told(state, message)
    state.solo_models[message.sender] = message


@of(SentModel)
def _sent_model(state: State, message: SentModel) -> None:
    """What the trainer is about to send to the aggregator, told to a validator first."""
    answers: Mapping[str, Update | SoloModel] = state.solo_models if message.subject == Subject.SOLO_MODELS else state.updates
    asked = state.record.answered(message)
    if not isinstance(asked, Train | TrainAlone) or asked.round != message.round or message.recipient not in state.validators:
        raise Fault("order", "it goes from a trainer that was asked for a model to a validator")
    if message.sender in answers or message.sender not in state.asked:
        if state.dropping.dropped:
            return  # it crossed the news that a trainer was dropped, as the model it tells of will
        raise Fault("order", "a trainer tells of its model before it sends it")
    state.told.setdefault(message.sender, []).append(message)


def _as_told(state: State, sent: Update | SoloModel) -> None:
    """Refuse a model of which the trainer told the validators something else."""
    digest, alone = ciphertexts_hash(sent.weights, state.key).hex(), isinstance(sent, SoloModel)
    rows, share = (sent.rows, sent.target_share) if isinstance(sent, SoloModel) else (0, ())
    said = (str(Subject.SOLO_MODELS if alone else Subject.UPDATES), rows, digest, share)
    crossed = [told for told in state.told.get(sent.sender, ()) if told.answers == sent.answers]
    if any((told.subject, told.rows, told.digest, told.target_share) != said for told in crossed):
        raise Fault("product", "it told a validator of another model")


@of(ProposeResult)
def _propose_result(state: State, message: ProposeResult) -> None:
    """All of it follows from the measurements; the hash is the record's."""
    said_by(message, state.header.aggregator)
    state.complete()
    state.announced()
    if not state.at_end():
        raise Fault("schedule", "the run is not at its end")
    if message.recipient not in state.validators or message.recipient in state.proposed or message.round != state.terms.rounds:
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
    if message.transcript_hash != state.record.hash_after_question(message).hex():
        raise Fault("hash", "the header or the messages up to the one it answers are not those whose hash it states")
    if state.proposal is not None and replace(message, recipient=state.proposal.recipient) != state.proposal:
        raise Fault("result", "another validator was proposed another result")
    state.proposal = message
    state.proposed.add(message.recipient)
    state.counts["gains"] = len(message.gains)


@of(ApproveResult)
def _approve_result(state: State, message: ApproveResult) -> None:
    """A validator's, of what it was proposed."""
    if state.proposal is None or message.sender not in state.proposed or message.sender in state.approved:
        raise Fault("result", "nothing was proposed to it, or it has approved")
    if message.weights_hash != state.proposal.weights_hash:
        raise Fault("result", "it approves other weights than were proposed")
    state.approved.add(message.sender)
    state.counts["approvals"] += 1


@of(FinalModel)
def _final_model(state: State, message: FinalModel) -> None:
    """The weights that were measured last: the aggregator's to owners for keeping, then anybody's to the buyer."""
    if 2 * len(state.approved) <= len(state.header.validators):
        raise Fault("order", "no majority has approved the result yet")
    if message.recipient != state.header.buyer:
        said_by(message, state.header.aggregator)
    if message.round != state.terms.rounds or message.scale != final_scale_of(state):
        raise Fault("schedule", "it is not the last round's model")
    same(message.weights, state.weights)
