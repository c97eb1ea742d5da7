"""Making a node of each role, and running one in a thread: in a notebook's kernel instead of a process of its own.

    hosted = host(home, password)
    hosted.start()
    ...
    hosted.stop()

A kernel that ends without `stop` leaves what a killed process leaves: the next one takes everything up again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deltaml_core.chain.connection import connect
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.types import Role
from deltaml_core.errors import LeaseError, NodeError
from deltaml_core.node.aggregator import AggregatorNode, Server, TakeOnRule
from deltaml_core.node.base import Identity, Node
from deltaml_core.node.buyer import BuyerNode
from deltaml_core.node.home import Home
from deltaml_core.node.lines import Connect, description, url_of
from deltaml_core.node.offer import Offer
from deltaml_core.node.owner import AnswerRule, OwnerNode
from deltaml_core.node.privacy import Choice
from deltaml_core.ports import free_port
from deltaml_core.store.book import Book
from deltaml_core.store.database import Database
from deltaml_core.transport.base import Transport
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.server import Certificate, HttpServer

if TYPE_CHECKING:
    from deltaml_core.transport.nats.client import NatsTransport

CONTRACT_VARIABLE = "DELTAML_CONTRACT"

log = logging.getLogger(__name__)

IdentityOf = Callable[[str], Identity]
"""Makes an identity that says this about itself on the chain."""


def owner_node(
    identity: Identity,
    files: Sequence[Path] = (),
    *,
    rule: AnswerRule = AnswerRule.ASK,
    aggregators: Collection[str] = (),
    privacy: Choice = None,
    authority: Path | None = None,
    insecure: bool = False,
    over_broker: bool = False,
) -> OwnerNode:
    """A data owner's node.

    Args:
        identity: who it is.
        files: the data sets, comma-separated with a header.
        rule: how requests are answered.
        aggregators: as in `OwnerNode`.
        privacy: likewise.
        authority: a PEM file of certificates to trust instead of the system's.
        insecure: allow connections to other machines without TLS.
        over_broker: whether messages go over the aggregators' brokers (`NatsTransport`) instead of their HTTP servers.

    Raises:
        DataError, StoreError, PrivacyError: a file, the store or the choice of privacy cannot be used.
        MissingExtraError: the broker's client is not installed.
    """
    transport = connecting(identity, authority, insecure, over_broker)
    return OwnerNode(identity, transport, files, rule=rule, aggregators=aggregators, privacy=privacy)


def buyer_node(
    identity: Identity,
    password: str,
    offers: Sequence[Offer] = (),
    *,
    confirms: bool = False,
    authority: Path | None = None,
    insecure: bool = False,
    over_broker: bool = False,
) -> BuyerNode:
    """A model buyer's node; arguments as in `BuyerNode`, `HttpTransport` and `owner_node`.

    Raises:
        StoreError: the store cannot be used.
        MissingExtraError: the broker's client is not installed.
    """
    return BuyerNode(identity, connecting(identity, authority, insecure, over_broker), password, offers, confirms=confirms)


def aggregator_node(
    identity_of: IdentityOf,
    name: str,
    *,
    port: int,
    host: str = "127.0.0.1",
    url: str | None = None,
    certificate: Certificate | None = None,
    rule: TakeOnRule = TakeOnRule.ASK,
    broker: str | None = None,
    authority: Path | None = None,
    insecure: bool = False,
) -> AggregatorNode:
    """A federated aggregator's node with its HTTP server.

    Args:
        identity_of: makes its identity.
        name: what others are shown.
        port: where it listens.
        host: on which interface.
        url: where others reach it, when that is not where it listens.
        certificate: for https.
        rule: how requests are answered.
        broker: URL of its NATS server, for participants who prefer that; its configuration comes from `deltaml broker`.
        authority: a PEM file of certificates to trust instead of the system's, for the broker.
        insecure: allow a broker on another machine without TLS.

    Raises:
        StoreError: the store cannot be used.
        NodeError: no broker's URL, or in the clear to another machine.
        MissingExtraError: the broker's client is not installed.
    """
    public = url or f"{'https' if certificate else 'http'}://{host}:{port}"

    def serve(node: AggregatorNode) -> Server:
        relay = Relay(node.mail, node.wallet.address, node.participants, node.register_owner)
        chain_id = node.marketplace.chain_id
        if broker is None:
            return HttpServer(relay, chain_id, host=host, port=port, url=public, certificate=certificate)
        from deltaml_core.transport.nats.bridge import Bridge
        from deltaml_core.transport.nats.keys import BrokerKeys

        keys = BrokerKeys.of(node.wallet)
        bridge = Bridge(relay, node.mail, keys, broker, authority=authority, insecure=insecure)
        return bridge.beside(HttpServer(relay, chain_id, host=host, port=port, url=public, certificate=certificate, broker=bridge))

    return AggregatorNode(identity_of(description(name, public)), serve, rule=rule)


class HostedNode:
    """A node in a thread of this process.

    Attributes:
        node: the node itself.
        error: what ended it; None while it runs, or when it was stopped.
    """

    def __init__(self, node: Node) -> None:
        """`start` begins."""
        self.node = node
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=node.role_name, daemon=True)

    def start(self) -> None:
        """Take part from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take part no longer; returns when the store is closed."""
        self.node.stop()
        if self._thread.ident is None:
            self.node.database.close()
        else:
            self._thread.join()

    @property
    def is_running(self) -> bool:
        """Whether it takes part now."""
        return self._thread.is_alive()

    @property
    def runs_elsewhere(self) -> bool:
        """Whether it ended because a process of its own runs this identity."""
        return isinstance(self.error, LeaseError)

    def _run(self) -> None:
        try:
            self.node.run()
        except Exception as error:  # whatever ended it is for whoever hosts it to see: nobody else looks at a thread
            self.error = error
            if not self.runs_elsewhere:
                log.exception("the %s's node has ended", self.node.role_name)


def host(home: Home, password: str, *, name: str = "", files: Sequence[Path] = (), keep_earnings: bool = True) -> HostedNode:
    """The node of a home, made for this process; its role is the one it always had.

    Args:
        home: where it lives.
        password: opens its wallet and keys.
        name: what others are shown; by default the name of its folder.
        files: an owner's data sets, beside those it had.
        keep_earnings: whether a person withdraws what it earned.

    Raises:
        WrongPasswordError, KeystoreError: the password does not open the wallet.
        NodeError: the home has no role yet, or no market is stated.
        ChainError: the chain does not answer.
        StoreError, DataError: the store or a file cannot be used.
    """
    role = _role(home)
    wallet, name = home.wallet(password), name or home.path.name
    contract = os.environ.get(CONTRACT_VARIABLE)
    if not contract:
        raise NodeError(f"no marketplace is stated: set {CONTRACT_VARIABLE}")
    marketplace = Marketplace(connect(), contract)

    def identity_of(text: str) -> Identity:
        return Identity(home=home, wallet=wallet, marketplace=marketplace, description=text, withdraws=not keep_earnings)

    match role:
        case Role.DATA_OWNER:
            return HostedNode(owner_node(identity_of(name), files))
        case Role.MODEL_BUYER:
            return HostedNode(buyer_node(identity_of(name), password))
        case Role.FEDERATED_AGGREGATOR:
            return HostedNode(aggregator_node(identity_of, name, port=_port_of(marketplace, wallet.address)))


def _role(home: Home) -> Role:
    database = Database(home.store)
    try:
        role = Book(database).fact("role")
    finally:
        database.close()
    if role is None:
        raise NodeError(f"nobody has lived in {home.path} yet: start `deltaml owner`, `buyer` or `aggregator` there first")
    return Role[role]


def _port_of(marketplace: Marketplace, aggregator: str) -> int:
    """The port others know it by; a free one while it is not registered."""
    if any(member.address == aggregator for member in marketplace.members(Role.FEDERATED_AGGREGATOR)):
        address = urlsplit(url_of(marketplace, aggregator))
        if address.hostname in ("127.0.0.1", "localhost") and address.port is not None:
            return address.port
        raise NodeError(f"others reach this aggregator at {address.geturl()}, which is not this page: start `deltaml aggregator` there")
    return free_port()


def connecting(identity: Identity, authority: Path | None, insecure: bool, over_broker: bool) -> Connect:
    """How a participant reaches an aggregator; arguments as in `owner_node`."""
    way: type[HttpTransport] | type[NatsTransport] = HttpTransport
    if over_broker:
        from deltaml_core.transport.nats.client import NatsTransport

        way = NatsTransport

    def connect_to(aggregator: str, url: str) -> Transport:
        return way(url, identity.wallet, identity.marketplace.chain_id, authority=authority, insecure=insecure)

    return connect_to
