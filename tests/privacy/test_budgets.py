"""An owner's rule, its noise drawn once, and the budget of a data set over requests and restarts; in a real store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import random_shards

from deltaml_core.errors import MissingExtraError, PrivacyBudgetError, PrivacyError, TermsError, WeakPrivacyWarning
from deltaml_core.node.privacy import Accounts, Choice, PrivacyGuard, PrivacyRule
from deltaml_core.privacy import Guarantee, Release, epsilon_of, scale_for
from deltaml_core.statistics import Column, Dataset, Requirements
from deltaml_core.store.book import Book, Card
from deltaml_core.store.database import Database
from deltaml_core.store.privacy import PrivacyLedger
from deltaml_core.terms import TrainingTerms

ONE = Guarantee(1.0)
RULE = PrivacyRule(ONE, 2.0)
ROWS = Dataset.of(*random_shards(3, (20,), 2)[0])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "store.db")
    Book(opened).note_card(Card("d1", "/data/rows.csv", 20, ()))
    yield opened
    opened.close()


def terms(width: float = 2.0, **changes: Any) -> TrainingTerms:
    """Other ranges are another question."""
    ranges = Requirements((Column("x1", -width, width), Column("x2", -width, width)), Column("target", -5.0, 5.0))
    return TrainingTerms(ranges, **{"scheme": "plain", "key_bits": 512, **changes})


def guard(database: Database, choice: Choice = None) -> PrivacyGuard:
    return PrivacyGuard(choice, database, Book(database))


def accept(found: PrivacyGuard, database: Database, request: int, asked: TrainingTerms, digest: str = "d1") -> Guarantee | None:
    """As a node does: the request is noted, then the noise is drawn."""
    Book(database).note_request(request, status="OPEN", dataset=digest)
    return found.accept(request, digest, ROWS, asked)


def spent(database: Database, digest: str = "d1") -> float:
    return Accounts(database).of(digest, RULE).spent


def test_noise_is_drawn_once_and_found_again_after_a_restart(database: Database) -> None:
    assert accept(guard(database, RULE), database, 1, terms()) == ONE
    before = guard(database).release(1, "d1")
    reborn = guard(database)  # a node that is started without saying anything of privacy keeps the rule
    assert reborn.rule == RULE
    assert accept(reborn, database, 1, terms()) == ONE
    assert before is not None
    assert reborn.release(1, "d1") == before
    assert len(PrivacyLedger(database).standing()) == 1
    assert spent(database) == pytest.approx(1, rel=1e-3)


def test_what_was_recorded_outlives_a_changed_rule(database: Database) -> None:
    accept(guard(database, RULE), database, 1, terms())
    before = guard(database).release(1, "d1")
    for choice in (PrivacyRule(Guarantee(0.5), 2.0), "off"):
        changed = guard(database, choice)  # type: ignore[arg-type]
        assert accept(changed, database, 1, terms()) == ONE
        assert changed.release(1, "d1") == before


def test_the_same_question_is_answered_with_the_same_numbers_at_no_cost(database: Database) -> None:
    owner = guard(database, RULE)
    for request in range(1, 20):
        accept(owner, database, request, terms(rounds=request))
    assert {owner.release(request, "d1") for request in range(1, 20)} == {owner.release(1, "d1")}
    assert spent(database) == pytest.approx(1, rel=1e-3)


def test_other_questions_compose_until_the_budget_is_spent(database: Database) -> None:
    owner, request = guard(database, RULE), 0
    while owner.fault(request + 1, "d1", 20, terms(2.0 + request)) is None:
        request += 1
        accept(owner, database, request, terms(1.0 + request))
        assert spent(database) == epsilon_of((scale_for(ONE),) * request, 1e-5)
        assert spent(database) <= 2
    assert request == 3  # epsilon 1 three times is less than 2 by zero-concentrated accounting, and more than 2 a fourth time
    with pytest.raises(PrivacyBudgetError, match=r"its privacy budget of epsilon 2 does not bear this acceptance: 1\.8\d is spent"):
        accept(owner, database, 9, terms(99.0))
    assert owner.release(9, "d1") is None
    assert accept(owner, database, 10, terms(2.0)) == ONE  # what was answered before still is
    account = Accounts(database).of("d1", RULE)
    assert (account.bears_another, account.left) == (False, pytest.approx(2 - account.spent))
    assert account.following > 2


def test_every_data_set_has_a_budget_of_its_own_and_a_changed_file_keeps_what_it_spent(database: Database) -> None:
    book = Book(database)
    book.note_card(Card("d2", "/data/rows.csv", 21, ()))  # the same file with a row more
    book.note_card(Card("other", "/data/other.csv", 20, ()))
    accept(guard(database, RULE), database, 1, terms())
    assert spent(database, "d2") == spent(database, "d1") > 0
    assert spent(database, "other") == 0
    accept(guard(database), database, 2, terms(), "d2")  # other rows: the same question costs again
    assert spent(database, "d2") > spent(database, "other")
    assert spent(database, "d1") == epsilon_of((scale_for(ONE),) * 2, 1e-5)


def test_a_request_that_ended_before_a_seat_was_taken_costs_nothing(database: Database) -> None:
    owner, book = guard(database, RULE), Book(database)
    accept(owner, database, 1, terms())
    accept(owner, database, 2, terms(3.0))
    both = owner.standing()
    book.note_request(1, ended=True)  # cancelled, or full without this owner: nothing was ever sent
    book.note_request(2, ended=True, seat="trainer")
    assert (both, owner.standing()) == ((1, 2), (2,))
    assert spent(database) == pytest.approx(1, rel=1e-3)


def test_trainings_without_noise_are_counted_beside_the_budget(database: Database) -> None:
    book = Book(database)
    book.note_request(1, status="SETTLED", dataset="d1", seat="trainer", ended=True)
    accept(guard(database, RULE), database, 2, terms())
    book.note_request(2, seat="trainer")
    assert Accounts(database).of("d1", RULE).unprotected == 1


def test_noise_that_was_drawn_for_other_rows_is_not_used(database: Database) -> None:
    owner = guard(database, RULE)
    accept(owner, database, 1, terms())
    assert owner.release(1, "d2") is None
    assert accept(owner, database, 1, terms(), "d2") == ONE
    assert owner.release(1, "d1") is None
    assert isinstance(owner.release(1, "d2"), Release)


def test_without_a_rule_nothing_is_drawn(database: Database) -> None:
    owner = guard(database)
    assert accept(owner, database, 1, terms()) is None
    assert (owner.rule, owner.release(1, "d1"), owner.standing()) == (None, None, ())
    guard(database, RULE)
    assert guard(database, "off").rule is None
    assert guard(database).rule is None


def test_what_noise_cannot_protect_is_refused(database: Database) -> None:
    owner = guard(database, RULE)
    noise = terms(metrics="noise", contributions="leave_one_out")
    assert "residual of every row" in str(owner.fault(1, "d1", 20, noise))
    assert "could be published whole" in str(owner.fault(1, "d1", 200_000, terms()))
    with pytest.raises(TermsError):
        accept(owner, database, 1, noise)
    assert owner.fault(1, "d1", 20, terms()) is None


@pytest.mark.parametrize("budget", [0.99, 0, -1, math.nan, math.inf, 301, True, "2"])
def test_a_budget_that_cannot_be_meant_is_refused(budget: Any) -> None:
    with pytest.raises(PrivacyError, match="the privacy budget must be a number from 1, the epsilon of one acceptance, to 300"):
        PrivacyRule(ONE, budget)


def test_a_rule_that_bounds_next_to_nothing_is_warned_of(database: Database) -> None:
    with pytest.warns(WeakPrivacyWarning):
        guard(database, PrivacyRule(Guarantee(20.0), 20.0))
    assert guard(database).rule == PrivacyRule(Guarantee(20.0), 20.0)  # said once


def test_a_rule_without_opendp_is_refused_and_not_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = replace(ONE, delta=3e-7)  # nothing of it was computed before
    monkeypatch.setitem(__import__("sys").modules, "opendp.prelude", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'deltaml-core\[dp\]'"):
        guard(database, PrivacyRule(fresh))
    assert guard(database).rule is None
