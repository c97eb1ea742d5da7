"""What must hold of a run however often it was killed: the undisturbed run's result, and nothing said, paid or sent twice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from chaos_market import NODES, TARGET_RANGE, Place, model_of
from chaos_run import Run
from sqlalchemy import select

from deltaml_core.audit import audit_file
from deltaml_core.chain import Marketplace
from deltaml_core.messages import decode
from deltaml_core.signatures import SignedMessage
from deltaml_core.store.database import Database
from deltaml_core.store.journal import Journal
from deltaml_core.store.schema import messages

_BLUR = 1e-9 * TARGET_RANGE**2
"""How far errors and gains of two runs may differ (protocol.md §5.6)."""
_MASKED = 1e-9 * TARGET_RANGE
"""How far predictions may differ where a refresh mixes masks into the weights (protocol.md §6)."""


@dataclass(frozen=True)
class Result:
    """What a run has left.

    Attributes:
        model: the coefficients, and the intercept last.
        gains: each trainer's, 18 decimals; trainers stand in the order in which they accepted.
        errors: (round, error) on the chain, 18 decimals.
        earned_wei: what each node has withdrawn.
        messages: how many messages of each (sender, recipient, kind, round) the aggregator has.
    """

    model: list[float]
    gains: dict[str, int]
    errors: dict[int, int]
    earned_wei: dict[str, int]
    messages: dict[tuple[str, str, str, int], int]


def check(run: Run, expected: Result | None) -> Result:
    """What a finished run has left, after all checks; `expected` is the undisturbed run's, None for that run itself."""
    for node in NODES:
        _check_transactions(run, node)
        _check_said_once(run.place, node)
    assert run.marketplace.balance_wei() == 0
    report = audit_file(run.place.home("aggregator").transcript(1), statement=run.marketplace.submitted(1))
    assert report.ok, str(report)
    result = _result(run)
    assert min(result.gains.values()) > 0, "payouts are to follow from what was measured"
    if expected is not None:
        _compare(run, result, expected)
    return result


def _check_transactions(run: Run, node: str) -> None:
    """The chain has what the journal has, each once."""
    wallet = run.place.wallet(node)
    database = Database(run.place.home(node).store)
    journal = Journal(database, run.marketplace, wallet).all()
    database.close()
    assert [sent.nonce for sent in journal] == list(range(run.marketplace.transaction_count(wallet.address))), node
    for sent in journal:
        receipt = run.marketplace.receipt(sent.hash)
        assert receipt is not None, (node, sent.purpose)
        assert receipt.succeeded, (node, sent.purpose)


def _check_said_once(place: Place, node: str) -> None:
    """To one message nobody gave a recipient two answers of a kind; unasked, nobody said two things of a kind and round."""
    database = Database(place.home(node).store)
    with database.reading() as connection:
        rows = connection.execute(select(messages)).all()
    database.close()
    said = defaultdict(set)
    for row in rows:
        message = decode(SignedMessage.decode(row.body).message, row.sender)
        said[row.request, row.sender, row.recipient, row.kind, row.round, message.answers].add(row.digest)
        assert row.fault is None, (node, row.kind, row.fault)
    assert [key for key, digests in said.items() if len(digests) > 1] == []


def _result(run: Run) -> Result:
    model, statement = model_of(run.place), run.marketplace.submitted(1)
    assert model is not None
    assert statement is not None
    names = {run.place.wallet(node).address: node for node in NODES}
    database = Database(run.place.home("aggregator").store)
    counts: dict[tuple[str, str, str, int], int] = defaultdict(int)
    with database.reading() as connection:
        for row in connection.execute(select(messages)):
            counts[names[row.sender], names[row.recipient], row.kind, row.round] += 1
    database.close()
    earned = {names[event.account]: event.amount_wei for event in _events(run.marketplace, "Withdrawn")}
    errors = {event.round: event.mse for event in _events(run.marketplace, "MetricRecorded")}
    trainers = (names[address] for address in run.marketplace.request(1).trainers)
    gains = dict(zip(trainers, statement.gains, strict=True))
    return Result(model, gains, errors, earned, dict(counts))


def _compare(run: Run, result: Result, expected: Result) -> None:
    kind, blur = run.place.kind, _BLUR * 10**18
    if kind.refreshes:
        model, undisturbed = (np.array(each.model) * (*kind.features, 1.0) for each in (result, expected))
        assert model == pytest.approx(undisturbed, rel=0, abs=_MASKED)
    else:
        assert result.model == expected.model
    assert result.messages == expected.messages
    assert result.errors == pytest.approx(expected.errors, rel=0, abs=blur)
    assert result.gains == pytest.approx(expected.gains, rel=0, abs=3 * blur)
    assert result.earned_wei == pytest.approx(expected.earned_wei, rel=1e-6)


def _events(marketplace: Marketplace, name: str) -> list:
    return [event for event in marketplace.events() if type(event).__name__ == name]
