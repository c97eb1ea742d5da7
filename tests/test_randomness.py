"""Random numbers: uniform, the system's by default, and for a seat with a secret the same once more when it is rebuilt."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import pytest
from helpers import Stage, key_pair, random_shards, seat
from hypothesis import given
from hypothesis import strategies as st

from deltaml_core import schemes
from deltaml_core.errors import RandomnessError
from deltaml_core.messages import Message, encode
from deltaml_core.party import Party
from deltaml_core.randomness import SYSTEM, Draws, Randomness, Replayable
from deltaml_core.terms import RequestDocument
from deltaml_core.transcript import Transcript

SECRET = bytes(range(32))


def begun(secret: bytes = SECRET, purpose: bytes = b"one") -> Replayable:
    source = Replayable(secret)
    source.begin(purpose)
    return source


def numbers(source: Draws, count: int = 8) -> list[int]:
    return [source.randbits(320) for _ in range(count)]


# --- the laws ----------------------------------------------------------------------------------------------------

sources = st.one_of(st.just(SYSTEM), st.builds(begun, st.binary(min_size=32, max_size=32), st.binary()))
limits = st.one_of(st.integers(1, 300), st.integers(1, 2**700), st.integers(0, 700).map(lambda bits: 1 << bits))


@given(sources, limits)
def test_numbers_are_below_their_limit(source: Randomness, limit: int) -> None:
    assert all(0 <= source.randbelow(limit) < limit for _ in range(5))


@given(sources, st.integers(0, 2000))
def test_numbers_have_at_most_the_bits_asked_for(source: Randomness, bits: int) -> None:
    assert all(0 <= source.randbits(bits) < 1 << bits for _ in range(5))


@given(st.binary(), st.integers(1, 12))
def test_all_numbers_below_the_limit_are_drawn(purpose: bytes, limit: int) -> None:
    source = begun(purpose=purpose)
    assert {source.randbelow(limit) for _ in range(400)} == set(range(limit))


@pytest.mark.parametrize("source", [SYSTEM, begun()])
@pytest.mark.parametrize("limit", [0, -1])
def test_nothing_is_below_zero(source: Randomness, limit: int) -> None:
    with pytest.raises(ValueError):
        source.randbelow(limit)


def test_golden_vector() -> None:
    """The format of the stream, written out with hashlib alone: a node must be able to replay what an older version drew."""
    key = hashlib.shake_256(b"DeltaML randomness v1" + SECRET + b"m" + b"one").digest(32)
    first = int.from_bytes(hashlib.shake_256(key + bytes(8)).digest(10), "big")
    second = int.from_bytes(hashlib.shake_256(key + bytes(7) + b"\1").digest(1), "big") >> 3
    source = begun()
    assert (source.randbits(80), source.randbits(5)) == (first, second)
    assert first == 0x3B3321CF47E80D68F5E


# --- one secret, one purpose -------------------------------------------------------------------------------------


def test_the_same_secret_and_purpose_give_the_same_numbers_whatever_was_begun_before() -> None:
    source = begun(purpose=b"other")
    numbers(source, 3)
    source.begin(b"one")
    assert numbers(source) == numbers(begun())


def test_another_secret_or_purpose_and_every_further_draw_give_other_numbers() -> None:
    streams = [begun(), begun(purpose=b"two"), begun(purpose=b""), begun(bytes(32)), begun().fixed(b"one"), begun().fixed(b"two")]
    found = [number for stream in streams for number in numbers(stream)]
    assert len(set(found)) == len(found) == 48


def test_what_is_drawn_once_in_a_life_depends_on_nothing_that_happens_in_it() -> None:
    early, late = Replayable(SECRET), begun()
    first = numbers(early.fixed(b"one"))
    numbers(late)
    assert numbers(late.fixed(b"one")) == numbers(late.fixed(b"one")) == first
    assert numbers(late) == numbers(begun(), 16)[8:]


def test_the_system_repeats_nothing() -> None:
    found = [number for _ in range(4) for number in (*numbers(SYSTEM), *numbers(SYSTEM.fixed(b"one")))]
    assert len(set(found)) == len(found)


def test_nothing_is_drawn_before_a_purpose_was_begun() -> None:
    source = Replayable(SECRET)
    with pytest.raises(RandomnessError, match="call begin"):
        source.randbits(8)
    with pytest.raises(RandomnessError, match="call begin"):
        source.randbelow(8)


def test_no_purpose_is_begun_twice_in_a_life() -> None:
    source = begun()
    source.begin(b"two")
    for purpose in (b"one", b"two"):
        with pytest.raises(RandomnessError, match="before"):
            source.begin(purpose)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_secret_has_32_bytes(length: int) -> None:
    with pytest.raises(RandomnessError, match=f"32 bytes, not {length}"):
        Replayable(bytes(length))


def test_nothing_of_the_secret_is_shown() -> None:
    source = begun()
    assert repr(source) == str(source) == "Replayable()"


# --- keys --------------------------------------------------------------------------------------------------------


def test_keys_draw_from_the_source_they_are_given() -> None:
    pair = key_pair("paillier", 256)

    def ciphertexts(secret: bytes) -> list[int]:
        private = pair.drawing_from(begun(secret))
        public = schemes.public_key("paillier", pair.public.modulus, begun(secret))
        return [*private.encrypt([1, 2]), *private.public.encrypt([3]), *public.encrypt([4]), *public.rerandomise((1, 1))]

    assert ciphertexts(SECRET) == ciphertexts(SECRET)
    assert len({*ciphertexts(SECRET), *ciphertexts(bytes(32))}) == 12
    assert pair.drawing_from(begun()).decrypt(tuple(ciphertexts(SECRET))) == [1, 2, 3, 4, 0, 0]
    assert pair.drawing_from(begun()).public.modulus == pair.public.modulus


def test_a_seat_hands_its_source_to_its_key() -> None:
    pair = key_pair("paillier", 512)
    document = RequestDocument(Stage(scheme="paillier").terms, pair.public.modulus, pair.prove_modulus())
    source = begun()
    parties = [Party.take("request-1", "owner", document, "buyer", "aggregator", randomness=chosen) for chosen in (source, begun())]
    assert parties[0].randomness is source
    assert parties[0].key.encrypt([1]) == parties[1].key.encrypt([1])
    assert Party.take("request-1", "owner", document, "buyer", "aggregator").randomness is SYSTEM


# --- a rebuilt seat ----------------------------------------------------------------------------------------------


class ReplayableStage(Stage):
    """Every seat draws from a secret of its own, and remembers what it handled and answered.

    Attributes:
        handled: by seat, each message with the bytes of its answers.
    """

    def __init__(self, secret: bytes, **terms: Any) -> None:
        self._secret = secret
        self._sources: dict[str, Replayable] = {}
        super().__init__(random_shards(7, (9, 6, 12, 5, 4), 2), **terms)
        self.handled: dict[str, list[tuple[Message, list[bytes]]]] = {name: [] for name in self.roles}
        self.behind = dict(self.roles)
        self.roles = {name: _Node(name, self) for name in self.behind}

    def seat(self, name: str) -> Party:
        self._sources[name] = Replayable(hashlib.sha256(self._secret + name.encode()).digest())
        return seat(self.terms, name, randomness=self._sources[name])

    def record(self) -> Transcript:
        return Transcript(super().record().header, seed=self._secret)

    def handle(self, name: str, message: Message) -> list[Message]:
        self._sources[name].begin(hashlib.sha256(encode(message)).digest())
        answers: list[Message] = self.behind[name].handle(message)
        self.handled[name].append((message, [encode(answer) for answer in answers]))
        return answers


class _Node:
    def __init__(self, name: str, stage: ReplayableStage) -> None:
        self._name, self._stage = name, stage

    def handle(self, message: Message) -> list[Message]:
        return self._stage.handle(self._name, message)


def replayed(stage: ReplayableStage, secret: bytes, **terms: Any) -> ReplayableStage:
    """Everybody anew, each handed its own messages again."""
    again = ReplayableStage(secret, **terms)
    again.buyer.settled(stage.aggregator.weights_hash)
    for name, handled in stage.handled.items():
        for message, _ in handled:
            again.handle(name, message)
    return again


RUNS: dict[str, dict[str, Any]] = {
    "noise, plain": {"rounds": 6, "key_bits": 400},
    "noise, encrypted": {"rounds": 6, "key_bits": 400, "scheme": "paillier"},
    "verifiable, plain": {"rounds": 6, "key_bits": 512, "metrics": "verifiable"},
    "verifiable, encrypted": {"rounds": 6, "key_bits": 512, "metrics": "verifiable", "scheme": "paillier"},
    "robust, encrypted": {"rounds": 6, "key_bits": 512, "metrics": "verifiable", "scheme": "paillier", "robust": True},
}
each_run = pytest.mark.parametrize("terms", RUNS.values(), ids=RUNS)


@each_run
def test_a_rebuilt_seat_says_the_same_byte_for_byte(terms: dict[str, Any]) -> None:
    stage = ReplayableStage(SECRET, **terms)
    outcome = stage.finish()
    again = replayed(stage, SECRET, **terms)
    assert again.handled == stage.handled
    assert tuple(again.aggregator.history) == outcome.history
    assert again.buyer.model is not None
    assert tuple(again.buyer.model.tolist()) == outcome.model
    drawn = {"verifiable": {"masked-errors", "masks", "open-sums"}, "noise": {"open-residuals", "refresh"}}
    assert drawn[stage.terms.metrics] <= {message.kind for message in stage.delivered}


@pytest.mark.parametrize("terms", [RUNS["verifiable, encrypted"], RUNS["noise, encrypted"]], ids=["verifiable", "noise"])
def test_with_another_secret_it_would_say_something_else(terms: dict[str, Any]) -> None:
    """No ciphertext, mask or opening of two runs is the same."""
    stages = [ReplayableStage(secret, **terms) for secret in (SECRET, bytes(32))]
    said = []
    for stage in stages:
        stage.finish()
        said.append({number for message in stage.delivered for number in _large(message)})
    assert min(map(len, said)) > 100
    assert not said[0] & said[1]


def test_every_ciphertext_of_a_run_is_another_one() -> None:
    """Replayable seats repeat nothing within a life either: no two messages of a run share a fresh ciphertext."""
    stage = ReplayableStage(SECRET, **RUNS["verifiable, encrypted"])
    stage.finish()
    kinds = ("update", "masks", "masked-errors", "products", "zero-test")
    fresh = [set(_large(message)) for message in stage.delivered if message.kind in kinds]
    assert len(fresh) > 20
    assert not any(one & other for one, other in itertools.combinations(fresh, 2))


def _large(message: Message) -> list[int]:
    values = [value for value in vars(message).values() if isinstance(value, tuple)]
    return [number for value in values for number in value if isinstance(number, int) and number.bit_length() > 256]
