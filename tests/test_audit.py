"""The audit: honest runs hold, and every change of a record, by strangers or by participants who sign it, is named."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import key_pair, random_shards

from deltaml_core.audit import AuditReport, audit, audit_file
from deltaml_core.chain.types import Statement, modulus_hash
from deltaml_core.errors import MessageError, MetricError, PrivacyWarning
from deltaml_core.messages import (
    ApproveResult,
    Evaluate,
    FinalModel,
    InitialModel,
    Masks,
    Measured,
    Message,
    MetricAnnounced,
    OpenedMasked,
    OpenedResiduals,
    OpenedSums,
    OpenMasked,
    OpenResiduals,
    OpenSums,
    OwnerDropped,
    OwnerReady,
    Products,
    ProposeResult,
    Refresh,
    Residuals,
    RevealNoise,
    SoloModel,
    SquaredErrors,
    Subject,
    Train,
    TrainAlone,
    Update,
    ZeroTestAnswer,
    decode,
)
from deltaml_core.metrics.verifiable.aggregator import VerifiableAggregator
from deltaml_core.payouts import split_escrow
from deltaml_core.schedule import Kind
from deltaml_core.session import Session
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.statistics import Dataset
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges
from deltaml_core.transcript import Transcript


@dataclass(frozen=True)
class Run:
    """A finished run with everybody's keys."""

    transcript: Transcript
    signers: dict[str, LocalSigner]

    def first(self, kind: type[Message], skip: int = 0) -> int:
        """The place of a kind's first message after `skip` others."""
        places = [place for place, message in enumerate(self.transcript.messages()) if isinstance(message, kind)]
        return places[skip]


VERIFIABLE = {"metrics": "verifiable", "contributions": "shapley"}
NOISE = {"metrics": "noise", "contributions": "leave_one_out"}


def session_of(scheme: str = "plain", key_bits: int = 512, **chosen: Any) -> tuple[Session, dict[str, LocalSigner]]:
    """Three trainers and two validators; seven rounds, with a refresh in them at small keys."""
    shards = [Dataset.of(X, y) for X, y in random_shards(7, (9, 6, 12, 5, 4), 2)]
    if chosen.get("robust"):
        shards[3] = Dataset.of(shards[3].X * 1.0, -3 * shards[3].y)
    terms = TrainingTerms(declared_ranges(shards), rounds=7, step=0.5, scheme=scheme, key_bits=key_bits, **{**VERIFIABLE, **chosen})
    buyer, aggregator, *owners = (LocalSigner() for _ in range(2 + len(shards)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivacyWarning)
        session = Session(
            "17",
            terms,
            key_pair(scheme, key_bits),
            {owner.address: shard for owner, shard in zip(owners, shards, strict=True)},
            validators=[owners[1].address, owners[2].address],
            buyer=buyer,
            aggregator=aggregator,
            signers=owners,
        )
    return session, {signer.address: signer for signer in (buyer, aggregator, *owners)}


@cache
def run(**chosen: Any) -> Run:
    """It, to its end."""
    session, signers = session_of(**chosen)
    session.run()
    session.deliver_model()
    return Run(session.aggregator.transcript, signers)


RUNS: dict[str, dict[str, Any]] = {
    "verifiable": {},
    "verifiable, encrypted": {"scheme": "paillier", "key_bits": 768},
    "verifiable, refreshed": {"scheme": "paillier", "key_bits": 512},
    "leave one out": {"contributions": "leave_one_out"},
    "robust": {"robust": True},
    "robust, encrypted": {"robust": True, "scheme": "paillier", "key_bits": 768},
    "noise": NOISE,
    "noise, encrypted and refreshed": {**NOISE, "scheme": "paillier", "key_bits": 400},
}
each_run = pytest.mark.parametrize("chosen", RUNS.values(), ids=RUNS)
each_protocol = pytest.mark.parametrize("chosen", [VERIFIABLE, NOISE], ids=["verifiable", "noise"])
each_part = pytest.mark.parametrize("public", [False, True], ids=["full", "public"])


def part(transcript: Transcript, public: bool) -> Transcript:
    return transcript.public() if public else transcript


def with_entries(transcript: Transcript, entries: list[bytes]) -> Transcript:
    return Transcript(transcript.header, entries, transcript.seed)


def stored(transcript: Transcript, entries: list[bytes], folder: Path) -> AuditReport:
    """The audit of a file in which other entries stand, and nothing else has changed."""
    transcript.save(folder / "t")
    header, *_, closing = (folder / "t").read_bytes().splitlines()
    (folder / "t").write_bytes(b"".join(line + b"\n" for line in (header, *entries, closing)))
    return audit_file(folder / "t")


# --- honest runs -------------------------------------------------------------------------------------------------


@each_part
@each_run
def test_an_honest_run_holds(chosen: dict[str, Any], public: bool) -> None:
    transcript = part(run(**chosen).transcript, public)
    report = audit(transcript)
    assert report.ok, report.verdict
    assert report.entries == len(transcript)
    assert (report.sealed > 0) is public
    assert str(report).splitlines()[-1] == report.verdict
    assert "owners computed from their rows" in str(report)


@pytest.mark.parametrize("seed", range(3))
@each_run
def test_a_run_holds_at_whatever_pace_its_participants_answer(chosen: dict[str, Any], seed: int) -> None:
    """Each takes its messages in their order, and nobody waits for another but for what it needs: rounds overtake measurements."""
    session, _ = session_of(**chosen)
    draw, waiting = random.Random(seed), session.transport._waiting
    deliver = session.transport.deliver

    def deliver_to_somebody() -> bool:
        if waiting:
            somebody = draw.choice(sorted({message.recipient for message, _ in waiting}))
            place = next(place for place, (message, _) in enumerate(waiting) if message.recipient == somebody)
            waiting.rotate(-place)
            first = waiting.popleft()
            waiting.rotate(place)
            waiting.appendleft(first)
        return deliver()

    session.transport.deliver = deliver_to_somebody  # type: ignore[method-assign]
    session.run()
    session.deliver_model()
    transcript = session.aggregator.transcript
    for part_of_it in (transcript, transcript.public()):
        report = audit(part_of_it)
        assert report.ok, report.verdict
    in_step = _measured(run(**chosen).transcript)
    assert [number for number, _ in _measured(transcript)] == [number for number, _ in in_step]
    assert np.allclose([mse for _, mse in _measured(transcript)], [mse for _, mse in in_step], rtol=1e-6)


@each_part
@pytest.mark.parametrize("chosen", [RUNS["verifiable, refreshed"], RUNS["noise, encrypted and refreshed"]], ids=["verifiable", "noise"])
def test_a_measurement_that_was_left_out_is_noticed(chosen: dict[str, Any], public: bool) -> None:
    session, _ = session_of(**chosen)
    agenda = session.aggregator._agenda
    left_out = next(step for step in agenda if step.kind is Kind.EVALUATE and step.round)
    agenda.remove(left_out)
    session.run()
    assert left_out.round not in [number for number, _ in session.aggregator.history]
    failure = audit(part(session.aggregator.transcript, public)).failure
    assert failure is not None
    assert failure.check in ("schedule", "order")
    assert failure.round <= left_out.round + session.aggregator._party.terms.evaluate_every


def test_a_measurement_that_begins_before_the_last_has_ended_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = session_of()
    monkeypatch.setattr(VerifiableAggregator, "busy", False)
    with pytest.raises(MessageError, match="not under way"):
        session.run()
    failure = audit(session.aggregator.transcript).failure
    assert failure is not None
    assert (failure.kind, failure.check) == ("evaluate", "order")
    assert "measurement 0 is not complete" in str(failure)


def _measured(transcript: Transcript) -> list[tuple[int, float]]:
    told = [message for message in transcript.messages() if isinstance(message, MetricAnnounced) and message.subject == Subject.MODEL]
    return [(message.round, message.squared_error / (message.rows << message.scale)) for message in told]


def test_these_runs_have_every_kind_that_can_be_checked() -> None:
    from deltaml_core.audit.checks.common import _CHECKS
    from deltaml_core.messages import MeasurementFailed

    seen = {type(message) for chosen in RUNS.values() for message in run(**chosen).transcript.messages()}
    assert seen == set(_CHECKS) - {MeasurementFailed, OwnerDropped}  # those are in tests of their own


# --- strangers ---------------------------------------------------------------------------------------------------


@each_part
@each_protocol
def test_a_flipped_bit_in_any_entry_is_found_there(chosen: dict[str, Any], public: bool) -> None:
    transcript, draw = part(run(**chosen).transcript, public), random.Random(3)
    for place in range(draw.randrange(5), len(transcript), 5):
        line = transcript.entries[place]
        position = draw.randrange(len(line))
        flipped = line[:position] + bytes([line[position] ^ 1 << draw.randrange(8)]) + line[position + 1 :]
        failure = audit(with_entries(transcript, [*transcript.entries[:place], flipped, *transcript.entries[place + 1 :]])).failure
        assert failure is not None, (place, position)
        assert failure.entry == place + 1


@each_part
def test_a_flip_of_any_byte_of_an_entry_is_found(public: bool) -> None:
    transcript = part(run().transcript, public)
    draw, place = random.Random(4), 5
    for position in range(len(transcript.entries[place])):
        flipped = bytearray(transcript.entries[place])
        flipped[position] ^= 1 << draw.randrange(8)
        failure = audit(with_entries(transcript, [*transcript.entries[:place], bytes(flipped)])).failure
        assert failure is not None, position
        assert failure.entry == place + 1


def test_a_changed_message_is_named_by_number_kind_round_and_sender() -> None:
    found = run()
    place = found.first(Update)
    line = found.transcript.entries[place]
    signature = line[-132:-2]
    other = signature.translate(bytes.maketrans(b"0123456789abcdef", b"1032547698badcfe"))
    report = audit(with_entries(found.transcript, [*found.transcript.entries[:place], line.replace(signature, other)]))
    message = found.transcript.messages()[place]
    assert report.failure is not None
    assert (report.failure.entry, report.failure.kind, report.failure.round) == (place + 1, "update", message.round)
    assert report.failure.sender == message.sender
    assert f"message {place + 1} (update of round {message.round} from {message.sender}), signature" in report.verdict


@each_part
@each_protocol
def test_an_entry_left_out_is_noticed(chosen: dict[str, Any], public: bool, tmp_path: Path) -> None:
    transcript = part(run(**chosen).transcript, public)
    for place in sorted({*range(0, len(transcript), 17), *range(len(transcript) - 9, len(transcript))}):
        entries = [*transcript.entries[:place], *transcript.entries[place + 1 :]]
        assert not stored(transcript, entries, tmp_path).ok, place


@each_part
@each_protocol
def test_a_repeated_entry_is_named(chosen: dict[str, Any], public: bool) -> None:
    transcript = part(run(**chosen).transcript, public)
    for place in range(0, len(transcript), 25):
        for later in {place + 1, len(transcript)}:
            entries = [*transcript.entries[:later], transcript.entries[place], *transcript.entries[later:]]
            failure = audit(with_entries(transcript, entries)).failure
            assert failure is not None
            assert failure.entry == later + 1
            assert f"message {place + 1} once more" in failure.reason


@each_part
@each_protocol
def test_exchanged_neighbours_are_noticed(chosen: dict[str, Any], public: bool, tmp_path: Path) -> None:
    transcript = part(run(**chosen).transcript, public)
    for place in sorted({*range(0, len(transcript) - 1, 17), *range(len(transcript) - 9, len(transcript) - 1)}):
        entries = list(transcript.entries)
        entries[place], entries[place + 1] = entries[place + 1], entries[place]
        assert not stored(transcript, entries, tmp_path).ok, place


@each_part
def test_a_change_of_the_header_or_the_last_line_is_noticed(public: bool, tmp_path: Path) -> None:
    transcript, draw = part(run().transcript, public), random.Random(5)
    transcript.save(tmp_path / "t")
    lines = (tmp_path / "t").read_bytes().splitlines(keepends=True)
    for number in (0, len(lines) - 1):
        for _ in range(60):
            position = draw.randrange(len(lines[number]))
            flipped = bytearray(lines[number])
            flipped[position] ^= 1 << draw.randrange(8)
            (tmp_path / "t").write_bytes(b"".join([*lines[:number], bytes(flipped), *lines[number + 1 :]]))
            report = audit_file(tmp_path / "t")
            if not (number and b'"seed"' in flipped and position > lines[number].index(b'"seed":"')):
                assert not report.ok, (number, position)


def test_another_runs_message_is_refused() -> None:
    one, other = run(), run(contributions="leave_one_out")
    entries = [other.transcript.entries[0], *one.transcript.entries[1:]]
    failure = audit(with_entries(one.transcript, entries)).failure
    assert failure is not None
    assert (failure.entry, failure.check) == (1, "participants")


def test_with_another_seed_the_aggregators_products_are_not_its() -> None:
    found = run(scheme="paillier", key_bits=768).transcript
    failure = audit(Transcript(found.header, found.entries, bytes(32))).failure
    assert failure is not None
    assert failure.check == "product"


# --- participants who sign what they should not -------------------------------------------------------------------


def more(values: tuple[int, ...]) -> tuple[int, ...]:
    return (values[0] + 1, *values[1:])


def other_hash(value: str) -> str:
    return value[1:] + ("0" if value[0] != "0" else "1")


LIES: dict[str, tuple[dict[str, Any], type[Message], int, dict[str, Any], str]] = {
    "aggregator trains other weights": (VERIFIABLE, Train, 4, {"weights": more}, "product"),
    "aggregator asks at another scale": (VERIFIABLE, Train, 4, {"scale": lambda scale: scale + 1}, "schedule"),
    "aggregator trains out of turn": (VERIFIABLE, Train, 3, {"round": 5}, "schedule"),
    "aggregator divides by another number": (VERIFIABLE, Train, 0, {"trainers": 2}, "round"),
    "aggregator measures other weights": (VERIFIABLE, Evaluate, 3, {"weights": more}, "product"),
    "aggregator measures another subject": (VERIFIABLE, Evaluate, 3, {"subject": "updates"}, "schedule"),
    "aggregator sums otherwise": (VERIFIABLE, OpenSums, 1, {"sums": more}, "product"),
    "aggregator opens twice as many rows": (VERIFIABLE, OpenSums, 1, {"rows": lambda rows: 2 * rows}, "measurement"),
    "aggregator shows other squared errors": (VERIFIABLE, Measured, 2, {"values": more}, "product"),
    "aggregator shows another opening": (VERIFIABLE, Measured, 2, {"plaintexts": more}, "announcement"),
    "aggregator tells trainers another error": (VERIFIABLE, MetricAnnounced, 1, {"squared_error": lambda e: e - 1}, "announcement"),
    "aggregator trains alone from other weights": (VERIFIABLE, TrainAlone, 1, {"weights": more}, "product"),
    "aggregator counts other rows": (VERIFIABLE, TrainAlone, 0, {"rows": lambda rows: rows + 1}, "rows"),
    "aggregator packs other weights to be opened": (VERIFIABLE, OpenMasked, 0, {"packed": more}, "product"),
    "aggregator proposes another final error": (VERIFIABLE, ProposeResult, 0, {"final": lambda e: e - 1}, "result"),
    "aggregator proposes another initial error": (VERIFIABLE, ProposeResult, 0, {"initial": lambda e: e + 1}, "result"),
    "aggregator proposes other gains": (VERIFIABLE, ProposeResult, 0, {"gains": more}, "result"),
    "aggregator proposes other rows": (VERIFIABLE, ProposeResult, 0, {"rows": lambda rows: rows + 1}, "result"),
    "aggregator proposes other weights": (VERIFIABLE, ProposeResult, 0, {"weights_hash": other_hash}, "result"),
    "aggregator proposes another metric": (VERIFIABLE, ProposeResult, 0, {"metric_hash": other_hash}, "result"),
    "aggregator states another transcript": (VERIFIABLE, ProposeResult, 0, {"transcript_hash": other_hash}, "hash"),
    "aggregator proposes something else to one": (VERIFIABLE, ProposeResult, 1, {"transcript_hash": other_hash}, "hash"),
    "aggregator leaves owners another model": (VERIFIABLE, FinalModel, 0, {"weights": more}, "product"),
    "buyer opens something else": (VERIFIABLE, OpenedSums, 1, {"plaintexts": more}, "opening"),
    "buyer opens half": (VERIFIABLE, OpenedSums, 6, {"plaintexts": lambda values: values[:1]}, "opening"),
    "buyer opens other masked weights": (VERIFIABLE, OpenedMasked, 0, {"plaintexts": more}, "opening"),
    "buyer does not prove the zero": (VERIFIABLE, ZeroTestAnswer, 0, {"attempt": 2}, "zero test"),
    "trainer answers at another scale": (VERIFIABLE, Update, 1, {"scale": lambda scale: scale - 1}, "schedule"),
    "trainer sends too few weights": (VERIFIABLE, Update, 1, {"weights": lambda values: values[1:]}, "content"),
    "trainer answers for another round": (VERIFIABLE, Update, 4, {"round": 1}, "order"),
    "trainer speaks as nobody's answer": (VERIFIABLE, Update, 1, {"answers": ""}, "order"),
    "trainer reports no rows": (VERIFIABLE, OwnerReady, 1, {"rows": 0}, "rows"),
    "trainer hides too little": (VERIFIABLE, Masks, 0, {"low": ()}, "content"),
    "trainer's solo model is of another scale": (VERIFIABLE, SoloModel, 0, {"scale": 1}, "schedule"),
    "validator counts other rows": (VERIFIABLE, SquaredErrors, 0, {"rows": lambda rows: rows + 1}, "rows"),
    "validator approves other weights": (VERIFIABLE, ApproveResult, 0, {"weights_hash": other_hash}, "result"),
    "anybody belongs to another request": (VERIFIABLE, Update, 2, {"request": "18"}, "request"),
    "anybody writes to a stranger": (VERIFIABLE, Update, 2, {"recipient": "0x0"}, "participants"),
    "noise: aggregator opens other residuals": (NOISE, OpenResiduals, 0, {"rows": more}, "rows"),
    "noise: buyer opens too few": (NOISE, OpenedResiduals, 0, {"digits": lambda values: values[1:]}, "measurement"),
    "noise: aggregator reveals other noise": (NOISE, RevealNoise, 0, {"noise": more}, "squared error"),
    "noise: aggregator states another error": (NOISE, RevealNoise, 0, {"squared_error": lambda e: e + 1}, "squared error"),
    "noise: aggregator announces another error": (NOISE, MetricAnnounced, 3, {"squared_error": lambda e: e + 1}, "announcement"),
    "noise: validator counts other rows": (NOISE, Residuals, 0, {"rows": lambda rows: rows + 1}, "rows"),
    "noise: aggregator refreshes at another scale": (NOISE, Refresh, 0, {"scale": lambda scale: scale + 1}, "schedule"),
    "noise: aggregator measures other coalitions": (NOISE, Evaluate, -2, {"weights": more}, "product"),
    "noise: trainer starts elsewhere": (NOISE, InitialModel, 0, {"weights": lambda values: values[1:]}, "content"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_signed_lie_is_named(lie: str) -> None:
    """The liar signs; nobody else's messages change. The audit stops at the lie, and says which check it fails."""
    chosen, kind, skip, changes, expected = LIES[lie]
    small = {"key_bits": 400} if kind in (OpenMasked, OpenedMasked, Masks, Refresh) and chosen is NOISE else {}
    found = run(**chosen, **small)
    place = found.first(kind, skip)
    message = found.transcript.messages()[place]
    changed = replace(message, **{name: new(getattr(message, name)) if callable(new) else new for name, new in changes.items()})
    assert changed != message
    lied = SignedMessage.of(changed, found.signers[message.sender]).encode()
    entries = [*found.transcript.entries[:place], lied, *found.transcript.entries[place + 1 :]]
    failure = audit(with_entries(found.transcript, entries)).failure
    assert failure is not None
    assert (failure.entry, failure.kind, failure.sender, failure.check) == (place + 1, kind.kind, message.sender, expected)


@pytest.mark.parametrize("speaker", ["buyer", "aggregator", "validator"])
def test_nobody_says_what_another_should(speaker: str) -> None:
    """A trainer's update in the name, and with the key, of somebody else."""
    found = run()
    header = found.transcript.header
    name = {"buyer": header.buyer, "aggregator": header.aggregator, "validator": header.validators[0]}[speaker]
    place = found.first(Update)
    message = replace(found.transcript.messages()[place], sender=name)
    entries = [*found.transcript.entries[:place], SignedMessage.of(message, found.signers[name]).encode()]
    failure = audit(with_entries(found.transcript, entries)).failure
    assert failure is not None
    assert (failure.entry, failure.sender) == (place + 1, name)


def test_a_trainer_left_out_without_need_is_noticed() -> None:
    found = run(robust=True)
    place = next(place for place, message in enumerate(found.transcript.messages()) if message.kind == "leave-out")
    message: Any = found.transcript.messages()[place]
    other = next(trainer for trainer in message.trainers if trainer != message.left)
    lied = SignedMessage.of(replace(message, left=other), found.signers[message.sender]).encode()
    failure = audit(with_entries(found.transcript, [*found.transcript.entries[:place], lied])).failure
    assert failure is not None
    assert (failure.entry, failure.check) == (place + 1, "robust")


def test_a_run_without_a_majority_is_incomplete() -> None:
    found = run()
    entries = found.transcript.entries[: found.first(ApproveResult) + 1]
    failure = audit(with_entries(found.transcript, entries)).failure
    assert failure is not None
    assert (failure.entry, failure.check) == (None, "completeness")
    assert "1 of 2 validators approved" in failure.reason


@each_part
def test_a_run_that_failed_says_so_and_the_record_until_there_holds(public: bool) -> None:
    """The buyer adds one to every product, packed and unpacked."""
    session, _ = session_of()
    honest = session.buyer.handle

    def handle(message: Message) -> list[Message]:
        return [replace(answer, products=more(answer.products)) if isinstance(answer, Products) else answer for answer in honest(message)]

    session.buyer.handle = handle  # type: ignore[method-assign]
    with pytest.raises(MetricError, match="measurement 0 failed"):
        session.run()
    failure = audit(part(session.aggregator.transcript, public)).failure
    assert failure is not None
    assert (failure.entry, failure.check) == (None, "completeness")
    assert "measurement 0 failed" in failure.reason


# --- the public part ---------------------------------------------------------------------------------------------


def test_what_everybody_may_read_must_not_be_sealed_or_the_rest_shown() -> None:
    full, public = run().transcript, run().transcript.public()
    for place in range(0, len(full), 5):
        line = full.entries[place]
        if line != public.entries[place]:  # sealed: show it
            failure = audit(with_entries(public, [*public.entries[:place], line])).failure
            assert failure is not None
            assert (failure.entry, failure.check) == (place + 1, "form")
            failure = audit(with_entries(full, [*full.entries[:place], public.entries[place]])).failure
            assert failure is not None
            assert (failure.entry, failure.check) == (place + 1, "form")


@each_protocol
def test_sealing_what_was_shown_is_noticed(chosen: dict[str, Any]) -> None:
    from deltaml_core.transcript import Sealed, read_entry

    public = run(**chosen).transcript.public()
    sealable = (OwnerReady, OpenSums, OpenedSums, MetricAnnounced, ProposeResult)
    tried = 0
    for place, line in enumerate(public.entries):
        entry = read_entry(line)
        if isinstance(entry, SignedMessage) and isinstance(decode(entry.message), sealable):
            sealed = Sealed(entry.digest, entry.signature).encode()
            assert not audit(with_entries(public, [*public.entries[:place], sealed, *public.entries[place + 1 :]])).ok, place
            tried += 1
    assert tried > 10


@each_protocol
def test_the_public_part_holds_no_weights_and_no_masked_values(chosen: dict[str, Any]) -> None:
    hidden = (InitialModel, Train, Update, Evaluate, TrainAlone, SoloModel, FinalModel, Residuals, OpenResiduals, SquaredErrors, Masks)
    shown = run(**chosen).transcript.public().messages()
    assert not [message for message in shown if isinstance(message, hidden)]
    assert [message for message in shown if isinstance(message, ProposeResult)]


# --- what the contract has ---------------------------------------------------------------------------------------


def statement_of(transcript: Transcript) -> Statement:
    proposal = next(message for message in transcript.messages() if isinstance(message, ProposeResult))
    document = transcript.header.document
    return Statement(
        request=int(transcript.header.request),
        round=proposal.round,
        modulus_hash=modulus_hash(document.modulus),
        weights_hash=bytes.fromhex(proposal.weights_hash),
        metric_hash=bytes.fromhex(proposal.metric_hash),
        scale=proposal.scale,
        rows=proposal.rows,
        initial_mse=proposal.initial,
        final_mse=proposal.final,
        gains=proposal.gains,
        transcript_hash=bytes.fromhex(proposal.transcript_hash),
    )


@each_part
@each_protocol
def test_the_contracts_statement_is_compared_field_by_field(chosen: dict[str, Any], public: bool) -> None:
    transcript = part(run(**chosen).transcript, public)
    statement = statement_of(transcript)
    assert audit(transcript, statement=statement).ok
    for name in statement.__slots__:
        value = getattr(statement, name)
        other = value + 1 if isinstance(value, int) else bytes(32) if isinstance(value, bytes) else (*value[1:], 0)
        failure = audit(transcript, statement=replace(statement, **{name: other})).failure
        assert failure is not None, name
        assert (failure.entry, failure.check) == (None, "statement")


@each_part
def test_payouts_follow_from_the_gains(public: bool) -> None:
    transcript = part(run().transcript, public)
    statement = statement_of(transcript)
    payouts = split_escrow(
        escrow_wei=10**18, initial=statement.initial_mse, final=statement.final_mse, gains=statement.gains, validators=2, minimum_wei=1000
    )
    assert audit(transcript, payouts=payouts, minimum_wei=1000).ok
    for other in (
        replace(payouts, aggregator_wei=payouts.aggregator_wei + 1),
        replace(payouts, trainers_wei=payouts.trainers_wei[::-1]),
        replace(payouts, aggregator_wei=payouts.aggregator_wei - 1, refund_wei=payouts.refund_wei + 1),
    ):
        failure = audit(transcript, payouts=other, minimum_wei=1000).failure
        assert failure is not None
        assert failure.check == "payouts"
    failure = audit(transcript, payouts=payouts, minimum_wei=10**18).failure
    assert failure is not None
    assert "cannot pay" in failure.reason


# --- the command -------------------------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "deltaml_core.cli", "audit", *arguments], capture_output=True, text=True)


def test_the_command_prints_its_verdict_last_and_exits_accordingly(tmp_path: Path) -> None:
    transcript = run().transcript
    path = tmp_path / "t.jsonl"
    transcript.save(path)
    for arguments in ([str(path)], [str(path), "--public"]):
        held = command(*arguments)
        assert held.returncode == 0, held.stderr
        assert held.stdout.splitlines()[-1].startswith(f"ok: {len(transcript)} messages")
    path.write_bytes(path.read_bytes().replace(b'"rows":9,', b'"rows":8,', 1))
    failed = command(str(path))
    assert failed.returncode == 1
    assert failed.stdout.splitlines()[-1].startswith("FAILS: message 1 (owner-ready of round 0 from 0x")
    missing = command(str(tmp_path / "none"))
    assert missing.returncode == 1
    assert "none cannot be read" in missing.stdout.splitlines()[-1]


def test_a_broken_full_record_is_broken_for_its_public_part_as_well(tmp_path: Path) -> None:
    transcript = run().transcript
    place = run().first(Train)
    entries = list(transcript.entries)
    entries[place] = entries[place][:40] + b"\xff" + entries[place][41:]
    stored(transcript, entries, tmp_path)
    report = audit_file(tmp_path / "t", public=True)
    assert report.failure is not None
    assert report.failure.entry == place + 1
