"""A buyer's own check of a result (T§7.1 step 9): from what it opened itself and what is on the chain, trusting nobody's word.

The buyer holds no row and no update, so it cannot recompute the training; the validators' digests and the audit of the record are for
that (`deltaml audit`). What it can recompute is everything it pays for: the errors it opened, the gains that follow from them, the
signatures, and the money.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TypeVar

from web3 import Web3

from deltaml_core import schemes
from deltaml_core.chain.events import Credited
from deltaml_core.chain.marketplace import Marketplace, Submission
from deltaml_core.chain.picture import RequestPicture
from deltaml_core.chain.refutation import opening_holds
from deltaml_core.chain.result import posted_document
from deltaml_core.chain.types import Request, Statement, metric_hash, opened_mse
from deltaml_core.contributions import GramErrors, gains
from deltaml_core.errors import NodeError
from deltaml_core.measurement import Measurement, pairs
from deltaml_core.messages import Message, OpenedSums, OpenResiduals, OpenSums, OwnerDropped, RevealNoise, Subject, decode
from deltaml_core.payouts import split_escrow
from deltaml_core.schedule import measurements, schedule
from deltaml_core.signatures import SignedMessage
from deltaml_core.store.mail import Mail
from deltaml_core.terms import RequestDocument

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it holds (None: it cannot be made from here), and what was compared."""

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True)
class Verification:
    """All checks of a result."""

    request: int
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing that could be checked fails."""
        return all(check.ok is not False for check in self.checks)


@dataclass(frozen=True)
class Opened:
    """A measurement that the buyer opened: of weights after which round, at which scale, and what came out."""

    round: int
    scale: int
    measurement: Measurement


class _Openings:
    """What the buyer opened, by what the schedule has measured at that round and scale."""

    def __init__(self, opened: Collection[Opened], document: RequestDocument) -> None:
        terms = document.terms
        self._opened = tuple(opened)
        self._moments = measurements(terms, schedule(terms, schemes.capacity(terms.scheme, terms.key_bits)))

    def of(self, subject: Subject) -> list[Opened]:
        """In the order in which they were opened."""
        return [one for one in self._opened if (one.round, one.scale) in self._moments[subject]]

    def errors(self) -> dict[int, set[int]]:
        """The federated model's, in the contract's units, by round; several where a validator was dropped and it was measured again."""
        found: dict[int, set[int]] = {}
        for one in self.of(Subject.MODEL):
            if one.measurement.models == 1:
                found.setdefault(one.round, set()).add(one.measurement.metric.units)
        return found


def verify_result(marketplace: Marketplace, picture: RequestPicture, mail: Mail, buyer: str) -> Verification:
    """Check what was submitted for a request.

    Args:
        marketplace: where it was posted.
        picture: the request, with its events.
        mail: the messages in the buyer's store.
        buyer: its address.

    Raises:
        NodeError: nothing was submitted yet.
        TermsError: the posted key is not the one whose hash the contract holds.
        ChainError: the chain does not answer.
    """
    request = picture.request
    submission = marketplace.submission(request.id)
    if submission is None:
        raise NodeError(f"no result of request {request.id} was submitted yet: there is nothing to verify")
    document = posted_document(request, picture.document)
    opened = _Openings(list(_opened(mail, request, buyer, document.terms.row_bits)), document)
    errors = opened.errors()
    checks = (
        _terms(picture, document),
        _signatures(request, submission, marketplace),
        _opening(submission, document),
        _final(submission.statement, document, errors),
        _among("the first error is what you opened", submission.statement.initial_mse, errors.get(0, set())),
        _curve(picture, errors),
        _gains(request, submission.statement, document, opened, mail, buyer),
        _money(picture, submission.statement),
    )
    return Verification(request.id, checks)


# --- the checks ---


def _terms(picture: RequestPicture, document: RequestDocument) -> Check:
    """Its key and the key's proof were compared when it was read (`posted_document`)."""
    request = picture.request
    same = Web3.keccak(text=picture.document) == request.requirements_hash
    key = f"a key of {document.modulus.bit_length()} bits with hash {request.terms.modulus_hash.hex()[:16]}…"
    return Check("the request is the one you posted", same, f"the text hashes to {request.requirements_hash.hex()[:16]}…, {key}")


def _signatures(request: Request, submission: Submission, marketplace: Marketplace) -> Check:
    statement, chain, contract = submission.statement, marketplace.chain_id, marketplace.address
    valid = [who for who, signed in submission.signatures.items() if statement.signer(signed, chain, contract) == who]
    needed = len(request.validators) // 2 + 1
    enough = len(valid) >= needed and statement.request == request.id
    detail = f"{len(valid)} valid signatures of {len(request.validators)} validators, {needed} needed"
    return Check("most validators signed it", enough, detail)


def _opening(submission: Submission, document: RequestDocument) -> Check:
    name, statement, opening = "the final error is opened with proof", submission.statement, submission.opening
    if opening is None:
        return Check(name, None, "this request's measurement proves none: its validators' signatures are all there is")
    right_key = opening.modulus == document.modulus
    right_metric = metric_hash(opening.ciphertext, opening.modulus) == statement.metric_hash
    follows = opened_mse(opening.plaintext, statement.scale, statement.rows) == statement.final_mse
    ok = right_key and right_metric and opening_holds(opening) and follows
    return Check(name, ok, f"the signed ciphertext opens to {_number(statement.final_mse)} over {statement.rows} rows")


def _final(statement: Statement, document: RequestDocument, errors: dict[int, set[int]]) -> Check:
    name, last = "the final error is what you opened", document.terms.rounds
    if statement.round != last:
        return Check(name, False, f"it states the error after round {statement.round} of {last}")
    return _among(name, statement.final_mse, errors.get(last, set()))


def _among(name: str, stated: int, opened: Collection[int]) -> Check:
    if not opened:
        return Check(name, None, "your store holds no such opening: it was made on another machine")
    return Check(name, stated in opened, f"stated {_number(stated)}, opened {', '.join(map(_number, sorted(opened)))}")


def _curve(picture: RequestPicture, errors: dict[int, set[int]]) -> Check:
    name, recorded = "the curve on the chain is what you opened", picture.recorded
    if not errors:
        return Check(name, None, "your store holds no openings: they were made on another machine")
    wrong = [number for number, mse in recorded if number in errors and mse not in errors[number]]
    if wrong:
        return Check(name, False, f"round {wrong[0]} does not agree")
    unknown = [number for number, _ in recorded if number not in errors]
    if unknown:
        return Check(name, None, f"round {unknown[0]} was recorded, and your store holds no opening of it; the others agree")
    return Check(name, True, f"{len(recorded)} recorded errors compared")


def _gains(request: Request, statement: Statement, document: RequestDocument, opened: _Openings, mail: Mail, buyer: str) -> Check:
    name, terms = "the gains follow from the coalitions' errors", document.terms
    if terms.metrics == "noise":
        return Check(name, None, "with metrics=noise a buyer is not told which coalition an error is of")
    if terms.robust:
        return Check(name, None, "with robust=True only validators know which trainer was left out")
    dropped = {message.owner for message in _handled(mail, request, buyer, OwnerDropped)}
    remaining = [trainer for trainer in request.trainers if trainer not in dropped]
    grams = [one.measurement for one in opened.of(Subject.SOLO_MODELS) if one.measurement.models == len(remaining)]
    means = [one.measurement.metric for one in opened.of(Subject.COALITION) if one.measurement.models == 1]
    if not grams or not means:
        return Check(name, None, "your store holds no Gram matrix of the trainers' own models")
    for gram in reversed(grams):
        for mean in means:
            found = gains(terms.contributions, request.trainers, GramErrors(remaining, gram, mean), (), dropped)
            if tuple(found) == statement.gains:
                count = len(pairs(len(remaining)))
                return Check(name, True, f"{2 ** len(remaining)} coalitions recomputed from {count} opened products, {terms.contributions}")
    return Check(name, False, "no errors that you opened lead to the stated gains")


def _money(picture: RequestPicture, statement: Statement) -> Check:
    request, terms = picture.request, picture.request.terms
    paid = split_escrow(
        escrow_wei=request.escrow_wei,
        initial=statement.initial_mse,
        final=statement.final_mse,
        gains=statement.gains,
        validators=len(request.validators),
        minimum_wei=terms.minimum_reward_wei,
        shares_bps=(terms.trainers_bps, terms.validators_bps, terms.aggregator_bps),
    )
    due: dict[str, int] = {}
    receivers = (*request.trainers, *request.validators, request.aggregator, request.buyer)
    for account, amount in zip(receivers, (*paid.trainers_wei, *paid.validators_wei, paid.aggregator_wei, paid.refund_wei), strict=True):
        due[account] = due.get(account, 0) + amount
    credited = picture.credits
    if not any(isinstance(event, Credited) for event in picture.events):
        detail = f"paid when the request settles; your refund will be {paid.refund_wei / 10**18:.4f} ether"
        return Check("the payouts sum to the escrow", sum(due.values()) == request.escrow_wei, detail)
    same = credited == {account: amount for account, amount in due.items() if amount}
    detail = f"{len(credited)} accounts, together {sum(credited.values())} wei of {request.escrow_wei}"
    return Check("everybody was credited what follows", same, detail)


# --- what the buyer opened ---


def _opened(mail: Mail, request: Request, buyer: str, row_bits: int) -> Iterator[Opened]:
    asked = {message.evaluation: message for message in _handled(mail, request, buyer, OpenSums)}
    for _, body in mail.record(str(request.id)):
        message = decode(SignedMessage.decode(body).message)
        if isinstance(message, OpenedSums) and message.sender == buyer and message.evaluation in asked:
            question = asked[message.evaluation]
            measured = Measurement(message.plaintexts, question.scale + row_bits, question.rows, question.models)
            yield Opened(question.round, question.scale, measured)
    residuals = {message.evaluation: message for message in _handled(mail, request, buyer, OpenResiduals)}
    for message in _handled(mail, request, buyer, RevealNoise):
        if message.evaluation in residuals:
            shown = residuals[message.evaluation]
            yield Opened(shown.round, shown.scale, Measurement((message.squared_error,), shown.scale + row_bits, sum(shown.rows)))


def _handled(mail: Mail, request: Request, buyer: str, kind: type[M]) -> Iterator[M]:
    for kept in mail.handled(str(request.id), buyer, kind.kind):
        message = decode(SignedMessage.decode(kept.body).message, kept.sender)
        if isinstance(message, kind):
            yield message


def _number(units: int) -> str:
    return f"{units / 10**18:.6f}"
