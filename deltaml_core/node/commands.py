"""A node from a terminal, until it is interrupted: what `deltaml aggregator`, `owner` and `buyer` run (`cli/nodes.py`)."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from rich.console import Console

from deltaml_core.chain.connection import connect
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.errors import ChainError, NodeError
from deltaml_core.node import logs
from deltaml_core.node.aggregator import AggregatorNode, TakeOnRule
from deltaml_core.node.base import Identity, Node
from deltaml_core.node.buyer import BuyerNode
from deltaml_core.node.home import Home, read_password
from deltaml_core.node.lines import Connect, description
from deltaml_core.node.offer import Offer
from deltaml_core.node.owner import AnswerRule, OwnerNode
from deltaml_core.transport.base import Transport
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.server import Certificate, HttpServer

CONTRACT_VARIABLE = "DELTAML_CONTRACT"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 15.0

log = logging.getLogger(__name__)


def run_aggregator(chosen: argparse.Namespace, console: Console) -> int:
    """Take requests on, relay their messages and run them."""
    if (chosen.tls_certificate is None) != (chosen.tls_key is None):
        raise NodeError("a certificate needs its key, and a key its certificate: give both --tls-certificate and --tls-key, or neither")
    certificate = Certificate(chosen.tls_certificate, chosen.tls_key) if chosen.tls_certificate else None
    scheme = "https" if certificate else "http"
    url = chosen.url or f"{scheme}://{chosen.host}:{chosen.port}"

    def make(home: Home, password: str, identity: Callable[[str], Identity]) -> Node:
        def serve(node: AggregatorNode) -> HttpServer:
            relay = Relay(node.mail, node.wallet.address, node.participants, node.register_owner)
            chain_id = node.marketplace.chain_id
            return HttpServer(relay, chain_id, host=chosen.host, port=chosen.port, url=url, certificate=certificate)

        return AggregatorNode(identity(description(chosen.name, url)), serve, rule=TakeOnRule(chosen.take_on))

    return _run(chosen, make)


def run_owner(chosen: argparse.Namespace, console: Console) -> int:
    """Answer requests, train or validate."""

    def make(home: Home, password: str, identity: Callable[[str], Identity]) -> Node:
        me = identity(chosen.name)
        rule = AnswerRule(chosen.answer)
        return OwnerNode(me, _connect(chosen, me), chosen.data, rule=rule, aggregators=chosen.aggregator)

    return _run(chosen, make)


def run_buyer(chosen: argparse.Namespace, console: Console) -> int:
    """Post requests, decrypt what the protocol asks for, receive models."""
    offers = [Offer.read(path) for path in chosen.offer]

    def make(home: Home, password: str, identity: Callable[[str], Identity]) -> Node:
        me = identity(chosen.name)
        return BuyerNode(me, _connect(chosen, me), password, offers, confirms=chosen.confirm)

    return _run(chosen, make)


def _connect(chosen: argparse.Namespace, identity: Identity) -> Connect:
    def connect_to(aggregator: str, url: str) -> Transport:
        chain_id = identity.marketplace.chain_id
        return HttpTransport(url, identity.wallet, chain_id, authority=chosen.ca_file, insecure=chosen.insecure)

    return connect_to


def _run(chosen: argparse.Namespace, make: Callable[[Home, str, Callable[[str], Identity]], Node]) -> int:
    """Unlock the home, wait for the chain, run the node until a signal stops it."""
    stopping = threading.Event()
    nodes: list[Node] = []

    def stop(number: int = 0, frame: FrameType | None = None) -> None:
        stopping.set()
        for node in nodes:
            node.stop()

    home = Home.at(chosen.home)
    logs.set_up(home.log, chosen.log_level)
    password = read_password(chosen.password_file, new=not home.keystore.exists())
    wallet = home.wallet(password)
    log.info("wallet %s", wallet.address)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    if chosen.until_input_ends:
        threading.Thread(target=_when_input_ends, args=(stop,), name="input", daemon=True).start()
    marketplace = _reach(chosen, stopping)
    if marketplace is None:
        return 0

    def identity(text: str) -> Identity:
        return Identity(home=home, wallet=wallet, marketplace=marketplace, description=text, withdraws=not chosen.keep_earnings)

    node = make(home, password, identity)
    nodes.append(node)
    if not stopping.is_set():
        node.run()
    log.info("stopped")
    return 0


def _when_input_ends(stop: Callable[[], None]) -> None:
    """Stop when whoever holds the other end of standard input has gone, however it went."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop()


def _reach(chosen: argparse.Namespace, stopping: threading.Event) -> Marketplace | None:
    """The contract, once the chain answers; None when the node is stopped before."""
    contract = chosen.contract or os.environ.get(CONTRACT_VARIABLE)
    if not contract:
        raise NodeError(f"no marketplace is stated: name its address with --contract, or set {CONTRACT_VARIABLE}")
    pause = _FIRST_PAUSE_SECONDS
    while not stopping.is_set():
        try:
            return Marketplace(connect(chosen.rpc, chosen.chain_id), contract)
        except ChainError as error:
            if not chosen.wait_for_chain:
                raise
            log.warning("waits for the chain: %s", error)
        stopping.wait(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    return None
