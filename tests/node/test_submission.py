"""A result is submitted with what the contract asks for, or not at all: a refused transaction costs gas, and time."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from market import Market, wait_until

from deltaml_core.chain import GanacheProcess, Marketplace, Status
from deltaml_core.messages import ApproveResult, Message
from deltaml_core.node.desk import Desk
from deltaml_core.node.owner import OwnerNode

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

_LONG_ENOUGH_TO_SUBMIT = 3.0


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Whose signatures each attempt to submit had."""
    attempts: list[set[str]] = []
    submit = Marketplace.submit_result

    def watched(self: Marketplace, wallet: Any, number: int, statement: Any, signatures: Mapping[str, bytes], opening: Any = None) -> Any:
        attempts.append(set(signatures))
        return submit(self, wallet, number, statement, signatures, opening)

    monkeypatch.setattr(Marketplace, "submit_result", watched)
    return attempts


def test_a_result_is_not_submitted_before_its_signatures_are_in_the_store(
    market: Market, submitted: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role knows of an approval before the store does; a node that looks just then waits for the store."""
    node = market.start_aggregator().node
    monkeypatch.setattr(Desk, "silent", lambda self, seconds: set())  # which it has asked before the approval comes
    take = node.mail.take
    looks: list[threading.Thread] = []

    def slow(number: int, *arguments: Any) -> None:
        (kept,) = node.mail.waiting(node.wallet.address, number - 1, 1)
        if not looks and b'"approve-result"' in kept.body.replace(b"\\", b""):
            looks.append(threading.Thread(target=node.turn))
            looks[0].start()
            looks[0].join(_LONG_ENOUGH_TO_SUBMIT)  # it is to wait for what follows
        take(number, *arguments)

    node.mail.take = slow  # type: ignore[method-assign]
    for number in (1, 2, 3):
        market.start_owner(number)
    market.start_buyer(market.offer())
    market.reaches(Status.SETTLED)
    looks[0].join()
    assert submitted == [{market.address("owner-2")}]


def test_a_result_waits_for_a_majority_whose_signatures_hold(
    ganache: GanacheProcess, tmp_path: Path, submitted: list[set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three validators one signs nothing and one something else: with the third's signature alone nothing is sent."""
    sign, goes_on = OwnerNode._signed_statement, threading.Event()

    def signed(self: OwnerNode, request: Any, role: Any, answer: Message) -> Message:
        made = sign(self, request, role, answer)
        if isinstance(made, ApproveResult) and self.wallet.address == market.address("owner-1"):
            return replace(made, statement_signature="")
        if isinstance(made, ApproveResult) and self.wallet.address == market.address("owner-2"):
            return replace(made, statement_signature="11" * 64 + "1b")
        if isinstance(made, ApproveResult):
            assert goes_on.wait(400)
        return made

    monkeypatch.setattr(OwnerNode, "_signed_statement", signed)
    with closing(Market(ganache, tmp_path, rows=(12, 9, 14, 10))) as market:
        book = market.start_aggregator().node.book
        for number in (1, 2, 3, 4):
            market.start_owner(number)
        market.start_buyer(market.offer(validators=(1, 2, 3)))
        said = "approved, but 0 of 3 validators have signed the statement"
        wait_until(lambda: (note := book.request(1)) and note.note == said, "the note", 60)
        goes_on.set()
        wait_until(lambda: (note := book.request(1)) and note.note == said.replace("0 of", "1 of"), "the count with the third's signature")
        assert submitted == []
