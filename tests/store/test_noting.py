"""What waits for the disk and what does not."""

from __future__ import annotations

from sqlalchemy import Connection, event

from deltaml_core.messages import OwnerReady
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Mail, Signed

NORMAL, FULL = 1, 2
SENDER, RECIPIENT = LocalSigner(), LocalSigner()


def level(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())


def said(rows: int, sender: LocalSigner = SENDER, recipient: LocalSigner = RECIPIENT) -> Signed:
    message = OwnerReady(request="1", round=0, sender=sender.address, recipient=recipient.address, rows=rows)
    return SignedMessage.of(message, sender), message


def test_each_transaction_says_for_itself_whether_it_waits_for_the_disk(database: Database) -> None:
    """The pool hands one connection from one to the other."""
    for _ in range(2):
        with database.noting() as connection:
            assert level(connection) == NORMAL
        with database.writing() as connection:
            assert level(connection) == FULL


def test_only_what_can_be_done_once_more_does_not_wait(database: Database) -> None:
    """A message, and an answer, are on the disk before anybody hears of them; that they were handed on is noted."""
    waited: list[int] = []
    event.listen(database._engine, "commit", lambda connection: waited.append(level(connection)))
    mail = Mail(database)

    def levels_of(*, keeps: list[int]) -> None:
        assert waited == keeps
        waited.clear()

    mail.keep(*said(1))
    mail.keep(*said(2))
    mail.receive(*said(3))
    mail.say([said(4)])
    mail.take(1, [said(5, RECIPIENT, SENDER)])
    levels_of(keeps=[FULL] * 5)
    mail.take(2)
    mail.handed_over(4)
    mail.taken_up_to(SENDER.address, 5)
    levels_of(keeps=[NORMAL] * 3)
