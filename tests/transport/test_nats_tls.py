"""Over TLS, or not at all: nats-py would go on in the clear with a server that does not offer it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import CHAIN, NatsPlace, rows, said

from deltaml_core.errors import NodeError, TransportError
from deltaml_core.transport.http.server import Certificate
from deltaml_core.transport.nats import background
from deltaml_core.transport.nats.client import NatsTransport
from deltaml_core.transport.nats.connection import open_connection, trust_for
from deltaml_core.transport.nats.keys import BrokerKeys, ConnectionKey

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    found = Certificate(folder / "chain.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(found.key), "-out", str(found.chain)]
    subprocess.run(command, check=True, capture_output=True)
    return found


@pytest.fixture
def place(tmp_path: Path, certificate: Certificate) -> Iterator[NatsPlace]:
    place = NatsPlace(tmp_path, certificate)
    yield place
    place.close()


def test_messages_travel_over_a_socket_that_is_tls(place: NatsPlace) -> None:
    people = place.people
    one, aggregator = place.connect(people.one), place.connect(people.aggregator)
    aggregator.send(said(people.aggregator, people.one.address, 5))
    assert rows(one.receive(20)) == [5]
    client = one._connection._client  # type: ignore[attr-defined]
    assert client._transport._io_writer.get_extra_info("ssl_object").version() == "TLSv1.3"


def test_a_certificate_that_is_not_trusted_is_named_at_once(place: NatsPlace) -> None:
    transport = NatsTransport(place.server.url, place.people.one, CHAIN, patience=3600)
    with pytest.raises(TransportError, match="give its authority's file"):
        transport.receive(0)
    transport.close()


def test_to_a_server_without_tls_nothing_is_said(certificate: Certificate) -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                info = {"server_id": "x", "version": "2.9.10", "headers": True, "max_payload": 1 << 20, "auth_required": True, "nonce": "n"}
                connection.sendall(b"INFO " + json.dumps(info).encode() + b"\r\n")
                while data := connection.recv(4096):
                    heard.extend(data)

        serving = threading.Thread(target=serve)
        serving.start()
        url, key = f"tls://127.0.0.1:{listener.getsockname()[1]}", ConnectionKey()
        token = BrokerKeys(bytes(32)).admit("0x" + "0" * 40, key.public)
        with pytest.raises(TransportError, match="does not speak TLS"):
            background.run(open_connection(url, key, token, "_INBOX_x", trust=trust_for(url, certificate.chain), timeout=10))
        serving.join(20)
    assert not serving.is_alive()
    assert bytes(heard) == b""


def test_what_is_no_certificate_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for authority in (empty, tmp_path / "none.pem"):
        with pytest.raises(NodeError, match="no certificates in PEM form"):
            trust_for("tls://127.0.0.1", authority)
