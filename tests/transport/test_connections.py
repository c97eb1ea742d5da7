"""Callers that send too much, too slowly, or nothing at all: they are cut, and hinder nobody else."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from places import HttpPlace, rows, said

from deltaml_core.messages import MAXIMUM_BYTES
from deltaml_core.transport.http import bodies
from deltaml_core.transport.http.protocol import ImpatientProtocol

GIGABYTE = 1 << 30
SOON = 30.0  # seconds after which a test has failed


class ShowingProtocol(ImpatientProtocol):
    """Shows whether its connections send at once."""

    at_once: ClassVar[list[bool]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.at_once.append(bool(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))


class HastyProtocol(ImpatientProtocol):
    """Cuts soon, and remembers the callers' ports whose connections have ended."""

    head_seconds = 0.3
    answer_seconds = 0.3
    ended: ClassVar[set[int]] = set()

    def connection_lost(self, exc: Exception | None) -> None:
        assert self.client is not None
        self.ended.add(self.client[1])
        super().connection_lost(exc)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[HttpPlace]:
    place = HttpPlace(tmp_path)
    yield place
    place.close()


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[HttpPlace]:
    HastyProtocol.ended.clear()
    place = HttpPlace(tmp_path, protocol=HastyProtocol)
    yield place
    place.close()


def dial(place: HttpPlace) -> socket.socket:
    return socket.create_connection(("127.0.0.1", place.port), timeout=SOON)


def head(method: str, path: str, **headers: object) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def posting(token: str, path: str, **length: object) -> bytes:
    return head("POST", path, Content_Type="application/json", Authorization=f"Bearer {token}", **length)


def rest(connection: socket.socket) -> bytes:
    """Everything the server says until it ends the connection."""
    found = bytearray()
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return bytes(found)


def check_fault(answer: bytes, status: int) -> None:
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert set(json.loads(answer.partition(b"\r\n\r\n")[2])) == {"error"}


def check_serves(place: HttpPlace) -> None:
    """Others are served meanwhile."""
    people = place.people
    number = len(place.mail.waiting(people.one.address))
    place.connect(people.aggregator).send(said(people.aggregator, people.one.address, number))
    assert rows(place.connect(people.one).receive(SOON))[-1] == number


def test_a_body_of_a_gigabyte_is_refused_when_it_is_announced(place: HttpPlace) -> None:
    token = place.token(place.people.one)
    for whose, path, status in (("", "/tokens", 413), ("", "/messages?request=1", 401), (token, "/messages?request=1", 413)):
        with dial(place) as connection:
            connection.sendall(posting(whose, path, Content_Length=GIGABYTE))
            check_fault(rest(connection), status)
    check_serves(place)


@pytest.mark.parametrize(("path", "allowed"), [("/tokens", bodies.SMALL), ("/messages?request=1", MAXIMUM_BYTES)])
def test_a_body_of_a_gigabyte_in_chunks_is_cut_when_it_passes_the_bound(place: HttpPlace, path: str, allowed: int) -> None:
    token, part, sent = place.token(place.people.one), bytes(1 << 20), 0
    with dial(place) as connection:
        connection.sendall(posting(token, path, Transfer_Encoding="chunked"))
        try:
            while sent < GIGABYTE:
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
                sent += len(part)
        except ConnectionError:
            pass
        answer = rest(connection)
    assert sent < allowed + (32 << 20)  # what the bound lets through, and what lies in sockets
    if answer:  # a reset may overtake it
        check_fault(answer, 413)
    check_serves(place)


def test_gzip_that_expands_to_a_gigabyte_is_cut_at_the_bound(place: HttpPlace) -> None:
    bomb = gzip.compress(bytes(GIGABYTE >> 3), 9)
    assert len(bomb) < 1 << 20
    headers = {"content-type": "application/json", "content-encoding": "gzip", "authorization": f"Bearer {place.token(place.people.one)}"}
    answer = httpx.post(f"{place.server.url}/messages?request=1", content=bomb, headers=headers, timeout=SOON)
    assert answer.status_code == 413
    assert httpx.post(f"{place.server.url}/tokens", content=bomb, headers=headers, timeout=SOON).status_code == 413
    check_serves(place)


def test_a_stranger_cannot_send_much_though_signed_in(place: HttpPlace) -> None:
    with dial(place) as connection:
        token = place.token(place.people.stranger)
        connection.sendall(posting(token, "/messages?request=1", Content_Length="9999999"))
        check_fault(rest(connection), 403)


def test_heads_that_dribble_or_never_come_are_cut(hasty: HttpPlace) -> None:
    with ExitStack() as stack:
        silent, begun, second, dribbling = (stack.enter_context(closing(dial(hasty))) for _ in range(4))
        begun.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        second.sendall(head("GET", "/health"))
        assert second.recv(65536).startswith(b"HTTP/1.1 200")
        second.sendall(b"GET /hea")
        dribbling.settimeout(0.02)
        said = 0
        while not _ended(dribbling, b"G"):
            said += 1
            assert said < 1000
        for connection in (silent, begun, second):
            assert b"HTTP" not in rest(connection)
    check_serves(hasty)


def _ended(connection: socket.socket, byte: bytes) -> bool:
    """Send a byte, and look whether the server has ended the connection."""
    try:
        connection.sendall(byte)
        return not connection.recv(65536)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_a_body_that_dribbles_is_cut(place: HttpPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.3)
    token = place.token(place.people.one)
    for path in ("/tokens", "/messages?request=1"):
        with dial(place) as connection:
            connection.sendall(posting(token, path, Content_Length="1000") + b"{")
            check_fault(rest(connection), 408)
    with dial(place) as connection:  # a body nobody asked for
        connection.sendall(head("GET", "/health", Content_Length="1000") + b"{")
        assert rest(connection).startswith(b"HTTP/1.1 200")
    check_serves(place)


def test_an_answer_that_nobody_reads_is_given_up(hasty: HttpPlace) -> None:
    with dial(hasty) as connection:
        for _ in range(20):
            connection.sendall(head("GET", "/docs/files/swagger-ui-bundle.js"))
        while connection.getsockname()[1] not in HastyProtocol.ended:
            check_serves(hasty)
        assert rest(connection).count(b"HTTP/1.1 200 OK") < 20


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 100,
        b"GET /" + b"a" * 20_000,
        b"POST /tokens HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_what_is_no_http_is_answered_once_and_cut(hasty: HttpPlace, data: bytes) -> None:
    with dial(hasty) as connection:
        connection.sendall(data)
        answer = rest(connection)
        if answer:
            check_fault(answer, 400)
    check_serves(hasty)


def test_a_chunk_that_is_none_ends_the_call(place: HttpPlace) -> None:
    with dial(place) as connection:
        connection.sendall(head("POST", "/tokens", Content_Type="application/json", Transfer_Encoding="chunked") + b"zz\r\n")
        check_fault(rest(connection), 400)
    check_serves(place)


def test_a_thousand_idle_connections_hinder_nobody(place: HttpPlace) -> None:
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(closing(dial(place)))
        check_serves(place)


def test_an_answers_body_does_not_wait_until_its_head_was_acknowledged(tmp_path: Path) -> None:
    ShowingProtocol.at_once.clear()
    with closing(HttpPlace(tmp_path, protocol=ShowingProtocol)) as place:
        assert httpx.get(f"{place.server.url}/health").status_code == 200
    assert ShowingProtocol.at_once == [True]
