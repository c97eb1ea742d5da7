"""What every transport promises (`transport/base.py`): run over each of them by a class that makes a place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from places import Place, rows, said

from deltaml_core.errors import RefusedError, TransportError
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.transport.base import Delivery, Transport

LONG = 25.0


def receive(transport: Transport, count: int) -> list[Delivery]:
    """What waits, once it is so many messages: each may take its own while on the way."""
    deadline = time.monotonic() + LONG
    while len(found := transport.receive(LONG)) < count:
        assert time.monotonic() < deadline, f"{rows(found)} and no more"
    assert len(found) == count
    return found


class TransportBehaviour:
    """Inherit, and give a fixture `place`."""

    @pytest.fixture
    def place(self) -> Iterator[Place]:
        raise NotImplementedError

    def test_messages_arrive_as_the_bytes_they_are_in_their_senders_order(self, place: Place) -> None:
        people = place.people
        one, two, aggregator = (place.connect(signer) for signer in (people.one, people.two, people.aggregator))
        for number in range(5):
            one.send(said(people.one, people.aggregator.address, number))
            two.send(said(people.two, people.aggregator.address, 100 + number))
        found = receive(aggregator, 10)
        assert sorted(rows(found)) == [*range(5), *range(100, 105)]
        assert [number for number in rows(found) if number < 100] == list(range(5))
        assert [number for number in rows(found) if number >= 100] == list(range(100, 105))
        assert said(people.one, people.aggregator.address, 0) in [delivery.data for delivery in found]
        assert [delivery.number for delivery in found] == sorted({delivery.number for delivery in found})

    def test_a_message_is_for_its_recipient_only(self, place: Place) -> None:
        people = place.people
        aggregator, one = place.connect(people.aggregator), place.connect(people.one)
        aggregator.send(said(people.aggregator, people.two.address, 1))
        assert one.receive(0) == []
        assert rows(place.connect(people.two).receive(LONG)) == [1]
        aggregator.send(said(people.aggregator, people.one.address, 2))
        assert rows(one.receive(LONG)) == [2]

    def test_it_is_delivered_until_it_is_acknowledged_and_not_after(self, place: Place) -> None:
        people = place.people
        one, aggregator = place.connect(people.one), place.connect(people.aggregator)
        for number in range(4):
            aggregator.send(said(people.aggregator, people.one.address, number))
        first = receive(one, 4)
        assert rows(first) == rows(one.receive(LONG)) == [0, 1, 2, 3]
        one.acknowledge(first[1])
        assert rows(one.receive(LONG)) == [2, 3]
        one.acknowledge(first[3])
        one.acknowledge(first[0])  # an older one takes nothing back
        assert one.receive(0) == []
        aggregator.send(said(people.aggregator, people.one.address, 4))
        assert rows(one.receive(LONG)) == [4]

    def test_a_copy_changes_nothing(self, place: Place) -> None:
        people = place.people
        one, aggregator = place.connect(people.one), place.connect(people.aggregator)
        data = said(people.aggregator, people.one.address, 7)
        aggregator.send(data)
        aggregator.send(data)
        (delivery,) = one.receive(LONG)
        one.acknowledge(delivery)
        assert one.receive(0) == []
        aggregator.send(data)
        assert one.receive(0) == []
        aggregator.send(said(people.aggregator, people.one.address, 8))
        assert rows(one.receive(LONG)) == [8]

    def test_who_waits_is_woken_by_a_message(self, place: Place) -> None:
        people = place.people
        one, aggregator = place.connect(people.one), place.connect(people.aggregator)
        assert one.receive(0.05) == []
        found: list[Delivery] = []
        waiter = threading.Thread(target=lambda: found.extend(one.receive(LONG)))
        waiter.start()
        aggregator.send(said(people.aggregator, people.one.address, 3))
        waiter.join(LONG / 2)
        assert not waiter.is_alive()
        assert rows(found) == [3]

    def test_close_ends_a_wait_and_loses_nothing(self, place: Place) -> None:
        people = place.people
        one = place.connect(people.one)
        assert one.receive(0) == []
        waiter = threading.Thread(target=one.receive, args=(LONG,))
        waiter.start()
        one.close()
        waiter.join(LONG / 2)
        assert not waiter.is_alive()
        assert one.receive(LONG) == []
        with pytest.raises(TransportError, match="closed"):
            one.send(said(people.one, people.aggregator.address, 1))
        place.connect(people.aggregator).send(said(people.aggregator, people.one.address, 3))
        assert rows(place.connect(people.one).receive(LONG)) == [3]

    def test_a_recipient_that_is_not_here_is_refused(self, place: Place) -> None:
        people = place.people
        with pytest.raises(RefusedError):
            place.connect(people.one).send(said(people.one, people.stranger.address, 1))

    def test_nobody_speaks_as_another(self, place: Place) -> None:
        people = place.people
        one = place.connect(people.one)
        honest = said(people.two, people.aggregator.address, 1)
        message = SignedMessage.decode(honest).message
        forged = SignedMessage(message, people.one.sign(SignedMessage.decode(honest).digest)).encode()
        for data in (honest, forged, honest[:-1], b"", b"{}"):
            with pytest.raises(RefusedError):
                one.send(data)
        one.send(said(people.one, people.aggregator.address, 5))
        assert rows(place.connect(people.aggregator).receive(LONG)) == [5]

    def test_two_trainings_do_not_mix(self, place: Place) -> None:
        people = place.people
        two, aggregator = place.connect(people.two), place.connect(people.aggregator)
        for number in range(6):
            two.send(said(people.two, people.aggregator.address, number, request=str(1 + number % 2)))
        messages = [SignedMessage.decode(delivery.data).open() for delivery in receive(aggregator, 6)]
        assert [message.request for message in messages] == ["1", "2"] * 3

    def test_what_was_sent_survives_both_sides(self, place: Place) -> None:
        people = place.people
        one, aggregator = place.connect(people.one), place.connect(people.aggregator)
        for number in range(3):
            aggregator.send(said(people.aggregator, people.one.address, number))
        first = receive(one, 3)
        one.acknowledge(first[0])
        assert rows(one.receive(LONG)) == [1, 2]
        one.close()
        place.restart()
        again = place.connect(people.one)
        assert rows(receive(again, 2)) == [1, 2]
        aggregator.send(said(people.aggregator, people.one.address, 3))  # over a connection from before
        assert rows(receive(again, 3)) == [1, 2, 3]

    def test_many_who_speak_at_once_lose_nothing(self, place: Place) -> None:
        people = place.people

        def speak(signer: LocalSigner, start: int) -> None:
            transport = place.connect(signer)
            for number in range(start, start + 20):
                transport.send(said(signer, people.aggregator.address, number))

        speakers = [threading.Thread(target=speak, args=(signer, start)) for signer, start in ((people.one, 0), (people.two, 100))]
        for speaker in speakers:
            speaker.start()
        aggregator, found = place.connect(people.aggregator), list[int]()
        while len(found) < 40:
            batch = aggregator.receive(LONG)
            assert batch
            found += rows(batch)
            aggregator.acknowledge(batch[-1])
        for speaker in speakers:
            speaker.join()
        assert sorted(found) == [*range(20), *range(100, 120)]
        for start in (0, 100):
            assert [number for number in found if start <= number < start + 100] == list(range(start, start + 20))
