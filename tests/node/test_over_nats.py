"""A whole market whose messages go over a NATS server: nodes as the command line makes them, and the broker killed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import oracle
from market import ITERATIONS, PASSWORD, ROUNDS, Market, close_to, wait_until

from deltaml_core.chain import Status
from deltaml_core.node.aggregator import TakeOnRule
from deltaml_core.node.buyer import BuyerNode
from deltaml_core.node.hosting import aggregator_node, connecting, owner_node
from deltaml_core.node.offer import Offer
from deltaml_core.node.owner import AnswerRule
from deltaml_core.transport.nats.keys import BrokerKeys
from deltaml_core.transport.nats.process import NatsServer

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


@pytest.fixture
def nats(market: Market, tmp_path: Path) -> Iterator[NatsServer]:
    folder = tmp_path / "nats"
    folder.mkdir()
    with NatsServer(BrokerKeys.of(market.wallet("aggregator")), folder) as server:
        yield server
        market.close()  # while the broker is there


def open_market(market: Market, nats: NatsServer, over_broker: tuple[int, ...] = (1, 2, 3)) -> Offer:
    """Everybody but the buyer takes part; owners that are not over the broker are at the aggregator's own server."""
    port = int(market.url.rpartition(":")[2])
    identity_of = lambda text: market.identity("aggregator", text)  # noqa: E731
    market.start("aggregator", aggregator_node(identity_of, "ours", port=port, rule=TakeOnRule.ALL, broker=nats.url))
    for number in (1, 2, 3):
        name = f"owner-{number}"
        chosen = {"rule": AnswerRule.MATCH, "aggregators": [market.address("aggregator")], "over_broker": number in over_broker}
        market.start(name, owner_node(market.identity(name), [market.file(number)], **chosen))
    offer = market.offer()
    connect = connecting(market.identity("buyer"), None, False, True)
    market.start("buyer", BuyerNode(market.identity("buyer"), connect, PASSWORD, [offer], confirms=True, iterations=ITERATIONS))
    return offer


def check_model(market: Market, offer: Offer) -> None:
    market.reaches(Status.SETTLED)
    weights, _ = oracle(market.shards, [1], ROUNDS, offer.terms.step)
    assert market.model() == close_to(weights)


def test_a_request_is_played_over_a_broker_that_is_killed_on_the_way(market: Market, nats: NatsServer) -> None:
    offer = open_market(market, nats)
    mail = market.running["aggregator"].node.mail
    wait_until(lambda: mail.said("1", market.address("owner-1")), "the first owner's report for work")
    nats.kill()
    nats.start()
    check_model(market, offer)
    wait_until(market.home("aggregator").transcript(1).exists, "the record")
    registered = [peer.address for peer in market.running["aggregator"].node.book.peers()]
    assert {market.address(f"owner-{number}") for number in (1, 2, 3)} <= set(registered)


def test_owners_at_the_server_and_owners_at_the_broker_train_together(market: Market, nats: NatsServer) -> None:
    check_model(market, open_market(market, nats, over_broker=(1,)))
