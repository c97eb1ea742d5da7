"""The aggregator's server: what it answers, and what it refuses with which words."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from places import CHAIN, HttpPlace, said

from deltaml_core.errors import NodeError, RefusedError, TransportError
from deltaml_core.messages import InitialModel
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.transport.http import relay as relaying
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.server import Certificate, HttpServer

JSON = {"content-type": "application/json"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[HttpPlace]:
    place = HttpPlace(tmp_path)
    yield place
    place.close()


@pytest.fixture
def one(place: HttpPlace) -> Iterator[httpx.Client]:
    """Owner one's signed-in connection."""
    with httpx.Client(base_url=place.server.url, headers={"authorization": f"Bearer {place.token(place.people.one)}"}) as client:
        yield client


def post(client: httpx.Client, data: bytes, request: str = "1", **headers: str) -> httpx.Response:
    return client.post("/messages", params={"request": request}, content=data, headers={**JSON, **headers})


def check_fault(answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    assert re.search(words, answer.json()["error"])


# --- messages ----------------------------------------------------------------------------------------------------


def test_a_message_is_created_once(place: HttpPlace, one: httpx.Client) -> None:
    data = said(place.people.one, place.people.aggregator.address, 3)
    answers = [post(one, data), post(one, data), post(one, gzip.compress(data), **{"content-encoding": "gzip"})]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(201, {"new": True}), *[(200, {"new": False})] * 2]
    assert [kept.body for kept in place.mail.waiting(place.people.aggregator.address)] == [data]


def test_a_long_answer_is_compressed_for_whom_asks(place: HttpPlace, one: httpx.Client) -> None:
    people = place.people
    weights = InitialModel(
        request="1", round=0, sender=people.aggregator.address, recipient=people.one.address, weights=tuple(range(1 << 20, (1 << 20) + 500))
    )
    signed = SignedMessage.of(weights, people.aggregator)
    place.mail.say([(signed, weights)])
    plain = one.get("/messages", headers={"accept-encoding": "identity"})
    packed = one.get("/messages", headers={"accept-encoding": "gzip"})
    assert plain.json() == packed.json() == {"messages": [{"number": 1, "envelope": signed.encode().decode()}]}
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.num_bytes_downloaded < plain.num_bytes_downloaded / 2


def test_an_answer_is_bounded_and_a_long_message_comes_alone(place: HttpPlace, one: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    people = place.people
    messages = [said(people.aggregator, people.one.address, number) for number in range(5)]
    monkeypatch.setattr(relaying, "ANSWER_BYTES", 2 * len(messages[0]))
    for data in messages:
        signed = SignedMessage.decode(data)
        place.mail.keep(signed, signed.open())
    assert [entry["number"] for entry in one.get("/messages").json()["messages"]] == [1, 2]
    assert [entry["number"] for entry in one.get("/messages?after=2").json()["messages"]] == [3, 4]
    monkeypatch.setattr(relaying, "ANSWER_BYTES", 1)
    assert [entry["number"] for entry in one.get("/messages?after=3").json()["messages"]] == [4]


def test_every_fault_has_its_status_and_words(place: HttpPlace, one: httpx.Client) -> None:
    people = place.people
    aggregator = people.aggregator.address
    data = said(people.one, aggregator, 3)
    with httpx.Client(base_url=place.server.url) as stranger:
        answer = post(stranger, data)
        check_fault(answer, 401, "sign in first")
        assert answer.headers["www-authenticate"] == "Bearer"
        check_fault(stranger.get("/messages", headers={"authorization": "Bearer x"}), 401, "sign in first")
        check_fault(stranger.put("/owners/me"), 401, "sign in first")
    check_fault(post(one, data[:-1]), 400, "not a signed message in canonical form")
    check_fault(post(one, b""), 400, "not a signed message")
    check_fault(post(one, said(people.one, aggregator, 3, request="2")), 400, "another training request")
    check_fault(post(one, said(people.two, aggregator, 3)), 403, "hand over your own only")
    check_fault(post(one, said(people.one, people.stranger.address, 3)), 403, "recipient takes no part")
    check_fault(post(one, said(people.one, aggregator, 3, request="2"), request="2"), 403, "you take no part")
    check_fault(post(one, said(people.one, aggregator, 3, request="3"), request="3"), 404, "not known here")
    forged = SignedMessage(SignedMessage.decode(data).message, people.two.sign(SignedMessage.decode(data).digest)).encode()
    check_fault(post(one, forged), 403, "signature is not")
    check_fault(post(one, data, **{"content-encoding": "br"}), 415, "gzip")
    check_fault(post(one, data, **{"content-type": "text/plain"}), 415, "application/json")
    check_fault(post(one, data, **{"content-encoding": "gzip"}), 400, "not gzip")
    check_fault(post(one, gzip.compress(data)[:-1], **{"content-encoding": "gzip"}), 400, "too early")
    check_fault(post(one, gzip.compress(data) + b"x", **{"content-encoding": "gzip"}), 400, "follows")
    check_fault(one.post("/messages", content=data, headers=JSON), 422, "request: Field required")
    check_fault(post(one, data, request="1" * 201), 422, "request")
    for query in ("after=-1", f"after={2**53}", "after=x", "wait=31", "wait=nan", "wait=-1"):
        check_fault(one.get(f"/messages?{query}"), 422, query.partition("=")[0])
    check_fault(one.get("/nothing"), 404, "Not Found")
    check_fault(one.delete("/messages"), 405, "Method Not Allowed")
    assert place.mail.waiting(aggregator) == []


def test_a_sign_in_that_fails_says_why(place: HttpPlace) -> None:
    signed = {"message": "let me in", "signature": "0x" + "0" * 130}
    with httpx.Client(base_url=place.server.url) as client:
        check_fault(client.post("/tokens", json=signed), 401, "EIP-4361")
        check_fault(client.post("/tokens", json={**signed, "more": 1}), 422, "more")
        check_fault(client.post("/tokens", json={**signed, "signature": "0x00"}), 422, "signature")
        check_fault(client.post("/tokens", json=[]), 422, "dictionary|object")
        check_fault(client.post("/tokens", content=b"[" * 50_000, headers=JSON), 422, "JSON")
        check_fault(client.post("/tokens", content=b"\xff", headers=JSON), 422, "JSON")
        check_fault(client.post("/tokens", content=b" " * 65_537, headers=JSON), 413, "65536")
        check_fault(client.post("/tokens", content=json.dumps(signed)), 415, "application/json")


def test_too_much_that_nobody_took_is_refused_until_it_is_taken(
    place: HttpPlace, one: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = place.people
    first, second, third = (said(people.one, people.aggregator.address, number) for number in range(3))
    monkeypatch.setattr(relaying, "UNTAKEN_MESSAGES", 2)
    assert [post(one, data).status_code for data in (first, second)] == [201, 201]
    check_fault(post(one, third), 429, "has not been taken")
    assert post(one, first).status_code == 200
    place.mail.taken_up_to(people.aggregator.address, 1)
    assert post(one, third).status_code == 201
    monkeypatch.setattr(relaying, "UNTAKEN_MESSAGES", 100)
    monkeypatch.setattr(relaying, "UNTAKEN_BYTES", 3 * len(first) - 1)
    check_fault(post(one, said(people.one, people.aggregator.address, 4)), 429, "has not been taken")
    assert place.mail.untaken("1", people.one.address, [people.aggregator.address]) == (2, len(second) + len(third))


def test_owners_register(place: HttpPlace) -> None:
    transport = HttpTransport(place.server.url, place.people.stranger, CHAIN)
    transport.register()
    transport.close()
    assert place.registered == [place.people.stranger.address]


# --- what everybody may see --------------------------------------------------------------------------------------


def test_health_metrics_and_documentation_need_no_sign_in_and_no_other_host(place: HttpPlace, one: httpx.Client) -> None:
    data = said(place.people.one, place.people.aggregator.address, 3)
    post(one, data)
    post(one, data)
    with httpx.Client(base_url=place.server.url) as stranger:
        assert stranger.get("/health").json() == {"status": "ok", "aggregator": place.people.aggregator.address, "chain_id": CHAIN}
        stranger.get("/some/path")
        metrics = stranger.get("/metrics").text
        for line in (
            'deltaml_messages_total{kind="owner-ready"} 1.0',
            f'deltaml_message_bytes_total{{kind="owner-ready"}} {float(len(data))}',
            'deltaml_http_requests_total{route="/messages",status="201"} 1.0',
            'deltaml_http_requests_total{route="none",status="404"} 1.0',
            "deltaml_waiting_polls 0.0",
            "deltaml_tokens 1.0",
        ):
            assert line in metrics.splitlines()
        assert place.people.one.address not in metrics
        page = stranger.get("/docs").text
        assert not re.search(r"(src|href)=\"(https?:)?//", page)
        for link in re.findall(r"(?:src|href)=\"([^\"]+)\"", page):
            assert stranger.get(link).status_code == 200
        paths = stranger.get("/openapi.json").json()["paths"]
        assert {"/nonces", "/tokens", "/messages", "/owners/me", "/health", "/metrics"} == set(paths)


# --- the client --------------------------------------------------------------------------------------------------


def test_a_client_signs_in_again_when_its_token_has_ended(place: HttpPlace) -> None:
    people = place.people
    transport = place.connect(people.one)
    transport.send(said(people.one, people.aggregator.address, 1))
    place.restart()  # tokens are in memory only
    transport.send(said(people.one, people.aggregator.address, 2))
    assert len(place.mail.waiting(people.aggregator.address)) == 2


def test_a_refusal_is_final_and_carries_the_servers_words(place: HttpPlace) -> None:
    one = place.connect(place.people.one)
    with pytest.raises(RefusedError, match="not known here") as refused:
        one.send(said(place.people.one, place.people.aggregator.address, 1, request="3"))
    assert refused.value.status == 404
    with pytest.raises(RefusedError, match=r"no message|not a signed message") as refused:
        one.send(b"{}")
    assert refused.value.status == 400


def test_a_server_by_another_name_or_on_another_chain_is_not_signed_in_to(place: HttpPlace) -> None:
    for url, chain in ((place.server.url.replace("127.0.0.1", "localhost"), CHAIN), (place.server.url, CHAIN + 1)):
        transport = HttpTransport(url, place.people.one, chain)
        with pytest.raises(RefusedError, match=f"must be for {place.server.url} and chain {CHAIN}"):
            transport.receive(0)
        transport.close()


def test_nobody_there_is_a_transport_error_after_some_patience() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    transport = HttpTransport(f"http://127.0.0.1:{port}", LocalSigner(), CHAIN, patience=0.2)
    with pytest.raises(TransportError, match="cannot be reached") as failed:
        transport.receive(0)
    assert not isinstance(failed.value, RefusedError)
    transport.close()


def test_a_client_waits_for_a_server_that_comes_back(place: HttpPlace) -> None:
    people = place.people
    transport = place.connect(people.one)
    transport.receive(0)
    port = place.port
    place.stop()
    sender = threading.Thread(target=transport.send, args=(said(people.one, people.aggregator.address, 1),))
    sender.start()
    impatient = HttpTransport(place.server.url, people.one, CHAIN, patience=0.1)
    with pytest.raises(TransportError, match="cannot be reached"):
        impatient.receive(0)
    impatient.close()
    place.start(port)
    sender.join(20)
    assert not sender.is_alive()
    assert len(place.mail.waiting(people.aggregator.address)) == 1


@pytest.mark.parametrize("url", ["http://aggregator.example", "http://10.0.0.1:80", "http://0.0.0.0", "http://127.0.0.1.evil.example"])
def test_plain_http_to_another_machine_must_be_asked_for(url: str) -> None:
    with pytest.raises(NodeError, match="use https"):
        HttpTransport(url, LocalSigner(), CHAIN)
    HttpTransport(url, LocalSigner(), CHAIN, insecure=True).close()


@pytest.mark.parametrize(
    "url", ["", "aggregator.example", "ftp://x", "https://", "https://user:word@x", "https://x?y", "https://x:99999", "https://[x"]
)
def test_what_is_no_servers_url_is_named(url: str) -> None:
    with pytest.raises(NodeError, match="no server's URL"):
        HttpTransport(url, LocalSigner(), CHAIN)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"nonce":5}', b'{"nonce":"transfer 1 ether"}', b"[" * 100_000, b"\xff"])
def test_a_client_signs_nothing_that_a_stranger_makes_up(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Careful(LocalSigner):
        def sign_text(self, text: str) -> bytes:
            raise AssertionError(text)

    transport = HttpTransport("http://127.0.0.1:9", Careful(), CHAIN, patience=0.1)
    monkeypatch.setattr(transport, "_http", httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(201, content=body))))
    with pytest.raises(RefusedError, match=r"gave no nonce|cannot be signed in to"):
        transport.receive(0)
    transport.close()


# --- the server's start ------------------------------------------------------------------------------------------


def test_a_taken_port_and_a_missing_certificate_are_named(place: HttpPlace, tmp_path: Path) -> None:
    def serve(**changes: Any) -> None:
        HttpServer(place.relay, CHAIN, **changes)

    with pytest.raises(NodeError, match="choose another port"):
        serve(port=place.port)
    with pytest.raises(NodeError, match=r"cannot listen at nowhere\.invalid"):
        serve(host="nowhere.invalid")
    with pytest.raises(NodeError, match=r"certificate .* cannot be read"):
        serve(certificate=Certificate(tmp_path / "none.pem", tmp_path / "none.key"))


def test_stop_ends_waiting_calls_and_gives_the_port_back(place: HttpPlace, one: httpx.Client) -> None:
    found: list[httpx.Response] = []
    waiter = threading.Thread(target=lambda: found.append(one.get("/messages?wait=30", timeout=40)))
    waiter.start()
    while place.relay.polls == 0:
        waiter.join(0.01)
    port = place.port
    place.stop()
    waiter.join(10)
    assert not waiter.is_alive()
    assert found[0].json() == {"messages": []}
    place.start(port)
