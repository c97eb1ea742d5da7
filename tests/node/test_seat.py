"""A seat is what its store says: rebuilt before any message, it answers byte for byte as the one that was not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from helpers import key_pair, random_shards, terms_for

from deltaml_core import schemes
from deltaml_core.aggregator import Aggregator
from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.errors import MessageError
from deltaml_core.messages import FinalModel, Train
from deltaml_core.node.desk import Desk
from deltaml_core.node.seat import Seat
from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.randomness import Replayable
from deltaml_core.releases import Releases, ReleasesOfSeat
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.statistics import Dataset
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Mail
from deltaml_core.terms import RequestDocument
from deltaml_core.transcript import Header, Transcript

SHARDS = random_shards(7, (9, 6, 12), 2)
REQUEST = "1"
NAMES = ("aggregator", "buyer", "owner-1", "owner-2", "owner-3")
RUNS: dict[str, dict[str, Any]] = {
    "plain": {"rounds": 3, "key_bits": 400},
    "noise": {"rounds": 3, "key_bits": 400, "scheme": "paillier"},
    "verifiable": {"rounds": 2, "key_bits": 512, "scheme": "paillier", "metrics": "verifiable"},
}


@cache
def signer(name: str) -> LocalSigner:
    return LocalSigner()


def address(name: str) -> str:
    return signer(name).address


class Run:
    """One training whose participants have stores; its seats are made of nothing but these and a secret each."""

    def __init__(self, folder: Path, ending: ExitStack, *, limit: int = 10_000, secret: bytes = b"", **terms: Any) -> None:
        self.terms = terms_for(SHARDS, **terms)
        self.limit = limit
        self.secret = secret
        databases = {name: Database(folder / f"{name}.db") for name in NAMES}
        for database in databases.values():
            ending.callback(database.close)
        self.mails = {name: Mail(database) for name, database in databases.items()}
        self.final: bytes | None = None
        self.seats = {name: self.seat(name) for name in NAMES}

    def seat(self, name: str) -> Seat:
        """The participant's seat as its store has it."""
        randomness = Replayable(hashlib.sha256(name.encode() + self.secret).digest())
        key = key_pair(self.terms.scheme, self.terms.key_bits)
        public = schemes.public_key(self.terms.scheme, key.public.modulus, randomness)
        party = Party(REQUEST, address(name), self.terms, public, address("buyer"), address("aggregator"), randomness)
        trainers, validators = (address("owner-1"), address("owner-3")), (address("owner-2"),)
        mail = self.mails[name]
        if name == "aggregator":
            header = Header(REQUEST, RequestDocument(self.terms, key.public.modulus, ()), party.buyer, party.name, trainers, validators)
            role = Aggregator(party, trainers, validators, Transcript(header, seed=bytes(32)))
            desk = Desk(role, REQUEST, signer(name), mail, randomness)
            desk.resume()
            return desk
        if name == "buyer":
            buyer = ModelBuyer(party, key, initial_weights(self.terms, key), validators)
            if self.final is not None:
                buyer.settled(self.final)
            seat = Seat(REQUEST, buyer, signer(name), mail, randomness)
            seat.resume([buyer.start()])
            return seat
        data = Dataset.of(*SHARDS[int(name[-1]) - 1])
        owner: Trainer | Validator = Trainer(party, data, validators)
        if name == "owner-2":
            owner = Validator(party, data, ReleasesOfSeat(data_set=Releases(limit=self.limit)), validators=validators, trainers=trainers)
        seat = Seat(REQUEST, owner, signer(name), mail, randomness)
        seat.resume([owner.ready()])
        return seat

    @property
    def desk(self) -> Desk:
        found = self.seats["aggregator"]
        assert isinstance(found, Desk)
        return found

    @property
    def buyer(self) -> ModelBuyer:
        role = self.seats["buyer"].role
        assert isinstance(role, ModelBuyer)
        return role

    def step(self, *, rebuilt: bool = False, copies: int = 1) -> bool:
        """Bring the oldest message to its recipient, perhaps to one that was just rebuilt; False when none waits."""
        desk_mail = self.mails["aggregator"]
        for name in NAMES[1:]:
            for said in self.mails[name].unsent(address(name), [REQUEST]):
                signed = SignedMessage.decode(said.body)
                for _ in range(copies):
                    desk_mail.keep(signed, signed.open())
                self.mails[name].handed_over(said.number)
        waiting = [(kept.number, name, kept) for name in NAMES for kept in desk_mail.waiting(address(name), limit=1)]
        if not waiting:
            return False
        _, name, kept = min(waiting, key=lambda found: found[0])
        if rebuilt:
            self.seats[name] = self.seat(name)
        if name == "aggregator":
            self.desk.take(kept)
            return True
        signed = SignedMessage.decode(kept.body)
        for _ in range(copies):
            self.seats[name].arrived(signed, signed.open())
        desk_mail.handed_over(kept.number)
        return True

    def settle(self) -> None:
        """The contract has settled: the model is delivered."""
        assert self.desk.aggregator.done
        self.final = self.desk.aggregator.weights_hash
        self.desk.say([self.desk.aggregator.deliver()])

    def finish(self, **how: Any) -> list[bytes]:
        """Play to the end; returns every message of the run as it travelled, in order."""
        while self.step(**how):
            pass
        self.settle()
        self.buyer.settled(self.final or b"")
        while self.step(**how):
            pass
        assert self.buyer.model is not None
        return [body for _, body in self.mails["aggregator"].record(REQUEST)]


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("kind", RUNS)
def test_a_seat_rebuilt_before_every_message_answers_byte_for_byte_the_same(kind: str, tmp_path: Path, ending: ExitStack) -> None:
    once = Run(tmp_path / "once", ending, **RUNS[kind])
    again = Run(tmp_path / "again", ending, **RUNS[kind])
    record = once.finish()
    assert again.finish(rebuilt=True) == record
    assert again.desk.aggregator.history == once.desk.aggregator.history
    assert again.desk.complete_record().hash == once.desk.complete_record().hash
    assert again.buyer.model is not None
    assert again.buyer.model.tolist() == once.buyer.model.tolist()  # type: ignore[union-attr]


def test_a_seat_of_another_secret_answers_otherwise(tmp_path: Path, ending: ExitStack) -> None:
    """What the test above compares does depend on the random numbers."""
    record = Run(tmp_path / "once", ending, **RUNS["noise"]).finish()
    assert Run(tmp_path / "other", ending, secret=b"another", **RUNS["noise"]).finish() != record


def test_copies_change_nothing(tmp_path: Path, ending: ExitStack) -> None:
    record = Run(tmp_path / "once", ending, **RUNS["noise"]).finish()
    assert Run(tmp_path / "twice", ending, **RUNS["noise"]).finish(copies=2) == record


def test_a_refused_message_is_recorded_with_its_fault_and_refused_again_when_the_seat_is_rebuilt(tmp_path: Path, ending: ExitStack) -> None:
    record = Run(tmp_path / "once", ending, **RUNS["plain"]).finish()
    run = Run(tmp_path / "other", ending, **RUNS["plain"])
    stray = Train(
        request=REQUEST, round=99, sender=address("owner-2"), recipient=address("owner-1"), scale=1, trainers=1, weights=(1, 2, 3)
    )
    run.seats["owner-1"].arrived(SignedMessage.of(stray, signer("owner-2")), stray)
    assert "may say that" in (run.seats["owner-1"].fault or "")
    handled = [run.mails["owner-1"].handled(REQUEST, address("owner-1"), refused=refused) for refused in (False, True)]
    assert handled[0] == []
    assert [kept.fault for kept in handled[1]] == [run.seats["owner-1"].fault]
    assert run.finish(rebuilt=True) == record


def test_a_data_set_that_was_measured_too_often_refuses_and_its_seat_lives(tmp_path: Path, ending: ExitStack) -> None:
    run = Run(tmp_path, ending, limit=1, **RUNS["plain"])
    while run.step(rebuilt=True):
        pass
    faults = [kept.fault for kept in run.mails["owner-2"].handled(REQUEST, address("owner-2"), refused=True) if kept.fault]
    assert len(faults) == 1
    assert "is its limit: offer other rows" in faults[0]
    assert not run.desk.aggregator.done
    assert run.desk.aggregator.awaited == {address("owner-2")}


def test_a_model_that_came_before_its_settlement_was_known_is_taken_by_the_rebuilt_seat(tmp_path: Path, ending: ExitStack) -> None:
    run = Run(tmp_path, ending, **RUNS["plain"])
    while run.step():
        pass
    run.settle()
    while run.step():
        pass
    assert run.buyer.model is None
    refused = run.mails["buyer"].handled(REQUEST, address("buyer"), FinalModel.kind, refused=True)
    assert [kept.fault is None for kept in refused] == [False]
    run.seats["buyer"] = run.seat("buyer")
    assert run.buyer.model is not None


def test_a_store_that_leads_elsewhere_is_not_resumed(tmp_path: Path, ending: ExitStack) -> None:
    run = Run(tmp_path, ending, **RUNS["plain"])
    for _ in range(30):
        run.step()
    (first, *_) = run.mails["buyer"].handled(REQUEST, address("buyer"))
    message = SignedMessage.decode(first.body).open()
    wrong = type(message)(**{**vars(message), "round": 77})
    run.mails["buyer"].receive(SignedMessage.of(wrong, signer("aggregator")), wrong)
    with pytest.raises(MessageError, match="handled before is refused now"):
        run.seat("buyer")
