"""Owners that add noise, as nodes: the model is trained on the noise drawn at acceptance, whoever was killed since; budgets refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from market import ETHER, PASSWORD, Market, Running, wait_until

from deltaml_core import models
from deltaml_core.chain import Status
from deltaml_core.chain.types import Role
from deltaml_core.cli import main
from deltaml_core.node import logs
from deltaml_core.node.lines import Lines
from deltaml_core.node.owner import AnswerRule, OwnerNode
from deltaml_core.node.privacy import Choice, PrivacyRule
from deltaml_core.node.status import status
from deltaml_core.privacy import Guarantee, Release, epsilon_of, scale_for
from deltaml_core.statistics import Column, Requirements
from deltaml_core.store.privacy import Charge, PrivacyLedger
from deltaml_core.terms import TrainingTerms
from deltaml_core.views.owner_desk import OwnerDesk
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Session, Surroundings

RULE = PrivacyRule(Guarantee(2.0), 3.0)


def start(market: Market, number: int, privacy: Choice, rule: AnswerRule = AnswerRule.MATCH) -> Running:
    name = f"owner-{number}"
    node = OwnerNode(market.identity(name), market.connect_as(name), [market.file(number)], rule=rule, privacy=privacy)
    return market.start(name, node)


def charges(running: Running) -> list[Charge]:
    return PrivacyLedger(running.node.database).standing()


def wider(terms: TrainingTerms, by: float) -> TrainingTerms:
    """The same asked with wider ranges: another question."""

    def widened(column: Column) -> Column:
        return Column(column.name, column.low - by, column.high + by)

    asked = terms.requirements
    ranges = Requirements(tuple(map(widened, asked.features)), widened(asked.target))
    return TrainingTerms(ranges, step=terms.step, rounds=terms.rounds, key_bits=terms.key_bits)


@contextmanager
def page(market: Market, name: str) -> Iterator[tuple[OwnerDesk, Callable[[], Sight]]]:
    """The owner's page, and a way to look again."""
    source = Source(Surroundings(market.ganache.url, market.marketplace.address, market.folder))
    session = Session(name, market.home(name), market.address(name), Role.DATA_OWNER, PASSWORD)
    source.log_in(session)
    yield OwnerDesk(session, source), source.look
    source.log_out()


def buttons(desk: OwnerDesk) -> dict[str, tuple[str, bool]]:
    """By request that has one, the first button of its row, and whether it can be clicked."""
    shown = {row["id"]: [(cell["action"], cell["enabled"]) for cell in row["cells"] if cell["action"]] for row in desk._table.rows}
    return {row: found[0] for row, found in shown.items() if found}


def note(running: Running, number: int) -> str:
    found = running.node.book.request(number)
    return "" if found is None or found.note is None else found.note


def test_a_training_goes_on_with_the_noise_of_its_acceptance_though_every_owner_was_killed_since(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = market.terms(rounds=2, metrics="verifiable", contributions="shapley", key_bits=2048)
    market.start_aggregator()
    with monkeypatch.context() as patched:
        patched.setattr(Lines, "need", lambda *_: None)  # nobody hears of the training yet
        owners = [start(market, number, RULE) for number in (1, 2, 3)]
        market.start_buyer(market.offer(terms))
        market.reaches(Status.TRAINING)
        before = [charges(owner) for owner in owners]
        for number in (1, 2, 3):
            market.stop(f"owner-{number}")
        market.stop("buyer")
    owners = [start(market, number, None) for number in (1, 2, 3)]  # what was chosen once stays
    market.start_buyer()
    bought = market.model()
    assert [charges(owner) for owner in owners] == before
    assert all(len(found) == 1 for found in before)
    assert [note(owner, 1) for owner in owners] == ["accepted, with epsilon 2 at delta 1e-05"] * 3

    releases = [Release.from_json(found[0].release) for found in before]
    noisy = [releases[index].for_training(terms.requirements, terms.step) for index in (0, 2)]
    weights = models.federated_descent(noisy, np.zeros(3), terms.step, 1, 2)
    assert bought == pytest.approx(weights[-1], rel=1e-5, abs=1e-6)
    measured = [releases[1].for_measuring(terms.requirements)]
    settled = market.request()
    for found, expected in ((settled.initial_mse, weights[0]), (settled.final_mse, weights[-1])):
        assert found / 10**18 == pytest.approx(models.mean_squared_error(measured, expected), rel=1e-5)

    told = status(market.home("owner-1"))
    assert told["privacy"] == {"epsilon": 2.0, "delta": 1e-5, "budget": 3.0}
    assert told["requests"][0]["privacy"] == {"epsilon": 2.0, "delta": 1e-5}
    assert told["datasets"][0]["privacy"]["spent"] == pytest.approx(2, rel=1e-3)
    assert told["datasets"][0]["privacy"]["unprotected"] == 0


def test_a_budget_that_is_spent_refuses_and_says_so(
    market: Market, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "deltaml_core")
    market.start_aggregator()
    owner = start(market, 1, RULE)
    terms = market.terms(rounds=2, metrics="verifiable", contributions="shapley", key_bits=2048)
    offers = [market.offer(wider(terms, by), escrow_wei=ETHER // 10) for by in (0.0, 1.0, 2.0, 0.0)]
    offers[3] = market.offer(wider(terms, 0.0), escrow_wei=ETHER // 5)
    market.start_buyer(*offers)
    wait_until(lambda: len([number for number in (1, 2, 3, 4) if note(owner, number)]) == 4, "an answer to each")
    wait_until(lambda: sum(note(owner, number).startswith("accepted") for number in (1, 2, 3, 4)) >= 3, "three acceptances")
    told = [note(owner, number) for number in (1, 2, 3, 4)]
    assert told[0] == told[1] == told[3] == "accepted, with epsilon 2 at delta 1e-05"  # the fourth asks what the first did
    two, three = (epsilon_of((scale_for(RULE.guarantee),) * times, 1e-5) for times in (2, 3))
    refusal = f"owner-1.csv: its privacy budget of epsilon 3 does not bear this acceptance: {two:.3g} is spent, and {three:.3g} it would be"
    assert refusal in told[2]
    assert any(refusal in record.getMessage() for record in caplog.records)
    assert market.address("owner-1") not in market.request(3).owners
    assert [charge.request for charge in charges(owner)] == [1, 2, 4]

    assert main(["status", "--home", str(market.home("owner-1").path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    said = f"privacy: epsilon {two:.3g} spent and {3 - two:.3g} left of 3, {three:.3g} spent after another acceptance with epsilon 2"
    assert f"{said} (delta 1e-05)" in shown


def test_an_owner_that_asks_is_told_when_the_budget_no_longer_suffices(market: Market) -> None:
    market.start_aggregator()
    owner = start(market, 1, PrivacyRule(Guarantee(2.0), 2.5), AnswerRule.ASK)
    terms = market.terms(rounds=2, metrics="verifiable", contributions="shapley", key_bits=2048)
    market.start_buyer(*(market.offer(wider(terms, by)) for by in (0.0, 1.0)))
    wait_until(lambda: all("deltaml answer" in note(owner, number) for number in (1, 2)), "both questions")
    assert charges(owner) == []  # a question costs nothing
    with page(market, "owner-1") as (desk, look):
        desk.show(look())
        assert buttons(desk) == {"1": ("accept", True), "2": ("accept", True)}
        question = desk._accept(2).question
        assert "Noise is added to their statistics, once: epsilon 2 at delta 1e-05 for every row." in question
        assert "spent at most epsilon 2 of its budget of 2.5; now it is 0." in question
    owner.node.book.note_request(2, answer="yes")
    wait_until(lambda: note(owner, 2).startswith("accepted") and "privacy budget" in note(owner, 1), "the second thought")
    wait_until(lambda: market.request(2).owners, "the acceptance")
    with page(market, "owner-1") as (desk, look):
        desk.show(look())
        assert buttons(desk)["1"] == ("accept", False)
        (why,) = (cell["title"] for row in desk._table.rows for cell in row["cells"] if cell["css"] == "t-cannot-accept")
        assert "its privacy budget of epsilon 2.5 does not bear this acceptance: 2 is spent" in why
    owner.node.book.note_request(1, answer="yes")
    assert market.request(1).owners == ()
    assert [charge.request for charge in charges(owner)] == [2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--epsilon", "0"], "PrivacyError: epsilon must be a number from 0.0001 to 300"),
        (["--epsilon", "1", "--delta", "0.5"], "PrivacyError: delta must be a number"),
        (["--epsilon", "5", "--privacy-budget", "2"], "PrivacyError: the privacy budget must be a number from 5"),
        (["--delta", "1e-6", "--privacy-budget", "2"], "PrivacyError: --delta and --privacy-budget go with --epsilon: state that too"),
        (["--epsilon", "off", "--delta", "1e-6"], "PrivacyError: --delta go with --epsilon"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_anything_is_opened(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["owner", "--home", str(tmp_path / "home"), *options]) == 1
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "home").exists()


def test_an_epsilon_that_is_no_number_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["owner", "--epsilon", "little"])
    assert "'little' is not a number, nor off" in capsys.readouterr().err


def test_an_owners_choice_of_privacy_stays_until_it_is_changed(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    address = market.address("owner-1")
    monkeypatch.setenv("DELTAML_PASSWORD", PASSWORD)
    monkeypatch.setattr(logs, "set_up", lambda *_: None)
    monkeypatch.setattr(OwnerNode, "run", lambda node: node.database.close())  # it is the store that is looked at
    where = ["--home", str(market.home("owner-1").path), "--rpc", market.ganache.url, "--contract", market.marketplace.address]
    kept = {"epsilon": 0.5, "delta": 1e-6, "budget": 4.0}
    chosen = ["--epsilon", "0.5", "--delta", "1e-6", "--privacy-budget", "4"]
    for options, found in ((chosen, kept), ([], kept), (["--epsilon", "off"], None), ([], None)):
        assert main(["owner", *where, *options]) == 0
        told = status(market.home("owner-1"))
        assert (told["address"], told["privacy"]) == (address, found)
