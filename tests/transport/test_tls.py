"""Over TLS: the same behaviour, for whom the certificate is one to trust."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import CHAIN, HttpPlace, rows, said

from deltaml_core.errors import NodeError, TransportError
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.server import Certificate

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    found = Certificate(folder / "chain.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=aggregator", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(found.key), "-out", str(found.chain)]
    subprocess.run(command, check=True, capture_output=True)
    return found


@pytest.fixture
def place(tmp_path: Path, certificate: Certificate) -> Iterator[HttpPlace]:
    place = HttpPlace(tmp_path, certificate)
    yield place
    place.close()


def test_messages_travel_and_close_ends_a_wait(place: HttpPlace, certificate: Certificate) -> None:
    people = place.people
    assert place.server.url.startswith("https://127.0.0.1:")
    one = HttpTransport(place.server.url, people.one, CHAIN, authority=certificate.chain)
    aggregator = HttpTransport(place.server.url, people.aggregator, CHAIN, authority=certificate.chain)
    aggregator.send(said(people.aggregator, people.one.address, 5))
    assert rows(one.receive(20)) == [5]
    for transport in (one, aggregator):
        transport.close()
    assert one.receive(20) == []


def test_a_certificate_that_is_not_trusted_is_named_at_once(place: HttpPlace) -> None:
    transport = HttpTransport(place.server.url, place.people.one, CHAIN, patience=3600)
    with pytest.raises(TransportError, match="give its authority's file"):
        transport.receive(0)
    transport.close()


def test_a_token_is_never_sent_in_the_clear_to_a_tls_port(place: HttpPlace) -> None:
    transport = HttpTransport(place.server.url.replace("https", "http"), place.people.one, CHAIN, patience=0.1)
    with pytest.raises(TransportError, match="cannot be reached"):
        transport.receive(0)
    transport.close()


def test_what_is_no_certificate_is_named(place: HttpPlace, certificate: Certificate, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for authority in (empty, tmp_path / "none.pem"):
        with pytest.raises(NodeError, match="no certificates in PEM form"):
            HttpTransport(place.server.url, place.people.one, CHAIN, authority=authority)
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context().load_cert_chain(empty, certificate.key)
