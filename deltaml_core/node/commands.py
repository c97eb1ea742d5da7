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
from deltaml_core.errors import ChainError, NodeError, PrivacyError
from deltaml_core.node import logs
from deltaml_core.node.aggregator import TakeOnRule
from deltaml_core.node.base import Identity, Node
from deltaml_core.node.home import Home, read_password
from deltaml_core.node.hosting import CONTRACT_VARIABLE, IdentityOf, aggregator_node, buyer_node, owner_node
from deltaml_core.node.offer import Offer
from deltaml_core.node.owner import AnswerRule
from deltaml_core.node.privacy import Choice, PrivacyRule
from deltaml_core.privacy import Guarantee
from deltaml_core.transport.http.server import Certificate

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 15.0

log = logging.getLogger(__name__)


def run_aggregator(chosen: argparse.Namespace, console: Console) -> int:
    """Take requests on, relay their messages and run them."""
    certificate = _certificate(chosen)

    def make(password: str, identity_of: IdentityOf) -> Node:
        return aggregator_node(
            identity_of,
            chosen.name,
            port=chosen.port,
            host=chosen.host,
            url=chosen.url,
            certificate=certificate,
            rule=TakeOnRule(chosen.take_on),
            broker=None if chosen.transport == "http" else chosen.transport,
            authority=chosen.ca_file,
            insecure=chosen.insecure,
        )

    return _run(chosen, make)


def run_broker(chosen: argparse.Namespace, console: Console) -> int:
    """Print what the nats-server of an aggregator is told; its keys follow from the wallet, so it is the same every time."""
    from deltaml_core.transport.nats.configuration import server_configuration
    from deltaml_core.transport.nats.keys import BrokerKeys

    home, certificate = Home.at(chosen.home), _certificate(chosen)
    wallet = home.wallet(read_password(chosen.password_file, new=not home.keystore.exists()))
    store, size = chosen.store.absolute(), chosen.maximum_store
    keys, listen = BrokerKeys.of(wallet), chosen.listen
    text = server_configuration(keys, wallet.address, listen=listen, store=store, maximum_store=size, certificate=certificate)
    sys.stdout.write(text)
    return 0


def _certificate(chosen: argparse.Namespace) -> Certificate | None:
    if (chosen.tls_certificate is None) != (chosen.tls_key is None):
        raise NodeError("a certificate needs its key, and a key its certificate: give both --tls-certificate and --tls-key, or neither")
    return Certificate(chosen.tls_certificate.absolute(), chosen.tls_key.absolute()) if chosen.tls_certificate else None


def run_owner(chosen: argparse.Namespace, console: Console) -> int:
    """Answer requests, train or validate."""
    privacy = _privacy(chosen)

    def make(password: str, identity_of: IdentityOf) -> Node:
        return owner_node(
            identity_of(chosen.name),
            chosen.data,
            rule=AnswerRule(chosen.answer),
            aggregators=chosen.aggregator,
            privacy=privacy,
            authority=chosen.ca_file,
            insecure=chosen.insecure,
            over_broker=chosen.transport == "nats",
        )

    return _run(chosen, make)


def _privacy(chosen: argparse.Namespace) -> Choice:
    """What the options say of noise.

    Raises:
        PrivacyError: they contradict each other.
    """
    further = {"--delta": chosen.delta, "--privacy-budget": chosen.privacy_budget}
    if chosen.epsilon is None or chosen.epsilon == "off":
        if stated := [name for name, value in further.items() if value is not None]:
            raise PrivacyError(f"{' and '.join(stated)} go with --epsilon: state that too")
        return "off" if chosen.epsilon == "off" else None
    guarantee = Guarantee(chosen.epsilon) if chosen.delta is None else Guarantee(chosen.epsilon, chosen.delta)
    return PrivacyRule(guarantee) if chosen.privacy_budget is None else PrivacyRule(guarantee, chosen.privacy_budget)


def run_buyer(chosen: argparse.Namespace, console: Console) -> int:
    """Post requests, decrypt what the protocol asks for, receive models."""
    offers = [Offer.read(path) for path in chosen.offer]

    def make(password: str, identity_of: IdentityOf) -> Node:
        me = identity_of(chosen.name)
        broker, authority, insecure = chosen.transport == "nats", chosen.ca_file, chosen.insecure
        return buyer_node(me, password, offers, confirms=chosen.confirm, authority=authority, insecure=insecure, over_broker=broker)

    return _run(chosen, make)


def _run(chosen: argparse.Namespace, make: Callable[[str, IdentityOf], Node]) -> int:
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

    node = make(password, identity)
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
