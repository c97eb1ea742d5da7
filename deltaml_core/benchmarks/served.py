"""A training over HTTP in one process: every participant with its seat, its store on the disk and its connection, and no chain.

What a node does for a message is done here as well: signed, written before it is acknowledged, sent, verified, written, handled. The
owners and the buyer have a thread each way (`node/line.py`), the aggregator has its server's and one that handles messages.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import psutil
from sqlalchemy import func, select

from deltaml_core.aggregator import Aggregator
from deltaml_core.benchmarks.measure import WrongResultError
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

_REQUEST = "bench"
_CHAIN_ID = 1337  # part of what is signed to sign in
_LOOK_SECONDS = 0.05
_WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class Served:
    """What a training over HTTP came to, and what it took.

    Attributes:
        model: (d,), intercept last.
        history: (round, mean squared error) as measured.
        wall_seconds, cpu_seconds: of everybody, from making their stores to the validators' approval.
        memory_bytes: by how much the process grew meanwhile, at most.
        round_seconds: median time from a round's first message to the next round's, of those written to the aggregator's store.
        round_bytes: median of what is sent in a round, signatures included.
    """

    model: Array
    history: list[tuple[int, float]]
    wall_seconds: float
    cpu_seconds: float
    memory_bytes: int
    round_seconds: float
    round_bytes: float


def train_served(
    shards: Sequence[tuple[Array, Array]],
    validators: Sequence[int],
    key: PrivateKey,
    terms: TrainingTerms,
    folder: Path,
    patience_seconds: float = 1800.0,
) -> Served:
    """Train over HTTP, everybody in this process.

    Args:
        shards: `(X, y)` of every owner, without intercept column.
        validators: indices of those who measure.
        key: the buyer's.
        terms: which all shards meet.
        folder: empty; holds the stores.
        patience_seconds: after which a training that has not ended will not.

    Raises:
        WrongResultError: the training did not end.
        DeltaMLError: what stopped it.
    """
    process = psutil.Process()
    wall, cpu, before = time.perf_counter(), time.process_time(), process.memory_info().rss
    grown = 0
    with contextlib.ExitStack() as closing:
        table = _Table(shards, validators, key, terms, folder, closing)
        while not table.ended.wait(_LOOK_SECONDS):
            grown = max(grown, process.memory_info().rss - before)
            if time.perf_counter() - wall > patience_seconds:
                raise WrongResultError(f"a training of {len(shards)} owners has not ended after {patience_seconds:.0f} s")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if table.failure is not None:
            raise table.failure
        begins, lengths = table.rounds()
        history = [(number, metric.mse) for number, metric in table.aggregator.history]
        seconds = median(later - earlier for earlier, later in pairwise(begins))
        return Served(table.model(), history, wall, cpu, grown, seconds, median(lengths))


class _Table:
    """Everybody, connected.

    Attributes:
        aggregator: the role.
        ended: set when the result is approved, or something failed.
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
    ) -> None:
        self.ended = threading.Event()
        self.failure: BaseException | None = None
        self._folder = folder
        self._closing = closing
        self._document = RequestDocument(terms, key.public.modulus, key.prove_modulus())
        buyer, self._host, *owners = (LocalSigner() for _ in range(2 + len(shards)))
        self._buyer = buyer.address
        judges = [owners[index].address for index in validators]
        trainers = [owner.address for owner in owners if owner.address not in judges]
        self._serve(frozenset({buyer.address, self._host.address, *judges, *trainers}), trainers, judges)
        for owner, (X, y) in zip(owners, shards, strict=True):
            party, randomness = self._party(owner)
            role: Trainer | Validator
            if owner.address in judges:
                role = Validator(party, Dataset.of(X, y), validators=judges, trainers=trainers)
            else:
                role = Trainer(party, Dataset.of(X, y), judges)
            self._connect(owner, role, randomness, role.ready())
        party, randomness = self._party(buyer)
        self._buyer_role = ModelBuyer(party, key, initial_weights(terms, key), judges)
        self._connect(buyer, self._buyer_role, randomness, self._buyer_role.start())

    def rounds(self) -> tuple[list[float], list[int]]:
        """When each round's first message was written, Unix seconds, and the bytes of all its messages."""
        its = messages.c.kind.in_((Train.kind, Update.kind))
        columns = messages.c.round, func.min(messages.c.kept), func.sum(func.length(messages.c.body))
        with self._database.reading() as connection:
            rows = connection.execute(select(*columns).where(its).group_by(messages.c.round).order_by(messages.c.round)).all()
        return [begin for _, begin, _ in rows], [length for _, _, length in rows]

    def model(self) -> Array:
        """The model as the buyer decrypts it; it is handed over here, as its round was measured already."""
        self._buyer_role.settled(self.aggregator.weights_hash)
        self._buyer_role.handle(self.aggregator.deliver())
        assert self._buyer_role.model is not None
        return self._buyer_role.model

    # --- who takes part ---

    def _serve(self, participants: frozenset[str], trainers: Sequence[str], validators: Sequence[str]) -> None:
        """The aggregator: its store, its server, its desk."""
        self._database, self._mail = self._store(self._host)
        relay = Relay(
            self._mail, self._host.address, lambda request: participants if request == _REQUEST else None, registered=lambda owner: None
        )
        server = HttpServer(relay, _CHAIN_ID)
        party, randomness = self._party(self._host)
        header = Header(_REQUEST, self._document, self._buyer, self._host.address, tuple(trainers), tuple(validators))
        self.aggregator = Aggregator(party, trainers, validators, Transcript(header))
        self._desk = Desk(self.aggregator, _REQUEST, self._host, self._mail, randomness)
        self._desk.resume()
        self._url = server.url
        server.start()
        self._closing.callback(server.stop)
        worker = threading.Thread(target=self._work, name="desk", daemon=True)
        self._closing.callback(worker.join)
        self._closing.callback(self.ended.set)
        worker.start()

    def _connect(self, signer: LocalSigner, role: Role, randomness: Replayable, opening: Message) -> None:
        """An owner or the buyer: its store, its seat, its line."""
        _, mail = self._store(signer)
        seat = Seat(_REQUEST, role, signer, mail, randomness)
        seat.resume([opening])
        transport = HttpTransport(self._url, signer, _CHAIN_ID)
        line = Line(signer.address, self._host.address, transport, mail, lambda _: seat, lambda: (_REQUEST,), self._fail)
        self._closing.callback(line.join)
        self._closing.callback(line.hang_up)

    def _store(self, signer: LocalSigner) -> tuple[Database, Mail]:
        database = Database(self._folder / f"{signer.address}.db")
        self._closing.callback(database.close)
        return database, Mail(database)

    def _party(self, signer: LocalSigner) -> tuple[Party, Replayable]:
        randomness = Replayable(secrets.token_bytes(32))
        party = Party.take(_REQUEST, signer.address, self._document, self._buyer, self._host.address, randomness=randomness)
        return party, randomness

    # --- at work ---

    def _work(self) -> None:
        try:
            while not self.ended.is_set():
                for kept in self._mail.wait(self._host.address, _WAIT_SECONDS):
                    self._desk.take(kept)
                if self.aggregator.done:
                    self.ended.set()
        except DeltaMLError as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        self.ended.set()
