"""States a stored transcript without any secret key and checks what can be checked (protocol.md §10).

Signatures, order and schedule; the aggregator's products; every measurement; contributions; the proposed result; and, where they
are given, the contract's statement and the payouts. It cannot recheck what an owner computed from its rows, and says so.

The public part is checked as far as it is shown: who signed what is sealed, that nothing was left out or put in, and that the
result follows from the measurements.
"""

from __future__ import annotations

from pathlib import Path

from deltaml_core.audit.checks import check
from deltaml_core.audit.record import Fault
from deltaml_core.audit.report import AuditReport, Failure
from deltaml_core.audit.state import State
from deltaml_core.chain.types import Statement, modulus_hash
from deltaml_core.errors import DeltaMLError, MessageError, SignatureError, TermsError, TranscriptError
from deltaml_core.messages import decode, is_public
from deltaml_core.payouts import Payouts, split_escrow
from deltaml_core.signatures import SignedMessage
from deltaml_core.transcript import Closing, Transcript, load_with_closing, read_entry

__all__ = ["AuditReport", "Failure", "audit", "audit_file"]


def audit(
    transcript: Transcript,
    *,
    statement: Statement | None = None,
    payouts: Payouts | None = None,
    minimum_wei: int = 0,
    shares_bps: tuple[int, int, int] = (7000, 2000, 1000),
    closing: Closing | None = None,
) -> AuditReport:
    """Check a transcript, full or public.

    Args:
        transcript: the record.
        statement: what the contract has as the result, to be compared.
        payouts: what the contract credited, in the header's order of participants, to be compared.
        minimum_wei: the request's minimum reward, which payouts follow from.
        shares_bps: likewise its shares of trainers, validators and aggregator.
        closing: the last line of the file it was read from.

    Returns:
        The report; it is the first fault that it names.
    """
    try:
        state = State(transcript)
    except DeltaMLError as error:
        return _report(transcript, None, Failure("header", str(error)))
    for number, line in enumerate(transcript.entries, start=1):
        if failure := _check_entry(state, number, line, public=transcript.is_public):
            return _report(transcript, state, failure)
    try:
        _finish(state)
        if closing is not None and closing != Closing(len(transcript), state.record.hashes[-1], transcript.seed):
            raise Fault("hash", "the messages or the header are not those whose number and hash the last line states")
        if statement is not None:
            _check_statement(state, transcript, statement)
        if payouts is not None:
            _check_payouts(state, payouts, minimum_wei, shares_bps)
    except Fault as fault:
        return _report(transcript, state, Failure(fault.check, str(fault)))
    except TermsError as error:
        return _report(transcript, state, Failure("payouts", str(error)))
    return _report(transcript, state, None)


def audit_file(
    path: Path,
    *,
    public: bool = False,
    statement: Statement | None = None,
    payouts: Payouts | None = None,
    minimum_wei: int = 0,
    shares_bps: tuple[int, int, int] = (7000, 2000, 1000),
) -> AuditReport:
    """Check a stored transcript.

    Args:
        path: the file.
        public: check only what its public part shows, also of a full one.
        statement: what the contract has as the result.
        payouts: what it credited.
        minimum_wei: the request's minimum reward.
        shares_bps: its shares of trainers, validators and aggregator.
    """
    try:
        transcript, closing = load_with_closing(path)
    except TranscriptError as error:
        return AuditReport(0, 0, (), (), Failure("file", str(error)))
    if public and not transcript.is_public:
        try:
            transcript, closing = transcript.public(), Closing(closing.entries, closing.hash, b"")
        except MessageError:
            return audit(transcript, closing=closing)  # which says what cannot be read, and where
    return audit(transcript, statement=statement, payouts=payouts, minimum_wei=minimum_wei, shares_bps=shares_bps, closing=closing)


def _check_entry(state: State, number: int, line: bytes, *, public: bool) -> Failure | None:
    try:
        entry = read_entry(line)
        message = entry.open() if isinstance(entry, SignedMessage) else None
        if message is None and not public:
            raise Fault("form", "it is sealed, but the record is not the public part")
        if message is not None and public and not is_public(message):
            raise Fault("form", "it is shown, but messages of its kind are not for everybody")
        state.record.add(entry, message)
        if message is not None:
            check(state, message)
    except Fault as fault:
        return _failure(fault.check, fault, number, line)
    except SignatureError as error:
        return _failure("signature", error, number, line)
    except DeltaMLError as error:
        return _failure("content", error, number, line)
    return None


def _failure(check: str, reason: Exception, number: int, line: bytes) -> Failure:
    """With the message's own words about itself, if it has any, whoever signed them."""
    try:
        entry = read_entry(line)
        message = decode(entry.message) if isinstance(entry, SignedMessage) else None
    except MessageError:
        message = None
    if message is None:
        return Failure(check, str(reason), number)
    return Failure(check, str(reason), number, message.kind, message.round, message.sender)


def _finish(state: State) -> None:
    if state.failed:
        raise Fault("completeness", state.failed)
    state.dropping.complete()
    missing = len(set(state.validators) - state.proposed)
    if missing:
        raise Fault("completeness", f"the record ends before {missing} validators were proposed a result")
    if 2 * len(state.approved) <= len(state.header.validators):
        raise Fault("completeness", f"{len(state.approved)} of {len(state.header.validators)} validators approved: no majority")


def _check_statement(state: State, transcript: Transcript, statement: Statement) -> None:
    proposal, metric = state.proposal, dict(state.history)[state.terms.rounds]
    assert proposal is not None  # or the state is not at its end
    claims: dict[str, tuple[object, object]] = {
        "request": (str(statement.request), transcript.header.request),
        "round": (statement.round, proposal.round),
        "modulus": (statement.modulus_hash, modulus_hash(state.key.modulus)),
        "weights": (statement.weights_hash.hex(), proposal.weights_hash),
        "metric's ciphertext": (statement.metric_hash.hex(), proposal.metric_hash),
        "scale": (statement.scale, 2 * metric.scale),
        "rows": (statement.rows, metric.rows),
        "initial error": (statement.initial_mse, proposal.initial),
        "final error": (statement.final_mse, proposal.final),
        "gains": (statement.gains, proposal.gains),
        "transcript": (statement.transcript_hash.hex(), proposal.transcript_hash),
    }
    for name, (claimed, found) in claims.items():
        if claimed != found:
            raise Fault("statement", f"the contract's {name} is another than the record's")
    state.counts["statement"] = 1


def _check_payouts(state: State, payouts: Payouts, minimum_wei: int, shares_bps: tuple[int, int, int]) -> None:
    proposal = state.proposal
    assert proposal is not None  # or the state is not at its end
    escrow_wei = sum(payouts.trainers_wei) + sum(payouts.validators_wei) + payouts.aggregator_wei + payouts.refund_wei
    due = split_escrow(
        escrow_wei=escrow_wei,
        initial=proposal.initial,
        final=proposal.final,
        gains=proposal.gains,
        validators=len(state.header.validators),
        minimum_wei=minimum_wei,
        shares_bps=shares_bps,
    )
    if payouts != due:
        raise Fault("payouts", f"the gains make {due}, but what was credited is {payouts}")
    state.counts["payouts"] = 1


def _report(transcript: Transcript, state: State | None, failure: Failure | None) -> AuditReport:
    shown = sum(line.startswith(b'{"message":') for line in transcript.entries)
    beyond = ["what owners computed from their rows"]
    if transcript.is_public:
        beyond.append("what sealed messages hold; the full record, which the aggregator keeps, shows it")
    elif state is not None and state.terms.metrics == "noise":
        beyond.append("what the buyer decrypted: this measurement and this refresh have no proof of it")
    checked: list[str] = []
    if state is not None:
        checked.append(f"signatures, order and schedule of {len(transcript.header.participants)} participants hold")
        checked.append(", ".join(f"{name} {count}" for name, count in state.counts.items()))
        if state.history:
            checked.append(f"MSE {state.history[0][1].mse:.6g} to {state.history[-1][1].mse:.6g}")
    return AuditReport(len(transcript), len(transcript) - shown, tuple(checked), tuple(beyond), failure)
