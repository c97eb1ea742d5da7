"""Where the behaviour suite runs: a place lets participants of two trainings connect, over one transport or another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes

import httpx

from deltaml_core.messages import OwnerReady
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Mail
from deltaml_core.transport.base import Delivery, Transport
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.protocol import ImpatientProtocol
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.server import Certificate, HttpServer
from deltaml_core.transport.http.sign_in import Site
from deltaml_core.transport.local import LocalTransport
from deltaml_core.transport.nats.bridge import Bridge
from deltaml_core.transport.nats.client import NatsTransport
from deltaml_core.transport.nats.keys import BrokerKeys
from deltaml_core.transport.nats.process import NatsServer

CHAIN = 1337


def said(sender: LocalSigner, recipient: str, rows: int, request: str = "1") -> bytes:
    """A small signed message that carries a number."""
    return SignedMessage.of(OwnerReady(request=request, round=0, sender=sender.address, recipient=recipient, rows=rows), sender).encode()


def rows(deliveries: Sequence[Delivery]) -> list[int]:
    """The numbers that deliveries carry."""
    found = []
    for delivery in deliveries:
        message = SignedMessage.decode(delivery.data).open()
        assert isinstance(message, OwnerReady)
        found.append(message.rows)
    return found


@dataclass
class People:
    """An aggregator and two owners in training 1, the aggregator and the second in training 2, and somebody who takes no part."""

    aggregator: LocalSigner = field(default_factory=LocalSigner)
    one: LocalSigner = field(default_factory=LocalSigner)
    two: LocalSigner = field(default_factory=LocalSigner)
    stranger: LocalSigner = field(default_factory=LocalSigner)

    def participants(self, request: str) -> frozenset[str] | None:
        return {
            "1": frozenset({self.aggregator.address, self.one.address, self.two.address}),
            "2": frozenset({self.aggregator.address, self.two.address}),
        }.get(request)


class Place(ABC):
    """One transport's way to connect people."""

    def __init__(self) -> None:
        self.people = People()
        self._open: list[Transport] = []

    def connect(self, signer: LocalSigner) -> Transport:
        """A new connection of somebody."""
        transport = self._connect(signer)
        self._open.append(transport)
        return transport

    @abstractmethod
    def _connect(self, signer: LocalSigner) -> Transport: ...

    @abstractmethod
    def restart(self) -> None:
        """Whatever is between the participants ends and begins again."""

    def close(self) -> None:
        for transport in self._open:
            transport.close()


class LocalPlace(Place):
    """A mail room, which lives as long as its process."""

    def __init__(self) -> None:
        super().__init__()
        self._room = LocalTransport()
        for signer in (self.people.aggregator, self.people.one, self.people.two):
            self._room.at(signer.address)

    def _connect(self, signer: LocalSigner) -> Transport:
        return self._room.at(signer.address)

    def restart(self) -> None:
        pass  # nothing of it can end alone


class HttpPlace(Place):
    """An aggregator's server over a store in a file."""

    def __init__(self, folder: Path, certificate: Certificate | None = None, protocol: type[ImpatientProtocol] = ImpatientProtocol) -> None:
        super().__init__()
        self._folder = folder
        self._certificate = certificate
        self._protocol = protocol
        self.registered: list[str] = []
        self.start(0)

    def start(self, port: int) -> None:
        self._database = Database(self._folder / "store.db")
        self.mail = Mail(self._database)
        self.relay = Relay(self.mail, self.people.aggregator.address, self.people.participants, self.registered.append)
        self.server = HttpServer(self.relay, CHAIN, port=port, certificate=self._certificate, protocol=self._protocol)
        self.server.start()

    @property
    def port(self) -> int:
        return int(self.server.url.rpartition(":")[2])

    def _connect(self, signer: LocalSigner) -> Transport:
        return HttpTransport(self.server.url, signer, CHAIN)

    def token(self, signer: LocalSigner) -> str:
        """Sign somebody in by hand."""
        nonce = httpx.post(f"{self.server.url}/nonces").json()["nonce"]
        text = Site(self.server.url, CHAIN).text(signer.address, nonce)
        signed = {"message": text, "signature": "0x" + signer.sign_text(text).hex()}
        token: str = httpx.post(f"{self.server.url}/tokens", json=signed).json()["token"]
        return token

    def stop(self) -> None:
        self.server.stop()
        self._database.close()

    def restart(self) -> None:
        self.stop()
        self.start(self.port)

    def close(self) -> None:
        super().close()
        self.stop()


class NatsPlace(Place):
    """An aggregator's server and its broker, both over files. The aggregator of training 1 is a participant like any other here."""

    def __init__(self, folder: Path, certificate: Certificate | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._authority = certificate.chain if certificate else None
        self.keys = BrokerKeys(token_bytes(32))
        self.nats = NatsServer(self.keys, folder, certificate)
        self.host = LocalSigner()
        self.registered: list[str] = []
        self.nats.start()
        self.start(0)

    def start(self, port: int) -> None:
        """The aggregator's half."""
        self._database = Database(self._folder / "store.db")
        self.mail = Mail(self._database)
        relay = Relay(self.mail, self.host.address, self.people.participants, self.registered.append)
        self.bridge = Bridge(relay, self.mail, self.keys, self.nats.url, authority=self._authority)
        self.server = HttpServer(relay, CHAIN, port=port, broker=self.bridge)
        self.server.start()
        self.bridge.start()

    def stop(self) -> None:
        self.bridge.stop()
        self.server.stop()
        self._database.close()

    def _connect(self, signer: LocalSigner) -> Transport:
        return NatsTransport(self.server.url, signer, CHAIN, authority=self._authority)

    def restart(self) -> None:
        port = int(self.server.url.rpartition(":")[2])
        self.nats.kill()
        self.stop()
        self.start(port)
        self.nats.start()

    def close(self) -> None:
        super().close()
        self.stop()
        self.nats.stop()
