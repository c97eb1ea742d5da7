"""Participants that never come back: the run goes on without them, or the request ends by the contract's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import oracle
from market import ETHER, ROUNDS, Market, close_to, wait_until

from deltaml_core.audit import audit_file
from deltaml_core.chain import GanacheProcess, Status
from deltaml_core.node.aggregator import AggregatorNode
from deltaml_core.node.owner import OwnerNode

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

MINIMUM = ETHER // 10


@pytest.fixture
def crowd(ganache: GanacheProcess, tmp_path: Path) -> Iterator[Market]:
    opened = Market(ganache, tmp_path, rows=(12, 9, 14, 10))
    opened.start_aggregator()
    for number in range(1, 5):
        opened.start_owner(number)
    yield opened
    opened.close()


def _accepted_by_all(crowd: Market) -> None:
    crowd.start_buyer(crowd.offer(crowd.terms(owner_timeout=25), minimum_reward_wei=MINIMUM))
    wait_until(lambda: crowd.marketplace.requests() and len(crowd.request().owners) == 4, "everybody's acceptance")


def test_an_owner_that_never_comes_is_dropped_and_the_rest_goes_on(crowd: Market) -> None:
    _accepted_by_all(crowd)
    crowd.stop("owner-4")
    request = crowd.reaches(Status.SETTLED)
    weights, history = oracle([shard for index, shard in enumerate(crowd.shards) if index != 3], [1], ROUNDS, crowd.terms().step)
    assert crowd.model() == close_to(weights)
    assert request.final_mse / 1e18 == pytest.approx(history[-1][1], rel=1e-6)
    assert request.gains[request.trainers.index(crowd.address("owner-4"))] == 0
    assert crowd.marketplace.credit_wei(crowd.address("owner-4")) == MINIMUM
    wait_until(crowd.home("aggregator").transcript(1).exists, "the record")
    assert audit_file(crowd.home("aggregator").transcript(1)).ok
    crowd.start_owner(4)
    wait_until(lambda: crowd.has_withdrawn("owner-4"), "the withdrawal of the one that came back")


def test_an_owner_that_vanishes_amid_the_run_is_dropped(crowd: Market) -> None:
    terms = crowd.terms(owner_timeout=25, rounds=40)
    crowd.start_buyer(crowd.offer(terms))
    crowd.reaches(Status.TRAINING)
    mail = crowd.running["aggregator"].node.mail
    wait_until(lambda: mail.progress("1")["round"] >= 3, "three rounds")
    crowd.stop("owner-3")
    crowd.reaches(Status.SETTLED)
    record = crowd.home("aggregator").transcript(1)
    wait_until(record.exists, "the record")
    report = audit_file(record)
    assert report.ok, report


@pytest.mark.parametrize(
    ("gone", "validators"),
    [(("owner-1", "owner-3", "owner-4"), (2,)), (("owner-2",), (2,)), (("buyer",), (2,)), (("aggregator",), (2,))],
    ids=["all trainers", "the only validator", "the buyer", "the aggregator"],
)
def test_with_nobody_left_for_a_part_the_request_fails_at_its_deadline(
    crowd: Market, ganache: GanacheProcess, gone: tuple[str, ...], validators: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (OwnerNode, AggregatorNode):
        monkeypatch.setattr(kind, "patience_seconds", 0.0)  # nobody leaves it to another
    crowd.start_buyer(crowd.offer(crowd.terms(owner_timeout=25, rounds=2000), minimum_reward_wei=MINIMUM, validators=validators))
    crowd.reaches(Status.TRAINING)
    for name in gone:
        crowd.stop(name)
    ganache.increase_time(3 * 24 * 3600)
    crowd.reaches(Status.FAILED)
    left = [name for name in crowd.running if name != "aggregator"]
    wait_until(lambda: crowd.has_withdrawn(*left), "the withdrawals of those who are left")
    credits_left = {name: crowd.marketplace.credit_wei(crowd.address(name)) for name in gone}
    owed = {"buyer": 3 * ETHER - 4 * MINIMUM, "aggregator": 0}
    assert credits_left == {name: owed.get(name, MINIMUM) for name in gone}
    assert crowd.marketplace.balance_wei() == sum(credits_left.values())
    assert not crowd.home("buyer").model(1).exists()
