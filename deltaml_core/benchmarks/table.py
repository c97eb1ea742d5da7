"""Trainings over HTTP or NATS in one process: every participant with its seat, its store on the disk and its connection, and no chain.

What a node does for a message is done here as well: signed, written before it is acknowledged, sent, verified, written, handled. The
owners and the buyers have a thread each way (`node/line.py`), the aggregator has its server's and one that handles messages.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from deltaml_core.aggregator import Aggregator
from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.errors import DeltaMLError
from deltaml_core.messages import Message, Train, Update
from deltaml_core.node.desk import Desk
from deltaml_core.node.line import Line
from deltaml_core.node.seat import Seat
from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.randomness import Replayable
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.signatures import LocalSigner
from deltaml_core.statistics import Array, Dataset
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Mail
from deltaml_core.store.schema import messages
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.transcript import Header, Transcript
from deltaml_core.transport.base import Role
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.server import HttpServer

if TYPE_CHECKING:
    from deltaml_core.transport.nats.bridge import BrokeredServer
    from deltaml_core.transport.nats.client import NatsTransport
    from deltaml_core.transport.nats.process import NatsServer

_CHAIN_ID = 1337  # part of what is signed to sign in
_WAIT_SECONDS = 0.5


class Table:
    """Everybody, connected to one aggregator.

    Attributes:
        nats: the broker; None over HTTP.
        mail: the aggregator's.
        groups: the trainings.
        ended: set when all results are approved, or something failed.
        failure: what failed.
    """

    def __init__(
        self,
        shards: Sequence[tuple[Array, Array]],
        validators: Sequence[int],
        key: PrivateKey,
        terms: TrainingTerms,
        folder: Path,
        closing: contextlib.ExitStack,
        *,
        over_broker: bool = False,
        trainings: int = 1,
    ) -> None:
        """Seat and connect everybody; everything begun here ends with `closing`.

        Args:
            shards: `(X, y)` of every owner of a training, without intercept column.
            validators: indices of those who measure.
            key: the buyers'.
            terms: which all shards meet.
            folder: empty; holds the stores.
            closing: what ends it.
            over_broker: over a NATS server, which is a process of its own, instead of the aggregator's HTTP server.
            trainings: how many at once, with a buyer and owners of their own each, on the same rows.

        Raises:
            NodeError, MissingExtraError: there is no NATS server here, or no client.
        """
        self.nats: NatsServer | None = None
        self.ended = threading.Event()
        self.failure: BaseException | None = None
        self._folder, self._closing = folder, closing
        self._host = LocalSigner()
        self._database, self.mail = self._store(self._host)
        document = RequestDocument(terms, key.public.modulus, key.prove_modulus())
        self.groups = [Group(f"bench-{number}", shards, validators, document, self._host, self.mail) for number in range(trainings)]
        self._desks = {group.request: group.desk for group in self.groups}
        participants = {group.request: group.participants for group in self.groups}
        relay = Relay(self.mail, self._host.address, participants.get, registered=lambda owner: None)
        self._serve(self._serve_broker(relay) if over_broker else HttpServer(relay, _CHAIN_ID))
        way = _way(over_broker)
        for group in self.groups:
            for signer, role, randomness, opening in group.others(key):
                self._connect(group.request, signer, role, randomness, opening, way(self._url, signer, _CHAIN_ID))

    def rounds(self) -> tuple[list[float], list[int]]:
        """When each round's first message of the first training was written, Unix seconds, and the bytes of all its messages."""
        its = messages.c.kind.in_((Train.kind, Update.kind)) & (messages.c.request == self.groups[0].request)
        columns = messages.c.round, func.min(messages.c.kept), func.sum(func.length(messages.c.body))
        with self._database.reading() as connection:
            rows = connection.execute(select(*columns).where(its).group_by(messages.c.round).order_by(messages.c.round)).all()
        return [begin for _, begin, _ in rows], [length for _, _, length in rows]

    # --- who takes part ---

    def _serve(self, server: HttpServer | BrokeredServer) -> None:
        self._url = server.url
        server.start()
        self._closing.callback(server.stop)
        worker = threading.Thread(target=self._work, name="desk", daemon=True)
        self._closing.callback(worker.join)
        self._closing.callback(self.ended.set)
        worker.start()

    def _serve_broker(self, relay: Relay) -> BrokeredServer:
        from deltaml_core.transport.nats.bridge import Bridge
        from deltaml_core.transport.nats.keys import BrokerKeys
        from deltaml_core.transport.nats.process import NatsServer

        keys = BrokerKeys(secrets.token_bytes(32))
        self.nats = NatsServer(keys, self._folder)
        self.nats.start()
        self._closing.callback(self.nats.stop)
        bridge = Bridge(relay, self.mail, keys, self.nats.url)
        return bridge.beside(HttpServer(relay, _CHAIN_ID, broker=bridge))

    def _connect(
        self,
        request: str,
        signer: LocalSigner,
        role: Role,
        randomness: Replayable,
        opening: Message,
        transport: HttpTransport | NatsTransport,
    ) -> None:
        """An owner or a buyer: its store, its seat, its line."""
        _, mail = self._store(signer)
        seat = Seat(request, role, signer, mail, randomness)
        seat.resume([opening])
        line = Line(signer.address, self._host.address, transport, mail, lambda _: seat, lambda: (request,), self._fail)
        self._closing.callback(line.join)
        self._closing.callback(line.hang_up)

    def _store(self, signer: LocalSigner) -> tuple[Database, Mail]:
        database = Database(self._folder / f"{signer.address}.db")
        self._closing.callback(database.close)
        return database, Mail(database)

    # --- at work ---

    def _work(self) -> None:
        try:
            while not self.ended.is_set():
                for kept in self.mail.wait(self._host.address, _WAIT_SECONDS):
                    self._desks[kept.request].take(kept)
                if all(group.aggregator.done for group in self.groups):
                    self.ended.set()
        except DeltaMLError as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self.ended.set()


class Group:
    """One training.

    Attributes:
        request: identifies it.
        participants: everybody's addresses.
        aggregator: its role.
        desk: its seat.
    """

    def __init__(
        self,
        request: str,
        shards: Sequence[tuple[Array, Array]],
        validators: Sequence[int],
        document: RequestDocument,
        host: LocalSigner,
        mail: Mail,
    ) -> None:
        """Made by `Table`."""
        self.request = request
        self._document, self._host = document, host
        self._buyer, *owners = (LocalSigner() for _ in range(1 + len(shards)))
        self._owners = [(owner, Dataset.of(X, y)) for owner, (X, y) in zip(owners, shards, strict=True)]
        self._judges = [owners[index].address for index in validators]
        self._trainers = [owner.address for owner in owners if owner.address not in self._judges]
        self.participants = frozenset({self._buyer.address, host.address, *self._judges, *self._trainers})
        party, randomness = self._party(host)
        header = Header(request, document, self._buyer.address, host.address, tuple(self._trainers), tuple(self._judges))
        self.aggregator = Aggregator(party, self._trainers, self._judges, Transcript(header))
        self.desk = Desk(self.aggregator, request, host, mail, randomness)
        self.desk.resume()

    def others(self, key: PrivateKey) -> list[tuple[LocalSigner, Role, Replayable, Message]]:
        """Owners and buyer: who, the role, its randomness, what it begins with."""
        seats: list[tuple[LocalSigner, Role, Replayable, Message]] = []
        for owner, dataset in self._owners:
            party, randomness = self._party(owner)
            role: Trainer | Validator
            if owner.address in self._judges:
                role = Validator(party, dataset, validators=self._judges, trainers=self._trainers)
            else:
                role = Trainer(party, dataset, self._judges)
            seats.append((owner, role, randomness, role.ready()))
        party, randomness = self._party(self._buyer)
        self._buyer_role = ModelBuyer(party, key, initial_weights(self._document.terms, key), self._judges)
        return [*seats, (self._buyer, self._buyer_role, randomness, self._buyer_role.start())]

    def model(self) -> Array:
        """The model as the buyer decrypts it; it is handed over here, as its round was measured already."""
        self._buyer_role.settled(self.aggregator.weights_hash)
        self._buyer_role.handle(self.aggregator.deliver())
        assert self._buyer_role.model is not None
        return self._buyer_role.model

    def _party(self, signer: LocalSigner) -> tuple[Party, Replayable]:
        randomness = Replayable(secrets.token_bytes(32))
        party = Party.take(self.request, signer.address, self._document, self._buyer.address, self._host.address, randomness=randomness)
        return party, randomness


def _way(over_broker: bool) -> type[HttpTransport] | type[NatsTransport]:
    if not over_broker:
        return HttpTransport
    from deltaml_core.transport.nats.client import NatsTransport

    return NatsTransport
