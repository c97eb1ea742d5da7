"""What was asked of a node from elsewhere: once for each purpose, and what came of it."""

from __future__ import annotations

import pytest

from deltaml_core.errors import NodeError
from deltaml_core.store.database import Database
from deltaml_core.store.orders import DONE, REFUSED, WAITING, Orders


def test_the_same_purpose_is_asked_for_once(database: Database) -> None:
    orders = Orders(database)
    first = orders.place("withdraw", {}, "withdraw 1")
    assert (orders.place("withdraw", {}, "withdraw 1"), orders.waiting()) == (first, [first])
    orders.done("withdraw 1", "1 ether was withdrawn", "0xabc")
    again = orders.place("withdraw", {}, "withdraw 1")
    assert (again.state, again.note, again.transaction) == (DONE, "1 ether was withdrawn", "0xabc")
    assert orders.waiting() == []


def test_what_was_refused_can_be_asked_for_again(database: Database) -> None:
    orders = Orders(database)
    orders.place("post", {"offer": "{}"}, "post 1")
    orders.refused("post 1", "this is no offer")
    assert [(order.state, order.note) for order in orders.all()] == [(REFUSED, "this is no offer")]
    again = orders.place("post", {"offer": "{}"}, "post 1")
    assert (again.state, again.note) == (WAITING, None)


def test_orders_wait_in_the_order_in_which_they_came(database: Database) -> None:
    orders = Orders(database)
    for number in (2, 1, 3):
        orders.place("confirm", {"request": number}, f"confirm {number}")
    orders.done("confirm 1", "confirmed")
    assert [order.arguments["request"] for order in orders.waiting()] == [2, 3]
    assert orders.waiting()[0].arguments == {"request": 2}


def test_what_is_asked_for_anew_is_asked_for_as_said_now(database: Database) -> None:
    orders = Orders(database)
    orders.place("add data set", {"path": "missing.csv"}, "add")
    orders.refused("add", "it cannot be read")
    assert orders.place("add data set", {"path": "there.csv"}, "add").arguments == {"path": "there.csv"}


def test_what_waits_or_is_done_keeps_what_was_said_first(database: Database) -> None:
    orders = Orders(database)
    orders.place("confirm", {"request": 1}, "confirm")
    assert orders.place("confirm", {"request": 2}, "confirm").arguments == {"request": 1}
    orders.done("confirm", "confirmed")
    assert orders.place("confirm", {"request": 2}, "confirm").arguments == {"request": 1}


def test_an_order_says_why_it_waits(database: Database) -> None:
    orders = Orders(database)
    orders.place("withdraw", {}, "withdraw 1")
    orders.delayed("withdraw 1", "the node does not answer")
    found = orders.find("withdraw 1")
    assert found is not None
    assert (found.state, found.note) == (WAITING, "the node does not answer")
    assert orders.waiting() == [found]
    assert orders.find("withdraw 2") is None


@pytest.mark.parametrize("arguments", [{}, {"request": "1"}, {"request": None}])
def test_an_argument_that_is_missing_or_something_else_is_said(database: Database, arguments: dict[str, object]) -> None:
    order = Orders(database).place("confirm", arguments, "confirm")
    with pytest.raises(NodeError, match=r"to confirm it takes 'request' \(int\)"):
        order.argument("request", int)


def test_an_argument_is_what_was_placed(database: Database) -> None:
    assert Orders(database).place("confirm", {"request": 7}, "confirm 7").argument("request", int) == 7
