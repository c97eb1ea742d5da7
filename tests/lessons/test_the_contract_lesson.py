"""Chapter 7: a request played on a chain, its ether at every moment, its gas, and the robberies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deltaml_core.chain.events import Credited, RequestCreated, Withdrawn
from deltaml_core.demo.result import MarketResult
from deltaml_core.lessons import escrow, robbery, stage
from deltaml_core.lessons.stage import ESCROW_WEI, Stage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def here() -> Iterator[Stage]:
    opened = Stage()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def flow(here: Stage) -> escrow.EscrowFlow:
    return escrow.EscrowFlow(here.name)


@pytest.fixture(scope="module")
def result(here: Stage, flow: escrow.EscrowFlow) -> MarketResult:
    return here.play(flow.hear, rounds=2)


def test_the_flow_ends_with_every_wei_in_a_wallet(here: Stage, flow: escrow.EscrowFlow, result: MarketResult) -> None:
    last = flow.moments[-1]
    assert (last.escrow_wei, last.locked_wei, last.held_wei) == (ESCROW_WEI, 0, 0)
    assert last.credited_wei == last.withdrawn_wei
    by_name = {here.name(account): amount for account, amount in last.credited_wei.items()}
    assert by_name.pop("buyer") == result.refund_wei
    assert by_name == {name: amount for name, amount in result.payouts_wei.items() if amount}
    amounts = [float(row["cells"][2]["text"].split()[0]) for row in stage.payouts_table(result).children[-1].rows]
    assert sum(amounts) == pytest.approx(5, abs=0.001)
    assert amounts[-1] == 0
    nodes, links = escrow.flows(last, here.name)
    assert "buyer (refund)" in nodes
    assert sum(amount for _, target, amount in links if nodes[target] == "in wallets") == ESCROW_WEI
    assert 'data-held="0"' in flow.chart.words.value


def test_at_every_moment_the_flow_is_balanced(here: Stage, flow: escrow.EscrowFlow, result: MarketResult) -> None:
    assert len(flow.moments) == len(flow.events) + 1
    for money in flow.moments:
        nodes, links = escrow.flows(money, here.name)
        for node in range(1, len(nodes)):
            into = sum(amount for _, target, amount in links if target == node)
            out = sum(amount for source, _, amount in links if source == node)
            assert nodes[node] in ("locked", "can be withdrawn", "in wallets") or into == out
        assert money.held_wei >= money.locked_wei >= 0


def test_the_slider_goes_back_to_the_moment_after_any_event(flow: escrow.EscrowFlow, result: MarketResult) -> None:
    created = next(place for place, event in enumerate(flow.events, start=1) if isinstance(event, RequestCreated))
    flow.place.value = created - 1
    assert 'data-locked="0"' in flow.chart.words.value
    flow.place.value = created
    assert f'data-locked="{ESCROW_WEI}"' in flow.chart.words.value
    assert "locks 5.0000 ether" in flow.chart.words.value
    kinds = [type(event) for event in flow.events]
    assert kinds.index(Credited) < kinds.index(Withdrawn)


def test_every_transaction_is_read_back_with_its_caller_and_gas(here: Stage, result: MarketResult) -> None:
    transactions = here.transactions()
    assert sum(one.gas for one in transactions) == result.gas
    calls = [(one.sender, one.call) for one in transactions]
    assert calls[0] == ("whoever deploys", "deploy")
    assert ("buyer", "createRequest") in calls
    assert [one.value_wei for one in transactions if one.call == "createRequest"] == [ESCROW_WEI]
    assert sum(call == "accept" for _, call in calls) == 5
    table = stage.transaction_table(transactions).children[-1]
    assert len(table.rows) == len(transactions)


def test_gas_is_priced_by_the_slider_and_the_exercise_by_hand(here: Stage, result: MarketResult) -> None:
    transactions = here.transactions()
    page = stage.GasPrice(transactions)
    page.price.value = 50
    at_50 = sum(page.chart.figure.data[0].x)
    assert at_50 == pytest.approx(result.gas * 50e-9)
    gas = sum(one.gas for one in transactions[1:])
    assert stage.gas_exercise(transactions).check(100 * gas * 10e-9 / 5).right
    assert not stage.gas_exercise(transactions).check(100 * result.gas * 10e-9 / 5).right


@pytest.mark.parametrize(
    ("plan", "stolen", "refusals"),
    [
        ("take another buyer's escrow as my refund", 10, ["NotAuthorized", "TooEarly", "NothingToWithdraw"]),
        ("claim the same pay twice", 3.5, ["NothingToWithdraw"]),
        ("write the result myself", 7, ["NotAuthorized", "NotAuthorized", "NothingToWithdraw"]),
    ],
)
def test_the_rules_of_2019_are_robbed_and_ours_are_not(here: Stage, plan: str, stolen: float, refusals: list[str]) -> None:
    old, new = robbery.ROBBERIES[plan](robbery.Scene(here.ganache))
    assert all(attempt.passed for attempt in old.attempts)
    assert old.stolen_wei == stolen * 10**18
    assert new.stolen_wei == 0
    assert [attempt.answer for attempt in new.attempts if not attempt.passed] == [f"refused: {name}" for name in refusals]


def test_the_desk_says_what_each_contract_lost(here: Stage) -> None:
    desk = robbery.RobberyDesk(here.ganache)
    assert "the rules of 2019 lost 10.0000 ether and the marketplace 0.0000 ether" in desk.verdict.value
    assert {row["cells"][0]["text"] for row in desk.table.rows} == {"rules of 2019", "marketplace"}
