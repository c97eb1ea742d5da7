"""Events as dataclasses, and a stream of them that survives a restart and a reorganisation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scenario import ETHER, Market
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from deltaml_core.chain import GanacheProcess, Marketplace, Role, Wallet, connect, to_units
from deltaml_core.chain import events as kinds
from deltaml_core.chain.events import Event, MetricRecorded, Registered
from deltaml_core.chain.marketplace import artifact
from deltaml_core.chain.stream import REMEMBERED_BLOCKS, Cursor, EventStream, Reorganised


def ask(web3: Web3, method: str, parameters: list[Any]) -> Any:
    response = web3.provider.make_request(RPCEndpoint(method), parameters)
    assert "error" not in response
    return response["result"]


def names(items: list[Event | Reorganised]) -> list[str]:
    return [item.metadata for item in items if isinstance(item, Registered)]


def test_there_is_a_dataclass_with_the_right_fields_for_each_of_the_contracts_events() -> None:
    ours = {entry["name"]: entry for entry in artifact()["abi"] if entry["type"] == "event" and entry["name"] != "EIP712DomainChanged"}
    assert set(ours) == set(kinds.KINDS)
    place = set(Event.__dataclass_fields__)
    for name, entry in ours.items():
        camel = {part.replace("_", "") for part in kinds.KINDS[name].__dataclass_fields__ if part not in place}
        assert camel == {field["name"].lower() for field in entry["inputs"]}


def test_a_stream_yields_each_event_once_and_in_order(market: Market) -> None:
    request = market.in_training()
    stream = EventStream(market.contract)
    assert [type(item) for item in stream.new()][-1] is kinds.RolesDealt
    for round_number in (1, 2, 3):
        market.contract.record_metric(market.aggregator, request.id, round_number, to_units(round_number))
    assert [item.round for item in stream.new() if isinstance(item, MetricRecorded)] == [1, 2, 3]
    assert list(stream.new()) == []


def test_a_stream_tells_of_dropped_blocks_and_what_replaced_them(market: Market) -> None:
    contract, web3 = market.contract, market.web3
    wallets = [Wallet.create() for _ in range(4)]
    for wallet in wallets:
        market.node.fund(wallet.address, ETHER)
    stream = EventStream(contract)
    contract.register(wallets[0], Role.DATA_OWNER, "kept")
    assert names(list(stream.new()))[-1] == "kept"

    snapshot = ask(web3, "evm_snapshot", [])
    dropped = [contract.register(wallet, Role.DATA_OWNER, "dropped").block for wallet in wallets[1:3]]
    assert names(list(stream.new())) == ["dropped", "dropped"]
    ask(web3, "evm_revert", [snapshot])
    contract.register(wallets[3], Role.DATA_OWNER, "instead")
    first, *rest = stream.new()
    assert first == Reorganised(dropped[0])
    assert names(rest) == ["instead"]
    assert list(stream.new()) == []


def test_a_chain_that_only_lost_blocks_has_none_of_their_events(market: Market) -> None:
    stream = EventStream(market.contract)
    assert list(stream.new())
    snapshot = ask(market.web3, "evm_snapshot", [])
    before = market.web3.eth.block_number
    market.node.mine(3)
    assert list(stream.new()) == []
    ask(market.web3, "evm_revert", [snapshot])
    assert list(stream.new()) == [Reorganised(before + 1)]
    assert (stream.head.number, list(stream.new())) == (before, [])


def test_a_stream_that_was_away_for_long_goes_on_where_it_was(market: Market) -> None:
    stream = EventStream(market.contract)
    assert list(stream.new())
    market.node.mine(2 * REMEMBERED_BLOCKS)
    wallet = Wallet.create()
    market.node.fund(wallet.address, ETHER)
    market.contract.register(wallet, Role.DATA_OWNER, "meanwhile")
    assert names(list(stream.new())) == ["meanwhile"]
    assert len(stream.cursor.blocks) == REMEMBERED_BLOCKS


def test_to_follow_a_chain_takes_a_question_a_look_and_two_more_with_a_block(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    send = HTTPProvider.make_request

    def counted(provider: HTTPProvider, method: RPCEndpoint, parameters: Any) -> Any:
        asked.append(method)
        return send(provider, method, parameters)

    monkeypatch.setattr(HTTPProvider, "make_request", counted)
    stream = EventStream(Marketplace(connect(market.node.url), market.contract.address))
    assert list(stream.new())
    market.node.mine()
    asked.clear()
    assert list(stream.new()) == []
    assert asked == ["eth_getBlockByNumber", "eth_getLogs", "eth_getBlockByNumber"]
    asked.clear()
    assert list(stream.new()) == []
    assert asked == ["eth_getBlockByNumber"]


def test_a_reader_that_stops_half_way_sees_everything_again(market: Market) -> None:
    stream = EventStream(market.contract, first_block=market.web3.eth.block_number + 1)
    wallet = Wallet.create()
    market.node.fund(wallet.address, ETHER)
    market.contract.register(wallet, Role.DATA_OWNER, "again")
    items = stream.new()
    assert names([next(items)]) == ["again"]
    items.close()
    assert names(list(stream.new())) == ["again"]


def test_a_saved_cursor_goes_on_after_the_node_was_restarted(tmp_path: Path) -> None:
    wallet = Wallet.create()
    with GanacheProcess(db_path=tmp_path) as chain:
        chain.fund(wallet.address, ETHER)
        contract = Marketplace.deploy(connect(chain.url), wallet)
        contract.register(wallet, Role.DATA_OWNER, "before")
        stream = EventStream(contract)
        assert names(list(stream.new())) == ["before"]
        saved = stream.cursor.to_json()
    with GanacheProcess(db_path=tmp_path) as chain:
        contract = Marketplace(connect(chain.url), contract.address)
        contract.register(wallet, Role.MODEL_BUYER, "after")
        assert names(list(EventStream(contract, Cursor.from_json(saved)).new())) == ["after"]


@pytest.mark.parametrize("text", ["{}", "[1]", '[["a", "b"]]', "nonsense"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cursor|Expecting"):
        Cursor.from_json(text)
    assert Cursor.from_json(json.dumps([[1, "aa"]])).blocks == ((1, "aa"),)
