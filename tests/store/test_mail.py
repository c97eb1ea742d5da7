"""The laws of messages at rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection

import pytest

from deltaml_core.messages import OwnerReady
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.store import mail as mail_module
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Kept, Mail, Signed

OWNER, AGGREGATOR = LocalSigner(), LocalSigner()


def said(rows: int, sender: LocalSigner = OWNER, recipient: LocalSigner = AGGREGATOR, request: str = "1") -> Signed:
    message = OwnerReady(request=request, round=0, sender=sender.address, recipient=recipient.address, rows=rows)
    return SignedMessage.of(message, sender), message


def rows(found: Collection[Kept]) -> list[int]:
    return [message.rows for kept in found if isinstance(message := SignedMessage.decode(kept.body).open(), OwnerReady)]


@pytest.fixture
def mail(database: Database) -> Mail:
    return Mail(database)


def test_a_message_is_kept_once(mail: Mail) -> None:
    assert mail.keep(*said(1))
    assert not mail.keep(*said(1))
    assert mail.has(said(1)[0].digest)
    assert not mail.has(said(2)[0].digest)
    assert rows(mail.waiting(AGGREGATOR.address)) == [1]


def test_the_same_content_signed_once_more_is_the_same_message(mail: Mail) -> None:
    envelope, message = said(1)
    other = SignedMessage.of(message, OWNER)
    assert mail.keep(envelope, message)
    assert not mail.keep(other, message)


def test_a_taken_message_kept_once_more_does_not_wait_again(mail: Mail) -> None:
    mail.keep(*said(1))
    mail.take(mail.waiting(AGGREGATOR.address)[0].number)
    assert not mail.keep(*said(1))
    assert mail.waiting(AGGREGATOR.address) == []


def test_a_message_is_taken_together_with_its_answers_or_not_at_all(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    mail.keep(*said(1))
    (kept,) = mail.waiting(AGGREGATOR.address)
    answers = [said(number, AGGREGATOR, OWNER) for number in (7, 8)]
    written = 0
    insert = mail_module._insert

    def dies(*arguments: object, **options: object) -> bool:
        nonlocal written
        written += 1
        if written == 2:
            raise KeyboardInterrupt
        return bool(insert(*arguments, **options))  # type: ignore[arg-type]

    monkeypatch.setattr(mail_module, "_insert", dies)
    with pytest.raises(KeyboardInterrupt):
        mail.take(kept.number, answers)
    monkeypatch.undo()
    assert rows(mail.waiting(AGGREGATOR.address)) == [1]
    assert mail.waiting(OWNER.address) == []

    mail.take(kept.number, answers)
    assert mail.waiting(AGGREGATOR.address) == []
    assert rows(mail.waiting(OWNER.address)) == [7, 8]


def test_what_was_handled_comes_in_order_without_what_was_refused(mail: Mail) -> None:
    for number in (1, 2, 3):
        mail.keep(*said(number))
    mail.keep(*said(4, request="2"))
    for kept, fault in zip(mail.waiting(AGGREGATOR.address), (None, "no", None, None), strict=True):
        mail.take(kept.number, fault=fault)
    assert rows(mail.handled("1", AGGREGATOR.address)) == [1, 3]
    assert rows(mail.handled("1", AGGREGATOR.address, refused=True)) == [1, 2, 3]
    assert [kept.fault for kept in mail.handled("1", AGGREGATOR.address, refused=True)] == [None, "no", None]
    assert rows(mail.handled("1", AGGREGATOR.address, OwnerReady.kind)) == [1, 3]
    assert mail.handled("1", AGGREGATOR.address, "another") == []


def test_waiting_messages_can_be_asked_for_from_a_place_on_and_a_few_at_a_time(mail: Mail) -> None:
    for number in range(1, 6):
        mail.keep(*said(number))
    places = [kept.number for kept in mail.waiting(AGGREGATOR.address)]
    assert rows(mail.waiting(AGGREGATOR.address, after=places[1])) == [3, 4, 5]
    assert rows(mail.waiting(AGGREGATOR.address, limit=2)) == [1, 2]
    assert rows(mail.waiting(AGGREGATOR.address, after=places[3], limit=5)) == [5]


def test_a_batch_is_as_long_as_it_may_be_but_never_empty_of_what_waits(mail: Mail) -> None:
    assert mail.batch(AGGREGATOR.address, 1) == []
    for number in (1, 2, 3):
        mail.keep(*said(number))
    length = len(said(1)[0].encode())
    assert [rows(mail.batch(AGGREGATOR.address, size)) for size in (1, 2 * length, 9 * length)] == [[1], [1, 2], [1, 2, 3]]


def test_taken_up_to_a_place(mail: Mail) -> None:
    for number in (1, 2, 3):
        mail.keep(*said(number))
    mail.keep(*said(9, AGGREGATOR, OWNER))
    second = mail.waiting(AGGREGATOR.address)[1].number
    mail.taken_up_to(AGGREGATOR.address, second)
    assert rows(mail.waiting(AGGREGATOR.address)) == [3]
    mail.taken_up_to(AGGREGATOR.address, second - 1)
    assert rows(mail.waiting(AGGREGATOR.address)) == [3]
    assert rows(mail.waiting(OWNER.address)) == [9]


def test_what_was_said_is_unsent_until_it_is_handed_over(mail: Mail) -> None:
    mail.say([said(1), said(2), said(3, request="2")])
    mail.say([said(1)])
    assert rows(mail.unsent(OWNER.address, ["1"])) == [1, 2]
    mail.handed_over(mail.unsent(OWNER.address, ["1"])[0].number)
    assert rows(mail.unsent(OWNER.address, ["1", "2"])) == [2, 3]
    assert mail.said("1", OWNER.address) == 2


def test_the_record_is_in_the_order_of_writing(mail: Mail) -> None:
    mail.receive(*said(1), answers=[said(2, AGGREGATOR, OWNER)])
    mail.keep(*said(3, request="2"))
    mail.keep(*said(4))
    record = list(mail.record("1"))
    assert [body for _, body in record] == [said(1)[0].encode(), said(2, AGGREGATOR, OWNER)[0].encode(), said(4)[0].encode()]
    places = [place for place, _ in record]
    assert places == sorted(places)
    assert list(mail.record("1", after=places[0])) == record[1:]
    assert list(mail.record("1", places[0], places[1])) == record[1:2]


def test_a_wait_ends_when_a_message_comes(mail: Mail) -> None:
    found: list[Kept] = []
    waiting = threading.Thread(target=lambda: found.extend(mail.wait(AGGREGATOR.address, 600)))
    waiting.start()
    mail.keep(*said(9, AGGREGATOR, OWNER))  # not for it
    mail.keep(*said(1))
    waiting.join()
    assert rows(found) == [1]
    assert rows(mail.wait(AGGREGATOR.address, 600)) == [1]
    assert mail.wait(LocalSigner().address, 0) == []


def test_the_oldest_message_of_each_recipient_that_waits(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    for moment, message in ((10.0, said(1)), (20.0, said(2)), (30.0, said(3, AGGREGATOR, OWNER)), (40.0, said(4, request="2"))):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        mail.keep(*message)
    assert mail.oldest_waiting("1") == {AGGREGATOR.address: 10.0, OWNER.address: 30.0}
    mail.take(mail.waiting(AGGREGATOR.address)[0].number)
    assert mail.oldest_waiting("1") == {AGGREGATOR.address: 20.0, OWNER.address: 30.0}
    assert (mail.newest("1"), mail.newest("3")) == (30.0, 0.0)


def test_listeners_hear_of_new_messages_once_they_are_written(mail: Mail) -> None:
    heard: list[Collection[str]] = []

    def listener(recipients: Collection[str]) -> None:
        assert all(mail.waiting(recipient) for recipient in recipients)
        heard.append(recipients)

    mail.subscribe(listener)
    mail.keep(*said(1))
    mail.keep(*said(1))
    mail.unsubscribe(listener)
    mail.keep(*said(2))
    assert [set(recipients) for recipients in heard] == [{AGGREGATOR.address}]


def test_untaken_messages_and_bytes_of_a_sender(mail: Mail) -> None:
    assert mail.untaken("1", OWNER.address, [AGGREGATOR.address]) == (0, 0)
    mail.keep(*said(1))
    mail.keep(*said(2, request="2"))
    assert mail.untaken("1", OWNER.address, [AGGREGATOR.address]) == (1, len(said(1)[0].encode()))
    assert mail.progress("1") == {"round": 0, "messages": 1}
