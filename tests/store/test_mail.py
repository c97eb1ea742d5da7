"""Messages at rest: written once, handed out in order, handled together with their answers."""

from __future__ import annotations

import threading

import pytest
from letters import ALICE, BOB, CAROL, letter

from deltaml_core.store.database import Database
from deltaml_core.store.mail import Kept, Mail


@pytest.fixture
def mail(database: Database) -> Mail:
    return Mail(database)


def _bodies(kept: list[Kept]) -> list[bytes]:
    return [one.body for one in kept]


def test_a_message_is_kept_once(mail: Mail) -> None:
    assert mail.keep(*letter(1))
    assert not mail.keep(*letter(1))
    assert _bodies(mail.waiting(BOB.address)) == [letter(1)[0].encode()]


def test_messages_wait_for_their_recipient_in_the_order_of_writing(mail: Mail) -> None:
    for rows in (3, 1, 2):
        mail.keep(*letter(rows))
    mail.keep(*letter(4, recipient=CAROL))
    waiting = mail.waiting(BOB.address)
    assert _bodies(waiting) == [letter(rows)[0].encode() for rows in (3, 1, 2)]
    assert _bodies(mail.waiting(BOB.address, after=waiting[0].number)) == _bodies(waiting[1:])
    assert _bodies(mail.waiting(BOB.address, limit=2)) == _bodies(waiting[:2])


def test_what_was_taken_no_longer_waits_and_its_answers_do(mail: Mail) -> None:
    mail.keep(*letter(1))
    (first,) = mail.waiting(BOB.address)
    mail.take(first.number, [letter(2, sender=BOB, recipient=ALICE)])
    assert mail.waiting(BOB.address) == []
    assert _bodies(mail.waiting(ALICE.address)) == [letter(2, sender=BOB, recipient=ALICE)[0].encode()]


def test_taking_is_undone_when_an_answer_cannot_be_written(mail: Mail) -> None:
    mail.keep(*letter(1))
    (first,) = mail.waiting(BOB.address)
    with pytest.raises(TypeError):
        mail.take(first.number, [letter(2, sender=BOB, recipient=ALICE), None])  # type: ignore[list-item]
    assert _bodies(mail.waiting(BOB.address)) == [letter(1)[0].encode()]
    assert mail.waiting(ALICE.address) == []


def test_what_was_handled_is_told_in_order_and_refusals_when_asked_for(mail: Mail) -> None:
    mail.receive(*letter(1))
    mail.receive(*letter(2), fault="not due")
    mail.receive(*letter(3))
    assert _bodies(mail.handled("1", BOB.address)) == [letter(rows)[0].encode() for rows in (1, 3)]
    assert [kept.fault for kept in mail.handled("1", BOB.address, refused=True)] == [None, "not due", None]
    assert mail.handled("1", BOB.address, "another-kind") == []
    assert mail.handled("2", BOB.address) == []


def test_what_was_said_is_unsent_until_it_was_handed_over(mail: Mail) -> None:
    mail.say([letter(1), letter(2), letter(3, request="2")])
    first, second = mail.unsent(ALICE.address, ["1"])
    mail.handed_over(first.number)
    assert mail.unsent(ALICE.address, ["1"]) == [second]
    assert len(mail.unsent(ALICE.address, ["1", "2"])) == 2
    mail.say([letter(1)])
    assert mail.unsent(ALICE.address, ["1"]) == [second], "said before, handed over before"


def test_an_acknowledgement_covers_all_before(mail: Mail) -> None:
    for rows in range(4):
        mail.keep(*letter(rows))
    waiting = mail.waiting(BOB.address)
    mail.taken_up_to(BOB.address, waiting[2].number)
    assert mail.waiting(BOB.address) == waiting[3:]


def test_the_record_is_all_of_a_training_in_order(mail: Mail) -> None:
    mail.keep(*letter(1))
    mail.keep(*letter(9, request="2"))
    mail.keep(*letter(2, sender=BOB, recipient=CAROL))
    record = list(mail.record("1"))
    assert [body for _, body in record] == [letter(1)[0].encode(), letter(2, sender=BOB, recipient=CAROL)[0].encode()]
    assert list(mail.record("1", after=record[0][0])) == record[1:]
    assert list(mail.record("1", up_to=record[0][0])) == record[:1]


def test_who_waits_is_woken(mail: Mail) -> None:
    found: list[list[Kept]] = []
    waiter = threading.Thread(target=lambda: found.append(mail.wait(BOB.address, 30)))
    waiter.start()
    mail.keep(*letter(1))
    waiter.join(10)
    assert not waiter.is_alive()
    assert _bodies(found[0]) == [letter(1)[0].encode()]
    assert mail.wait(CAROL.address, 0.01) == []


def test_how_long_messages_have_waited(mail: Mail) -> None:
    assert mail.newest("1") == 0
    mail.keep(*letter(1))
    mail.keep(*letter(2, recipient=CAROL))
    waiting = mail.oldest_waiting("1")
    assert waiting.keys() == {BOB.address, CAROL.address}
    assert waiting[BOB.address] <= waiting[CAROL.address] == mail.newest("1")
    mail.taken_up_to(BOB.address, 10)
    assert mail.oldest_waiting("1").keys() == {CAROL.address}
