"""The mail room: answers name what they answer, everything is signed, recorded once and delivered once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deltaml_core.errors import MessageError, SignatureError
from deltaml_core.messages import Message, OwnerReady, encode
from deltaml_core.signatures import LocalSigner, SignedMessage, message_digest
from deltaml_core.statistics import Column, Requirements
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.transcript import Header, Transcript
from deltaml_core.transport.local import LocalTransport

TERMS = TrainingTerms(Requirements((Column("x", 0.0, 1.0),), Column("y", 0.0, 1.0)), rounds=1, scheme="plain")


class Echo:
    """Answers every message below 3 rows with one of a row more, to its sender."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[Message] = []

    def handle(self, message: Message) -> list[Message]:
        self.heard.append(message)
        assert isinstance(message, OwnerReady)
        return [said(self.name, message.sender, message.rows + 1)] if message.rows < 3 else []


def said(sender: str, recipient: str, rows: int) -> OwnerReady:
    return OwnerReady(request="r", round=0, sender=sender, recipient=recipient, rows=rows)


class Room:
    """Two who talk, and the aggregator's record of it."""

    def __init__(self) -> None:
        self.one, self.other = LocalSigner(), LocalSigner()
        header = Header("r", RequestDocument(TERMS, 15, ()), self.one.address, self.other.address, (), ())
        self.transcript = Transcript(header)
        self.transport = LocalTransport(self.transcript)
        self.roles = {signer.address: Echo(signer.address) for signer in (self.one, self.other)}
        for signer in (self.one, self.other):
            self.transport.join(signer, self.roles[signer.address])

    def talk(self) -> None:
        self.transport.send([said(self.one.address, self.other.address, 1)])
        while self.transport.deliver():
            pass


def test_every_answer_names_the_message_it_answers() -> None:
    room = Room()
    room.talk()
    first, second, third = room.transcript.messages()
    assert first.answers == ""
    assert second.answers == message_digest(encode(first)).hex()
    assert third.answers == message_digest(encode(second)).hex()
    assert room.roles[room.other.address].heard == [first, third]
    assert room.roles[room.one.address].heard == [second]


def test_what_a_role_says_about_answering_is_overruled() -> None:
    room = Room()
    room.roles[room.other.address].handle = lambda message: [  # type: ignore[method-assign]
        replace(said(room.other.address, room.one.address, 9), answers="0" * 64)
    ]
    room.transport.send([said(room.one.address, room.other.address, 1)])
    assert room.transport.deliver()
    first, second = room.transcript.messages()
    assert second.answers == message_digest(encode(first)).hex()


def test_the_record_is_in_the_order_of_sending_and_signed() -> None:
    room = Room()
    room.transport.send([said(room.one.address, room.other.address, rows) for rows in (7, 5, 6)])
    assert len(room.transcript) == 3  # before anything is delivered
    entries = [SignedMessage.decode(entry).open() for entry in room.transcript.entries]
    assert [entry.rows for entry in entries if isinstance(entry, OwnerReady)] == [7, 5, 6]


def test_messages_and_bytes_are_counted_by_kind() -> None:
    room = Room()
    room.talk()
    assert room.transport.sent == {"owner-ready": 3}
    assert room.transport.bytes == {"owner-ready": room.transcript.size}


def test_a_message_is_delivered_and_recorded_once() -> None:
    room = Room()
    data = SignedMessage.of(said(room.one.address, room.other.address, 3), room.one).encode()
    assert room.transport.post(data)
    assert not room.transport.post(data)
    assert room.transport.deliver()
    assert not room.transport.post(data)
    assert not room.transport.deliver()
    assert len(room.roles[room.other.address].heard) == len(room.transcript) == 1


def test_a_forged_sender_is_refused_and_leaves_no_trace() -> None:
    room, mallory = Room(), LocalSigner()
    data = encode(said(room.one.address, room.other.address, 3))
    forged = SignedMessage(data, mallory.sign(message_digest(data))).encode()
    with pytest.raises(SignatureError) as refused:
        room.transport.post(forged)
    assert refused.value.sender == room.one.address
    assert len(room.transcript) == 0
    assert not room.transport.deliver()


def test_a_strangers_message_is_no_participants() -> None:
    """Signed properly, by somebody who has not joined: delivered, for roles decide whom they listen to, under his own name."""
    room, mallory = Room(), LocalSigner()
    assert room.transport.post(SignedMessage.of(said(mallory.address, room.one.address, 3), mallory).encode())
    assert room.transport.deliver()
    assert [message.sender for message in room.roles[room.one.address].heard] == [mallory.address]


def test_sender_and_recipient_must_have_joined() -> None:
    room = Room()
    for message in (said(room.one.address, "nobody", 1), said("nobody", room.one.address, 1)):
        with pytest.raises(MessageError, match=r"is not here"):
            room.transport.send([message])
    assert len(room.transcript) == 0
