"""`deltaml aggregator`, `owner`, `buyer`: a node from a terminal, until it is interrupted."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
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
        return HttpTransport(url, identity.wallet, chain_id, ca_file=chosen.ca_file, insecure=chosen.insecure)

    return connect_to


def _run(chosen: argparse.Namespace, make: Callable[[Home, str, Callable[[str], Identity]], Node]) -> int:
    """Unlock the home, wait for the chain, run the node until a signal stops it."""
    stopping = threading.Event()
    nodes: list[Node] = []

    def stop(number: int, frame: FrameType | None) -> None:
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


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the nodes' subcommands."""
    aggregator = _node(commands, "aggregator", "run a Federated Aggregator's node: relays messages, averages updates, submits results")
    aggregator.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1; 0.0.0.0 for everywhere)")
    aggregator.add_argument("--port", type=int, default=8765, help="port to listen on (default 8765)")
    aggregator.add_argument("--url", help="where others reach this node, when that is not where it listens (a proxy, a public name)")
    aggregator.add_argument("--tls-certificate", type=Path, metavar="FILE", help="certificate chain for https, PEM")
    aggregator.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    aggregator.add_argument(
        "--take-on",
        choices=list(TakeOnRule),
        default=TakeOnRule.ASK,
        help="whether requests wait for `deltaml answer` or are all taken on (default ask)",
    )
    aggregator.set_defaults(run=run_aggregator)

    owner = _node(commands, "owner", "run a Data Owner's node: answers requests, trains or validates on its own rows")
    owner.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE", help="data sets, comma-separated with a header line")
    owner.add_argument(
        "--answer",
        choices=list(AnswerRule),
        default=AnswerRule.ASK,
        help="requests wait for `deltaml answer`, are accepted when a data set matches, or never (default ask)",
    )
    owner.add_argument(
        "--aggregator", action="append", default=[], metavar="ADDRESS", help="consider only this aggregator's requests; may be repeated"
    )
    owner.set_defaults(run=run_owner)

    buyer = _node(commands, "buyer", "run a Model Buyer's node: posts requests and receives models")
    buyer.add_argument(
        "--offer", type=Path, action="append", default=[], metavar="FILE", help="post the request in this file, once; may be repeated"
    )
    buyer.add_argument("--confirm", action="store_true", help="confirm results at once instead of waiting for the challenge window")
    buyer.set_defaults(run=run_buyer)
    for parser in (owner, buyer):
        parser.add_argument("--ca-file", type=Path, metavar="FILE", help="trust aggregators' certificates signed by this authority, PEM")
        parser.add_argument("--insecure", action="store_true", help="allow http:// to other machines: anybody on the way can read along")


def _node(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. It runs until SIGINT or SIGTERM.")
    add_home(parser)
    parser.add_argument("--rpc", metavar="URL", help="the chain's JSON-RPC node (default: DELTAML_RPC_URL)")
    parser.add_argument("--chain-id", type=int, help="refuse any other chain than this")
    parser.add_argument("--contract", metavar="ADDRESS", help=f"the marketplace (default: {CONTRACT_VARIABLE})")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="its first line opens the wallet (default: DELTAML_PASSWORD, or ask)")
    parser.add_argument("--name", default="", help="what others are shown")
    parser.add_argument("--keep-earnings", action="store_true", help="leave what was earned in the contract instead of withdrawing it")
    parser.add_argument("--wait-for-chain", action="store_true", help="wait when the chain does not answer at the start")
    parser.add_argument("--log-level", choices=logs.LEVELS, default="info", help="what the terminal shows (default info); the log has all")
    parser.set_defaults(json=False)
    return parser


def add_home(parser: argparse.ArgumentParser) -> None:
    """Where a node lives."""
    parser.add_argument("--home", type=Path, metavar="DIR", help="the node's folder (default: DELTAML_HOME, or ~/.deltaml)")
