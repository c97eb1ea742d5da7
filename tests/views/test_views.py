"""Views take plain data and say the same in pictures and in words."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from eth_typing import ChecksumAddress

from deltaml_core.chain.events import KINDS, Event
from deltaml_core.chain.types import FailureReason, Role, Statement
from deltaml_core.dictionary import DataDictionary
from deltaml_core.errors import DataError, NodeError, TermsError
from deltaml_core.node.offer import Offer
from deltaml_core.payouts import outcomes, split_escrow
from deltaml_core.store.orders import Order
from deltaml_core.views import background
from deltaml_core.views.charts import Contribution, ContributionsChart, MseChart, OutcomesChart
from deltaml_core.views.deed import Deed, Plan, outcome_of
from deltaml_core.views.event_text import accounts_of, text_of
from deltaml_core.views.formats import amount, ether, number, size, span, wei
from deltaml_core.views.payouts_table import Payout, PayoutsTable
from deltaml_core.views.request_form import RequestForm
from deltaml_core.views.source import NodeSight, Sight
from deltaml_core.views.states import LOOKS, State
from deltaml_core.views.table import Cell, Row, Table

ETHER = 10**18
SOMEBODY = ChecksumAddress("0x" + "ab" * 20)  # type: ignore[arg-type]
DICTIONARY = DataDictionary.read(Path(__file__).resolve().parents[2] / "data" / "dictionaries" / "diabetes.json")


# --- numbers ---


def test_ether_has_four_decimals_and_its_exact_wei_on_hover() -> None:
    assert ether(1234567890123456789) == "1.2346 ether"
    assert wei(1234567890123456789).replace("\u202f", "") == "1234567890123456789 wei"
    assert amount(5 * ETHER) == f'<span title="{wei(5 * ETHER)}">5.0000 ether</span>'


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90000, "1 d 1 h")])
def test_durations_are_in_two_units_at_most(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_numbers_keep_four_significant_digits() -> None:
    assert [number(3311.8561), number(0.00012346), number(12.3456)] == ["3,311.86", "0.0001235", "12.35"]
    assert [size(999), size(1500), size(2_500_000)] == ["999 B", "1.5 kB", "2.5 MB"]


def test_every_state_has_a_word_and_a_sign_of_its_own() -> None:
    assert set(LOOKS) == set(State)
    assert len({look.word for look in LOOKS.values()}) == len({look.sign for look in LOOKS.values()}) == len(LOOKS)


# --- events ---


def _value(annotation: str) -> object:
    statement = Statement(
        request=1,
        round=1,
        modulus_hash=b"",
        weights_hash=b"",
        metric_hash=b"",
        scale=1,
        rows=1,
        initial_mse=2 * ETHER,
        final_mse=ETHER,
        gains=(1,),
        transcript_hash=b"",
    )
    known: dict[str, object] = {
        "int": 3,
        "str": "text",
        "bytes": b"12",
        "ChecksumAddress": SOMEBODY,
        "Role": Role.DATA_OWNER,
        "FailureReason": FailureReason.DEADLINE_PASSED,
        "Statement": statement,
        "tuple[ChecksumAddress, ...]": (SOMEBODY,),
    }
    return known[annotation]


@pytest.mark.parametrize("kind", list(KINDS.values()), ids=lambda kind: kind.__name__)
def test_every_event_has_a_sentence_with_names_instead_of_addresses(kind: type[Event]) -> None:
    annotations = {name: text for base in reversed(kind.__mro__) for name, text in vars(base).get("__annotations__", {}).items()}
    event = kind(**{name: _value(text) for name, text in annotations.items()})
    said = text_of(event, lambda address: "Ada")
    assert said
    assert SOMEBODY not in said
    assert set(accounts_of(event)) <= {SOMEBODY}


# --- tables ---


def test_a_table_hears_only_buttons_that_it_shows() -> None:
    table, heard = Table("Requests", ("request", "accept")), list[tuple[str, str]]()
    table.on_action(lambda action, row: heard.append((action, row)))
    table.show(
        [Row("1", (Cell("#1"), Cell("Accept", action="accept"))), Row("2", (Cell("#2"), Cell("Accept", action="accept", enabled=False)))]
    )
    for action, row in (("accept", "1"), ("accept", "2"), ("accept", "3"), ("decline", "1")):
        table._receive(None, {"action": action, "row": row}, None)
    assert heard == [("accept", "1")]


def test_payouts_sum_to_the_escrow() -> None:
    table = PayoutsTable([Payout("Ada", SOMEBODY, "trainer", ETHER, 0.25), Payout("Bob", SOMEBODY, "validator", 2 * ETHER)])
    assert [row["cells"][3]["text"] for row in table.rows] == ["1.0000 ether", "2.0000 ether", "3.0000 ether"]
    assert [row["cells"][2]["text"] for row in table.rows] == ["25.0 %", "", ""]


# --- charts ---


def test_the_curve_grows_point_by_point_against_its_first_value() -> None:
    chart = MseChart(local=50.0)
    assert 'data-points="0"' in chart.words.value
    for points in ([(0, 100.0)], [(0, 100.0), (2, 40.0)]):
        chart.show(points)
        assert f'data-points="{len(points)}"' in chart.words.value
    measured, first, alone = chart.figure.data
    assert (list(measured.x), list(measured.y)) == ([0, 2], [100.0, 40.0])
    assert (list(first.y), list(alone.y)) == ([100.0, 100.0], [50.0, 50.0])
    assert "From 100.00 before training to 40 after round 2, 2 measurements; owners alone reach 50." in chart.words.value


def test_every_chart_names_its_axes() -> None:
    for chart in (MseChart(), ContributionsChart([Contribution("Ada", 0.5, ETHER)]), OutcomesChart(outcomes(ETHER, 5, [0.5]))):
        assert chart.figure.layout.xaxis.title.text
        assert chart.figure.layout.yaxis.title.text
        light = chart.figure.layout.font.color
        chart.paint(dark=True)
        assert chart.figure.layout.font.color != light


def test_outcomes_are_those_of_the_contract() -> None:
    (found,) = outcomes(5 * ETHER, 5, [0.5], minimum_wei=ETHER // 10)
    paid = split_escrow(escrow_wei=5 * ETHER, initial=1000, final=500, gains=[1, 1, 1, 1], validators=1, minimum_wei=ETHER // 10)
    assert (found.trainers_wei, found.validators_wei) == (sum(paid.trainers_wei), sum(paid.validators_wei))
    assert (found.aggregator_wei, found.refund_wei) == (paid.aggregator_wei, paid.refund_wei)


# --- forms ---


def test_the_form_makes_the_offer_that_its_fields_say() -> None:
    aggregator = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    form = RequestForm([DICTIONARY], {"Ada": aggregator}, 10 * ETHER)
    form._escrow.value, form._minimum_reward.value, form._rounds.value = "2.5", "0.1", 30
    offer = form.offer()
    assert (offer.aggregator, offer.escrow_wei, offer.minimum_reward_wei) == (aggregator, 5 * ETHER // 2, ETHER // 10)
    assert (offer.terms.rounds, len(offer.terms.requirements.features), offer.terms.requirements.target.name) == (30, 10, "progression")
    assert offer.trainers_bps + offer.validators_bps + offer.aggregator_bps == 10_000


def test_a_request_for_a_ridge_regression_states_its_penalty() -> None:
    form = RequestForm([DICTIONARY], {"Ada": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}, 10 * ETHER)
    assert (form.offer().terms.model, form.offer().terms.penalty, form._penalty.layout.display) == ("linear", 0, "none")
    form._model.value, form._penalty.value = "ridge", 0.25
    assert form._penalty.layout.display is None
    assert Offer.from_json(form.offer().to_json()).terms.penalty == 0.25
    form._model.value = "logistic"
    with pytest.raises(TermsError, match="declare 'progression' from 0 to 1"):
        form.offer()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("_escrow", "much", "no amount of ether"),
        ("_escrow", "-1", "positive amount"),
        ("_escrow", "0", "positive amount"),
        ("_trainers", 90, "more than everything"),
        ("_features", (), "choose a feature"),
    ],
)
def test_a_contradiction_is_said_in_the_form(field: str, value: object, said: str) -> None:
    form = RequestForm([DICTIONARY], {"Ada": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}, 10 * ETHER)
    getattr(form, field).value = value
    with pytest.raises(TermsError, match=said):
        form.offer()
    assert said in form._fault.value


def test_no_aggregator_is_said_before_anything_is_posted() -> None:
    with pytest.raises(TermsError, match="no aggregator is registered"):
        RequestForm([DICTIONARY]).offer()


@pytest.mark.parametrize("content", ["", "[]", '{"columns": []}', '{"columns": [{"name": "a"}]}'])
def test_a_file_that_is_no_dictionary_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "dictionary.json"
    path.write_text(content)
    with pytest.raises(TermsError, match="dictionary"):
        DataDictionary.read(path)


# --- deeds ---


def _sight(order: Order | None, process: int | None = 1) -> Sight:
    node = NodeSight(process, orders={} if order is None else {order.purpose: order})
    return Sight(market=None, node=node)  # type: ignore[arg-type]


def test_a_deed_asks_once_is_done_once_and_ends_with_what_came_of_it() -> None:
    done = list[str]()

    async def click() -> None:
        deed = Deed("Withdraw", lambda: Plan("You pay gas.", "Yes", lambda: done.append("once"), outcome_of("withdraw 1")))
        deed._button.click()
        assert "You pay gas." in deed.children[0].value
        yes = deed.children[1].children[0]
        yes.click()
        yes.click()
        deed._button.click()
        await asyncio.sleep(0.1)
        assert (deed.busy, done) == (True, ["once"])
        deed.show(_sight(None, process=None))
        assert "your node does not run" in deed._progress.value
        deed.show(_sight(Order("withdraw 1", "withdraw", {}, "done", "1.0000 ether were withdrawn.", "0x1", 0.0, 0.0)))
        assert (deed.busy, "1.0000 ether were withdrawn." in deed._progress.value) == (False, True)

    asyncio.run(click())


def test_a_deed_that_cannot_be_done_says_why() -> None:
    def refuse() -> Plan:
        raise NodeError("there is nothing to withdraw")

    deed = Deed("Withdraw", refuse)
    deed._button.click()
    assert "there is nothing to withdraw" in deed._progress.value


# --- looking ---


def test_a_poller_shows_what_is_new_and_says_when_a_trouble_is_over() -> None:
    seen, troubles = list[str](), list[str]()
    answers = iter(["a", "same", "same", DataError("the disk is full"), RuntimeError("a secret detail"), "b"])
    same = "same"

    def look() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return same if answer == "same" else answer

    async def turns() -> None:
        poller = background.Poller(look, seen.append, troubles.append)
        for _ in range(6):
            await poller.turn()

    asyncio.run(turns())
    assert seen == ["a", "same", "b"]
    assert troubles[0] == "the disk is full"
    assert "the log has the details" in troubles[1]
    assert "a secret detail" not in troubles[1]
    assert troubles[2:] == [""]
