"""What dashboards draw: the market as it was after one block."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenario import ETHER, Market

from deltaml_core.chain import Marketplace, Status
from deltaml_core.chain.events import Event
from deltaml_core.chain.picture import PictureReader


def test_a_picture_is_of_one_block_though_the_chain_goes_on_while_it_is_read(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    number = market.create(5 * ETHER)
    reader, read_events = PictureReader(market.contract), Marketplace.events

    def and_the_buyer_cancels(marketplace: Marketplace, first_block: int = 0, last_block: int | None = None) -> Iterator[Event]:
        yield from read_events(marketplace, first_block, last_block)
        monkeypatch.undo()
        market.contract.cancel(market.buyer, number)

    monkeypatch.setattr(Marketplace, "events", and_the_buyer_cancels)
    before, after = reader.read(), reader.read()
    assert market.contract.request(number).status is Status.CANCELLED
    assert (before.requests[number].request.status, before.requests[number].credits) == (Status.OPEN, {})
    assert (after.requests[number].request.status, after.requests[number].credits) == (Status.CANCELLED, {market.buyer.address: 5 * ETHER})
    for picture in (before, after):
        assert picture.balance_wei == picture.locked_wei + sum(picture.credits_wei.values()) == 5 * ETHER


def test_a_picture_is_the_same_object_while_nothing_happens(market: Market) -> None:
    reader = PictureReader(market.contract)
    first = reader.read()
    assert reader.read() is first
    market.node.mine()
    assert reader.read() is not first
