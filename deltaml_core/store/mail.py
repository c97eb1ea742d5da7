"""Messages at rest: what a participant has received and said, and at an aggregator also what it passes on.

    keep      a signed message is written, once, before anybody is told that it arrived
    take      its recipient has handled it: that and all its answers are written together, or not at all
    handled   what a participant handled, in order: from that alone its role is rebuilt

A number is a message's place in this store. Places are given in the order of writing, so the messages of a request in the order of
their places are the record of the run (protocol.md §10).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import Connection, Row, Select, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert

from deltaml_core.messages import Message
from deltaml_core.signatures import SignedMessage
from deltaml_core.store.database import Database
from deltaml_core.store.schema import messages

AT_ONCE = 100
"""Messages handed out together, at most."""

# What every message passes through is put together once: putting a statement together takes several times as long as executing it.
_ITS_PLACE = messages.c.number == bindparam("place")
_WAITS = (messages.c.recipient == bindparam("whose")) & ~messages.c.taken
_KEEP = insert(messages).on_conflict_do_nothing(index_elements=["digest"])
_TAKE = update(messages).where(_ITS_PLACE).values(taken=True, fault=bindparam("why"))
_HAND_OVER = update(messages).where(_ITS_PLACE).values(taken=True)
_TAKE_UP_TO = update(messages).where(_WAITS & (messages.c.number <= bindparam("place"))).values(taken=True)
_FIND = select(messages.c.number).where(messages.c.digest == bindparam("digest"))
_WAITING = select(messages).where(_WAITS & (messages.c.number > bindparam("after"))).order_by(messages.c.number).limit(bindparam("limit"))
_LENGTHS = select(func.length(messages.c.body)).where(_WAITS).order_by(messages.c.number).limit(AT_ONCE)
_UNSENT = (
    select(messages)
    .where(
        (messages.c.sender == bindparam("sender"))
        & (messages.c.recipient != bindparam("sender"))
        & ~messages.c.taken
        & messages.c.request.in_(bindparam("requests", expanding=True))
    )
    .order_by(messages.c.number)
)
_RECORD = (
    select(messages.c.number, messages.c.body)
    .where((messages.c.request == bindparam("request")) & messages.c.number.between(bindparam("first"), bindparam("last")))
    .order_by(messages.c.number)
)
_LAST_PLACE = (1 << 63) - 1

OnMail = Callable[[Collection[str]], None]
Signed = tuple[SignedMessage, Message]


@dataclass(frozen=True)
class Kept:
    """A message in the store.

    Attributes:
        number: its place.
        digest: SHA-256 of its canonical bytes.
        request: of which training.
        sender: who signed it.
        recipient: whom it is for.
        body: the signed message as it travels.
        fault: why its recipient refused it, where that happened here.
    """

    number: int
    digest: bytes
    request: str
    sender: str
    recipient: str
    body: bytes
    fault: str | None


@dataclass(frozen=True)
class RoundTraffic:
    """The messages of one round of a training.

    Attributes:
        round: its number.
        messages: how many.
        bytes: how long together, signatures included.
        first, last: when the first and the last of them was written, Unix seconds.
    """

    round: int
    messages: int
    bytes: int
    first: float
    last: float


class Mail:
    """The messages of one store; safe for several threads."""

    def __init__(self, database: Database) -> None:
        """Messages of this database."""
        self._database = database
        self._listeners: list[OnMail] = []
        self._arrived = threading.Condition()
        self._news: Counter[str] = Counter()  # how often something was written for somebody
        self.subscribe(self._wake)

    # --- writing ---

    def keep(self, signed: SignedMessage, message: Message) -> bool:
        """Write a message whose signature was verified.

        Args:
            signed: as it travels.
            message: the same, opened.

        Returns:
            False when it was here before.
        """
        with self._database.writing() as connection:
            new = _insert(connection, (signed, message))
        if new:
            self._tell([message.recipient])
        return new

    def take(self, number: int, answers: Sequence[Signed] = (), fault: str | None = None) -> None:
        """Write that a message was handled, together with what was answered.

        Args:
            number: the message's place.
            answers: signed by its recipient.
            fault: why it was refused, if it was.
        """
        with self._database.writing() if answers else self._database.noting() as connection:
            connection.execute(_TAKE, {"place": number, "why": fault})
            for answer in answers:
                _insert(connection, answer)
        self._tell({message.recipient for _, message in answers})

    def receive(self, signed: SignedMessage, message: Message, answers: Sequence[Signed] = (), fault: str | None = None) -> None:
        """Write a message that came from elsewhere and was handled already, together with what was answered."""
        with self._database.writing() as connection:
            _insert(connection, (signed, message), taken=True, fault=fault)
            for answer in answers:
                _insert(connection, answer)
        self._tell({message.recipient for _, message in answers})

    def say(self, said: Sequence[Signed]) -> None:
        """Write what a participant says without being asked."""
        with self._database.writing() as connection:
            for signed in said:
                _insert(connection, signed)
        self._tell({message.recipient for _, message in said})

    def handed_over(self, number: int) -> None:
        """Note that a message reached the next store; where that was forgotten it is sent again, which changes nothing there."""
        with self._database.noting() as connection:
            connection.execute(_HAND_OVER, {"place": number})

    def taken_up_to(self, recipient: str, number: int) -> None:
        """Note that somebody elsewhere has taken all its messages up to a place; where that was forgotten they are delivered again."""
        with self._database.noting() as connection:
            connection.execute(_TAKE_UP_TO, {"whose": recipient, "place": number})

    # --- reading ---

    def has(self, digest: bytes) -> bool:
        """Whether a message is here."""
        with self._database.reading() as connection:
            return connection.execute(_FIND, {"digest": digest}).first() is not None

    def waiting(self, recipient: str, after: int = 0, limit: int = AT_ONCE) -> list[Kept]:
        """What somebody has not taken yet, oldest first, from behind a place on."""
        with self._database.reading() as connection:
            return _waiting(connection, recipient, after, limit)

    def wait(self, recipient: str, seconds: float) -> list[Kept]:
        """`waiting`, once there is something, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            with self._arrived:
                seen = self._news[recipient]
            if (found := self.waiting(recipient)) or time.monotonic() >= deadline:
                return found
            with self._arrived:
                while self._news[recipient] == seen and (left := deadline - time.monotonic()) > 0:
                    self._arrived.wait(left)

    def batch(self, recipient: str, maximum_bytes: int) -> list[Kept]:
        """The oldest of what somebody has not taken yet: together no longer than so many bytes, but at least one message."""
        with self._database.reading() as connection:
            lengths = connection.execute(_LENGTHS, {"whose": recipient}).scalars().all()
            fitting = sum(total <= maximum_bytes for total in accumulate(lengths))
            return _waiting(connection, recipient, 0, max(1, fitting)) if lengths else []

    def last_taken(self, recipient: str) -> int:
        """The place of the newest message that somebody has taken; 0 when there is none."""
        its = (messages.c.recipient == recipient) & messages.c.taken
        with self._database.reading() as connection:
            found: int = connection.execute(select(func.coalesce(func.max(messages.c.number), 0)).where(its)).scalar_one()
        return found

    def untaken(self, request: str, sender: str, recipients: Collection[str]) -> tuple[int, int]:
        """(messages, bytes) that a participant sent others of a training and that they have not taken yet."""
        its = messages.c.recipient.in_(recipients) & ~messages.c.taken & (messages.c.sender == sender) & (messages.c.request == request)
        with self._database.reading() as connection:
            row = connection.execute(select(func.count(), func.coalesce(func.sum(func.length(messages.c.body)), 0)).where(its)).one()
        return row[0], row[1]

    def unsent(self, sender: str, requests: Collection[str]) -> list[Kept]:
        """What a participant said in these trainings and has not handed over yet, oldest first."""
        with self._database.reading() as connection:
            return [_kept(row) for row in connection.execute(_UNSENT, {"sender": sender, "requests": list(requests)})]

    def handled(self, request: str, recipient: str, kind: str | None = None, *, refused: bool = False) -> list[Kept]:
        """What somebody has handled here in a training, of one kind or of all, in that order.

        Args:
            request: the training.
            recipient: who.
            kind: only messages of this kind.
            refused: with those it refused, in their places.
        """
        its = (messages.c.request == request) & (messages.c.recipient == recipient) & messages.c.taken
        if not refused:
            its &= messages.c.fault.is_(None)
        if kind is not None:
            its &= messages.c.kind == kind
        return self._all(select(messages).where(its).order_by(messages.c.number))

    def said(self, request: str, sender: str) -> int:
        """How many messages of a training somebody has sent."""
        its = (messages.c.request == request) & (messages.c.sender == sender)
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).where(its)).scalar_one()

    def record(self, request: str, after: int = 0, up_to: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(place, signed message) of a training, in order, from behind one place up to another."""
        places = {"request": request, "first": after + 1, "last": _LAST_PLACE if up_to is None else up_to}
        with self._database.reading() as connection:
            rows = connection.execute(_RECORD, places).all()
        yield from ((row.number, row.body) for row in rows)

    def oldest_waiting(self, request: str) -> dict[str, float]:
        """When the oldest message that each recipient has not taken yet was written, Unix seconds, by address."""
        its = (messages.c.request == request) & ~messages.c.taken
        oldest = select(messages.c.recipient, func.min(messages.c.kept).label("since")).where(its).group_by(messages.c.recipient)
        with self._database.reading() as connection:
            return {row.recipient: row.since for row in connection.execute(oldest)}

    def newest(self, request: str) -> float:
        """When the latest message of a training was written, Unix seconds; 0 when there is none."""
        with self._database.reading() as connection:
            found = connection.execute(select(func.max(messages.c.kept)).where(messages.c.request == request)).scalar()
        return found or 0.0

    def progress(self, request: str) -> dict[str, int]:
        """The latest `round` of a training that a message here belongs to, and how many `messages` there are."""
        counted = select(func.coalesce(func.max(messages.c.round), 0), func.count()).where(messages.c.request == request)
        with self._database.reading() as connection:
            latest, count = connection.execute(counted).one()
        return {"round": latest, "messages": count}

    def rounds(self, request: str) -> list[RoundTraffic]:
        """The traffic of a training, round by round."""
        kept, length = messages.c.kept, func.length(messages.c.body)
        its = select(messages.c.round, func.count(), func.sum(length), func.min(kept), func.max(kept)).where(messages.c.request == request)
        with self._database.reading() as connection:
            return [RoundTraffic(*row) for row in connection.execute(its.group_by(messages.c.round).order_by(messages.c.round))]

    def subscribe(self, listener: OnMail) -> None:
        """Call a function with the recipients whenever messages were written, in the thread that wrote them."""
        self._listeners.append(listener)

    def unsubscribe(self, listener: OnMail) -> None:
        """Call it no longer."""
        self._listeners.remove(listener)

    def _all(self, query: Select[tuple[object, ...]]) -> list[Kept]:
        with self._database.reading() as connection:
            return [_kept(row) for row in connection.execute(query)]

    def _tell(self, recipients: Collection[str]) -> None:
        if recipients:
            for listener in tuple(self._listeners):
                listener(recipients)

    def _wake(self, recipients: Collection[str]) -> None:
        with self._arrived:
            self._news.update(recipients)
            self._arrived.notify_all()


def _insert(connection: Connection, signed: Signed, *, taken: bool = False, fault: str | None = None) -> bool:
    envelope, message = signed
    row = {
        "digest": envelope.digest,
        "request": message.request,
        "round": message.round,
        "kind": message.kind,
        "sender": message.sender,
        "recipient": message.recipient,
        "body": envelope.encode(),
        "kept": time.time(),
        "taken": taken,
        "fault": fault,
    }
    return connection.execute(_KEEP, row).rowcount == 1


def _waiting(connection: Connection, recipient: str, after: int, limit: int) -> list[Kept]:
    return [_kept(row) for row in connection.execute(_WAITING, {"whose": recipient, "after": after, "limit": limit})]


def _kept(row: Row[tuple[object, ...]]) -> Kept:
    return Kept(row.number, row.digest, row.request, row.sender, row.recipient, row.body, row.fault)
