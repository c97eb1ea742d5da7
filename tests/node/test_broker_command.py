"""`deltaml broker` writes a configuration that nats-server takes; nodes name what is wrong with a broker's URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from market import ITERATIONS, PASSWORD, Market

from deltaml_core.cli import main
from deltaml_core.errors import NodeError
from deltaml_core.node.home import Home
from deltaml_core.node.hosting import aggregator_node
from deltaml_core.transport.nats.keys import BrokerKeys


def test_the_configuration_is_of_the_homes_wallet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DELTAML_PASSWORD", PASSWORD)
    wallet = Home.at(tmp_path).wallet(PASSWORD, iterations=ITERATIONS)
    call = ["broker", "--home", str(tmp_path), "--store", str(tmp_path / "streams"), "--listen", "127.0.0.1:4333"]
    assert main(call) == 0
    text = capsys.readouterr().out
    told = BrokerKeys.of(wallet).configuration()
    assert all(value in text for value in told.values())
    assert wallet.address in text
    assert 'listen: "127.0.0.1:4333"' in text
    assert main([*call, "--tls-certificate", "chain.pem"]) == 1
    assert "a certificate needs its key" in capsys.readouterr().err


def test_a_broker_in_the_clear_on_another_machine_ends_the_aggregator_at_once(market: Market) -> None:
    with pytest.raises(NodeError, match="use tls://"):
        aggregator_node(lambda text: market.identity("aggregator", text), "ours", port=0, broker="nats://broker.example")
