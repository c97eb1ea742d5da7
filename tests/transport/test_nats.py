"""At the broker nobody reads, sends or acknowledges for another, nobody comes near the streams, and passes end."""

from __future__ import annotations

import asyncio
import gzip
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.js import JetStreamContext
from places import NatsPlace, rows, said

from deltaml_core.errors import MessageError, MissingExtraError, NodeError, RefusedError
from deltaml_core.extras import require
from deltaml_core.messages import MAXIMUM_BYTES, Train
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.transport.nats import background, bridge, keys, naming
from deltaml_core.transport.nats.configuration import server_configuration
from deltaml_core.transport.nats.connection import Connection, check_url, open_connection, pack, unpack
from deltaml_core.transport.nats.keys import ConnectionKey

SOON = 20.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[NatsPlace]:
    place = NatsPlace(tmp_path)
    yield place
    place.close()


class Bare:
    """A connection with somebody's pass, for what `NatsTransport` would never do.

    Attributes:
        refused: what the server said against it, in small letters.
    """

    def __init__(self, place: NatsPlace, participant: str | None) -> None:
        key = ConnectionKey()
        token = place.keys.admit(participant, key.public) if participant else place.keys.admit_relay(key.public)
        inbox = naming.inbox(participant or "test")
        self.connection: Connection = background.run(open_connection(place.nats.url, key, token, inbox, trust=None, timeout=SOON))
        self.client: Client = self.connection._client
        self.refused: list[str] = []

        async def told(error: Exception) -> None:
            self.refused.append(str(error).lower())

        self.client._error_cb = told

    def publish(self, subject: str, data: bytes = b"", reply: str = "") -> None:
        """Send something, and wait until the server has seen it."""

        async def work() -> None:
            await self.client.publish(subject, data, reply=reply)
            await self.client.flush()

        background.run(work())

    def subscribe(self, subject: str) -> Any:
        async def work() -> Any:
            subscription = await self.client.subscribe(subject)
            await self.client.flush()
            return subscription

        return background.run(work())

    def request(self, subject: str, data: bytes, **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return background.run(self.connection.request(subject, data, SOON, named))

    def close(self) -> None:
        background.run(self.connection.close())


@pytest.fixture
def bare(place: NatsPlace) -> Iterator[Callable[[str | None], Bare]]:
    opened: list[Bare] = []
    assert place.connect(place.people.one).receive(0) == []  # the relay is there: between accounts nobody says that it is not

    def connect(participant: str | None) -> Bare:
        opened.append(Bare(place, participant))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def counts(relay: Bare) -> dict[str, int]:
    """How many messages each stream holds."""
    streams: JetStreamContext = relay.connection.streams
    return {name: background.run(streams.stream_info(name)).state.messages for name in (naming.UP, naming.DOWN)}


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def check_refused(connected: Bare, action: str, subject: str) -> None:
    """The server forbids it, in these words."""
    getattr(connected, action)(subject)
    noun = {"publish": "publish", "subscribe": "subscription"}[action]
    words = [f'nats: permissions violation for {noun} to "{subject.lower()}"']
    eventually(lambda: connected.refused == words)


# --- permissions -------------------------------------------------------------------------------------------------


def test_an_owner_may_use_its_own_five_subjects_and_nothing_else(place: NatsPlace, bare: Callable[[str | None], Bare]) -> None:
    one, two = place.people.one.address, place.people.two.address
    forbidden = [
        *(naming.subject(kind, two) for kind in ("up", "ask", "taken", "deliver", "down")),
        *(naming.subject(kind, one) for kind in ("down", "deliver")),
        f"$JS.API.STREAM.DELETE.{naming.DOWN}",
        f"$JS.API.STREAM.MSG.GET.{naming.DOWN}",
        f"$JS.API.CONSUMER.MSG.NEXT.{naming.DOWN}.{one}",
        f"$JS.API.CONSUMER.CREATE.{naming.DOWN}.{one}.{naming.subject('down', one)}",
        f"$JS.ACK.{naming.DOWN}.{two}.1.1.1.1.0",
        "$SYS.REQ.SERVER.PING",
    ]
    for subject in forbidden:
        check_refused(bare(one), "publish", subject)
    for subject in (naming.subject("deliver", two), naming.subject("down", one), "deltaml.>", ">", f"{naming.inbox(two)}.x", "$JS.>"):
        check_refused(bare(one), "subscribe", subject)


def test_an_answer_sent_elsewhere_touches_no_stream_and_nobodys_messages(place: NatsPlace, bare: Callable[[str | None], Bare]) -> None:
    """The server sends its answers wherever the caller says, with the rights of the account that answers: so callers have another."""
    people = place.people
    one, two = people.one.address, people.two.address
    receiver = place.connect(people.two)
    assert receiver.receive(0) == []
    place.connect(people.aggregator).send(said(people.aggregator, two, 7))
    (waiting,) = receiver.receive(SOON)
    relay, attacker = bare(None), bare(one)
    eventually(lambda: counts(relay) == {naming.UP: 0, naming.DOWN: 1})
    targets = [
        f"$JS.API.STREAM.DELETE.{naming.DOWN}",
        f"$JS.API.STREAM.PURGE.{naming.DOWN}",
        f"$JS.API.CONSUMER.DELETE.{naming.DOWN}.{two}",
        f"$JS.ACK.{naming.DOWN}.{two}.1.1.1.{time.time_ns()}.0",
        naming.subject("taken", two),
        naming.subject("ask", two),
        naming.subject("up", two),
        naming.subject("deliver", two),
    ]
    for target in targets:
        for kind, data in (("up", b"{}"), ("ask", b'{"listen":true}'), ("ask", b"{}"), ("taken", b"")):
            attacker.publish(naming.subject(kind, one), data, reply=target)
    attacker.publish(naming.subject("ask", one), b'{"listen":true}')
    attacker.request(naming.subject("ask", one), b'{"listen":true}')  # answered behind all those
    eventually(lambda: counts(relay) == {naming.UP: 0, naming.DOWN: 1})
    assert [kept.number for kept in place.mail.waiting(two)] == [waiting.number]
    assert receiver.receive(0) == [waiting]


def test_no_owner_acknowledges_for_another(place: NatsPlace, bare: Callable[[str | None], Bare]) -> None:
    people = place.people
    one, two = people.one.address, people.two.address
    receiver = place.connect(people.two)
    assert receiver.receive(0) == []
    place.connect(people.aggregator).send(said(people.aggregator, two, 7))
    (waiting,) = receiver.receive(SOON)
    relay, attacker = bare(None), bare(one)
    for receipt in (
        f"$JS.ACK.{naming.DOWN}.{two}.1.1.1.1.0",
        f"$JS.API.STREAM.PURGE.{naming.DOWN}",
        f"$JS.ACK.{naming.UP}.relay.1.1.1.1.0",
        "",
    ):
        attacker.publish(naming.subject("taken", one), f"{waiting.number} {receipt}".encode(), reply=f"{naming.inbox(one)}.x")
    attacker.request(naming.subject("ask", one), b'{"listen":true}')
    assert counts(relay)[naming.DOWN] == 1
    receiver.acknowledge(waiting)
    eventually(lambda: counts(relay)[naming.DOWN] == 0)
    assert place.mail.waiting(two) == []


def test_what_an_owner_sends_past_its_client_is_checked_by_the_relay(place: NatsPlace, bare: Callable[[str | None], Bare]) -> None:
    people = place.people
    one, aggregator = people.one, people.aggregator.address
    dishonest = [
        said(people.two, aggregator, 1),
        said(one, people.stranger.address, 2),
        said(one, aggregator, 3, request="2"),
        said(one, aggregator, 4, request="unknown"),
        said(one, aggregator, 5)[:-1],
        b"",
    ]
    sender, relay = bare(one.address), bare(None)
    for data in dishonest:
        assert sender.request(naming.subject("up", one.address), data)["stream"] == naming.UP
    bomb = sender.request(naming.subject("up", one.address), b"\x1f\x8b no gzip", Content_Encoding="gzip")
    assert bomb["stream"] == naming.UP
    place.connect(one).send(said(one, aggregator, 6))
    assert rows(place.connect(people.aggregator).receive(SOON)) == [6]
    eventually(lambda: counts(relay)[naming.UP] == 0)
    assert [kept.sender for kept in place.mail.waiting(aggregator)] == [one.address]


def test_the_broker_tells_copies_by_the_messages_digest(place: NatsPlace, bare: Callable[[str | None], Bare]) -> None:
    people = place.people
    data = said(people.one, people.aggregator.address, 1)
    sender = bare(people.one.address)
    headers = {"Nats_Msg_Id": SignedMessage.decode(data).digest.hex()}
    place.connect(people.one).send(data)
    assert sender.request(naming.subject("up", people.one.address), data, **headers)["duplicate"] is True


def test_a_stranger_may_connect_and_learns_nothing(place: NatsPlace, bare: Callable[[str | None], Bare]) -> None:
    stranger = place.people.stranger.address
    asked = bare(stranger)
    ask = naming.subject("ask", stranger)
    assert asked.request(ask, b'{"participants":"1"}') == {"error": "you take no part in this training request", "status": 403}
    assert asked.request(ask, b'{"participants":"9"}')["status"] == 404
    for question in (b"", b"[]", b"{}", b'{"listen":1}', b'{"participants":1}', b'{"participants":"' + b"9" * 201 + b'"}', b"[" * 9999):
        assert asked.request(ask, question) == {"error": "this is no question", "status": 400}


# --- passes ------------------------------------------------------------------------------------------------------


def test_nobody_connects_without_a_pass_or_with_anothers(place: NatsPlace) -> None:
    mine, other = ConnectionKey(), ConnectionKey()
    address = place.people.one.address
    strangers = keys.BrokerKeys(bytes(32)).admit(address, mine.public)
    for token in (place.keys.admit(address, other.public), strangers, "", place.keys.admit(address, mine.public)[:-2]):
        with pytest.raises(Exception, match=r"(?i)authorization"):
            background.run(open_connection(place.nats.url, mine, token, "_INBOX_x", trust=None, timeout=SOON))


def test_who_holds_a_pass_that_ends_signs_in_again(place: NatsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    people = place.people
    monkeypatch.setattr(keys, "PASS_SECONDS", 2)
    one = place.connect(people.one)
    assert one.receive(0) == []
    key = one._key  # type: ignore[attr-defined]
    first = one._connection  # type: ignore[attr-defined]
    monkeypatch.undo()
    background.run(asyncio.wait_for(first.lost.wait(), SOON))
    place.connect(people.aggregator).send(said(people.aggregator, people.one.address, 3))
    assert rows(one.receive(SOON)) == [3]
    assert one._key is key  # type: ignore[attr-defined]
    assert one._connection is not first  # type: ignore[attr-defined]


@pytest.mark.parametrize("nkey", ["", "U" * 56, "SU" + "A" * 54, "u" * 56, None, 5])
def test_what_is_no_nkey_gets_no_pass(place: NatsPlace, nkey: object) -> None:
    door = place.connect(place.people.one)._door  # type: ignore[attr-defined]
    with pytest.raises(RefusedError) as refusal:
        door.broker_pass(nkey)
    assert refusal.value.status == 422


def test_a_server_without_a_broker_says_so(place: NatsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place.server.stop()
    place.server = bridge.HttpServer(place.bridge._relay, 1337, port=int(place.server.url.rpartition(":")[2]))
    place.server.start()
    with pytest.raises(RefusedError) as refusal:
        place.connect(place.people.one).receive(0)
    assert refusal.value.status == 404


# --- while the aggregator is away --------------------------------------------------------------------------------


def test_messages_are_taken_by_the_broker_while_the_aggregator_is_away(place: NatsPlace) -> None:
    people = place.people
    one = place.connect(people.one)
    one.send(said(people.one, people.aggregator.address, 0))
    port = int(place.server.url.rpartition(":")[2])
    place.stop()
    for number in range(1, 4):
        one.send(said(people.one, people.aggregator.address, number))
    place.start(port)
    aggregator, found = place.connect(people.aggregator), list[int]()
    while len(found) < 4:
        found = rows(aggregator.receive(SOON))
    assert found == [0, 1, 2, 3]


def test_who_listens_is_delivered_to_while_the_aggregator_is_away(place: NatsPlace, bare: Callable[[str | None], Bare]) -> None:
    people = place.people
    aggregator, two = place.connect(people.aggregator), place.connect(people.two)
    assert two.receive(0) == []
    two.close()
    aggregator.send(said(people.aggregator, people.two.address, 1))
    relay = bare(None)
    eventually(lambda: counts(relay)[naming.DOWN] == 1)
    again = place.connect(people.two)
    assert again.receive(0) in ([], again.receive(SOON))
    port = int(place.server.url.rpartition(":")[2])
    place.stop()
    (delivery,) = again.receive(SOON)
    again.acknowledge(delivery)  # nobody hears this
    assert again.receive(0) == []
    place.start(port)
    aggregator.send(said(people.aggregator, people.two.address, 2))
    assert rows(again.receive(SOON)) == [2]


# --- sizes -------------------------------------------------------------------------------------------------------


def long_message(sender: LocalSigner, recipient: str) -> bytes:
    """Two hundred ciphertexts, 100 kB of digits of which half are chance."""
    weights = tuple(secrets.randbits(2048) for _ in range(200))
    message = Train(request="1", round=1, sender=sender.address, recipient=recipient, weights=weights, scale=0, trainers=1)
    return SignedMessage.of(message, sender).encode()


def test_long_messages_arrive_as_the_bytes_they_are_and_too_long_ones_are_named(place: NatsPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    people = place.people
    one, aggregator = place.connect(people.one), place.connect(people.aggregator)
    data = long_message(people.one, people.aggregator.address)
    one.send(data)
    assert [delivery.data for delivery in aggregator.receive(SOON)] == [data]
    monkeypatch.setattr(Connection, "largest", 40_000)
    with pytest.raises(RefusedError, match="raise its max_payload") as refusal:
        one.send(long_message(people.one, people.aggregator.address))
    assert refusal.value.status == 413


@given(st.binary(max_size=200) | st.binary(min_size=200).map(lambda data: data * 200))
def test_what_is_packed_comes_out_again(data: bytes) -> None:
    assert unpack(*pack(data)) == data


UNFIT = {"empty": b"", "head": b"\x1f\x8b", "cut": gzip.compress(b"whole" * 99)[:-3], "huge": gzip.compress(bytes(MAXIMUM_BYTES + 1), 1)}


@pytest.mark.parametrize("data", UNFIT.values(), ids=UNFIT.keys())
def test_what_does_not_unpack_or_expands_beyond_any_message_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(data, {naming.ENCODING: "gzip"})


# --- names, keys, configuration ----------------------------------------------------------------------------------


def test_permissions_are_for_one_address() -> None:
    address = LocalSigner().address
    assert all(address in subject for subjects in naming.permissions(address).values() for subject in subjects)
    for other in ("*", ">", "", f"{address}.>", address + "0", "0x" + "*" * 40):
        with pytest.raises(ValueError, match="no address"):
            naming.permissions(other)


def test_an_acknowledgement_is_of_its_participants_consumer() -> None:
    receipt = f"$JS.ACK.{naming.DOWN}.0xAb.1.22.3.1795652052656246131.0"
    assert naming.is_acknowledgement(receipt, "0xAb")
    others = [
        receipt + ".1",
        receipt[:-2],
        receipt.replace(naming.DOWN, naming.UP),
        receipt.replace("0xAb", "0xAc"),
        receipt + "\n",
        receipt + " x",
    ]
    assert not any(naming.is_acknowledgement(other, "0xAb") for other in others)


def test_a_configuration_follows_from_the_secret_and_holds_none_and_the_server_takes_it(tmp_path: Path) -> None:
    secret = secrets.token_bytes(32)
    texts = [
        server_configuration(keys.BrokerKeys(given), "0xAb", listen="127.0.0.1:4222", store=tmp_path / 'a "b"')
        for given in (secret, secret, bytes(32))
    ]
    assert texts[0] == texts[1] != texts[2]
    assert not re.search(r"\bS[NCOAU][A-Z2-7]{56}\b", texts[0])
    file = tmp_path / "nats.conf"
    file.write_text(texts[0])
    program = shutil.which("nats-server") or "/usr/sbin/nats-server"
    done = subprocess.run([program, "-t", "-c", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(NodeError, match="no size"):
        server_configuration(keys.BrokerKeys(secret), "0xAb", listen="127.0.0.1:4222", store=tmp_path, maximum_store="lots")


def test_a_connections_key_is_never_shown() -> None:
    key = ConnectionKey()
    assert repr(key) == f"ConnectionKey({key.public})"


@pytest.mark.parametrize("url", ["", "broker", "http://x", "tls://", "tls://user:word@x", "tls://x/y", "nats://x:99999", "tls://[x"])
def test_what_is_no_brokers_url_is_named(url: str) -> None:
    with pytest.raises(NodeError, match="no broker's URL"):
        check_url(url, insecure=False)


def test_in_the_clear_to_another_machine_only_when_asked_for() -> None:
    with pytest.raises(NodeError, match="use tls://"):
        check_url("nats://broker.example", insecure=False)
    for url, insecure in (
        ("nats://broker.example", True),
        ("nats://127.0.0.1:4222", False),
        ("nats://localhost", False),
        ("tls://x", False),
    ):
        check_url(url, insecure)


def test_a_package_that_is_missing_is_asked_for_with_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"pip install 'deltaml-core\[nats\]'"):
        require("nats_that_nobody_has", "nats")
