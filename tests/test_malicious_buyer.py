"""A buyer that lies, in a process of its own: it is caught, the error says who answered what, and it has learned no weight."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from adversaries import BuyersProcess, HereBuyer, Lie, Table, final_model, honest
from helpers import descend, oracle

from deltaml_core import schemes
from deltaml_core.errors import MessageError
from deltaml_core.fixedpoint import Slots
from deltaml_core.messages import (
    Evaluate,
    MaskedErrors,
    MeasurementFailed,
    Message,
    OpenedMasked,
    OpenedSums,
    Products,
    ZeroTest,
    ZeroTestAnswer,
)
from deltaml_core.schedule import SECRET_BITS, Kind, error_slots, masked_weight_slots
from deltaml_core.schemes.base import PrivateKey

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

MEASUREMENT = 1
"""The lies are told from the second measurement on, that of round 2."""


@pytest.fixture(scope="module")
def process() -> Iterator[BuyersProcess]:
    with BuyersProcess() as started:
        yield started


# --- the lies; they run in the buyer's process and know what it knows -----------------------------------------------


@dataclass
class InProducts:
    """Shifts Q, Q', or both by what would pass if the secret factor were a guessed one."""

    shift: int
    scaled: bool
    plain: bool
    guess: int = 0
    attempts: tuple[int, ...] = (1, 2)

    def __call__(self, answers: Sequence[Message], asked: Message, key: PrivateKey) -> Sequence[Message]:
        return [self.changed(answer, key) for answer in answers]

    def changed(self, answer: Message, key: PrivateKey) -> Message:
        if not isinstance(answer, Products) or answer.evaluation < MEASUREMENT or answer.attempt not in self.attempts:
            return answer
        products, scaled = key.decrypt(answer.products), key.decrypt(answer.scaled)
        products[-1] += self.shift if self.plain else 0
        scaled[-1] += self.shift * (self.guess**2 if self.guess else 1) if self.scaled else 0
        return replace(answer, products=key.encrypt(products), scaled=key.encrypt(scaled))


@dataclass
class InOpening:
    """Changes a plaintext or the randomness of an opening."""

    kind: type[Message]
    name: str
    by: int

    def __call__(self, answers: Sequence[Message], asked: Message, key: PrivateKey) -> Sequence[Message]:
        return [self.changed(answer) for answer in answers]

    def changed(self, answer: Message) -> Message:
        values = getattr(answer, self.name, ())
        if not isinstance(answer, self.kind) or not values or getattr(answer, "evaluation", MEASUREMENT) < MEASUREMENT:
            return answer
        return replace(answer, **{self.name: (values[0] + self.by, *values[1:])})


@dataclass
class OldAnswer:
    """Answers with what it answered to an earlier measurement, under the new one's number."""

    kind: type[Message]
    kept: dict[str, Message] = field(default_factory=dict)

    def __call__(self, answers: Sequence[Message], asked: Message, key: PrivateKey) -> Sequence[Message]:
        found = []
        for answer in answers:
            if not isinstance(answer, self.kind):
                found.append(answer)
                continue
            old = self.kept.setdefault(answer.recipient, answer)
            changes = {name: getattr(answer, name) for name in ("round", "evaluation", "attempt") if hasattr(answer, name)}
            found.append(replace(old, **changes))
        return found


@dataclass
class AboutAnother:
    """Answers about another request, measurement, attempt, round or validator than it was asked about."""

    kind: type[Message]
    changes: dict[str, object]

    def __call__(self, answers: Sequence[Message], asked: Message, key: PrivateKey) -> Sequence[Message]:
        return [replace(answer, **self.changes) if isinstance(answer, self.kind) else answer for answer in answers]


@dataclass
class TwoAnswers:
    """Answers a measurement twice, with different products."""

    def __call__(self, answers: Sequence[Message], asked: Message, key: PrivateKey) -> Sequence[Message]:
        others = [replace(a, products=key.encrypt([1]), scaled=key.encrypt([1])) for a in answers if isinstance(a, Products)]
        return [*answers, *others]


# --- what must come of them ---------------------------------------------------------------------------------------------


def learned_no_weight(table: Table) -> None:
    """Nothing the buyer can read of what it received, alone or as a difference of two, is a weight of any round or owner."""
    assert table.buyer.model() is None
    rounds = range(1, table.terms.rounds + 1)
    known = [oracle(table.shards, [1, 2], number, table.terms.step)[0] for number in rounds]
    zero = np.zeros(table.terms.weights)
    known += [descend(shard, zero, table.terms.step, number) for shard in table.shards for number in (1, table.terms.rounds)]
    weights = np.abs(np.concatenate(known))
    assert close_to_one(weights, known[0])  # the comparison finds what is there
    assert not close_to_one(weights, *readings(table))


def readings(table: Table) -> list[np.ndarray]:
    """All numbers the buyer's key opens, whole and slot by slot, and neighbours' differences, at every scale of the run."""
    party = table.seat(table.buyer.address)
    layouts: set[Slots] = set()
    scales = {step.scale for step in party.steps} | {step.scale + table.terms.map_bits for step in party.steps}
    for scale in scales:
        layouts |= {error_slots(table.terms, party.key.capacity, scale), masked_weight_slots(table.terms, party.key.capacity, scale)}
    found = []
    opened = table.buyer.readable()
    assert {kind for kind, _, _ in opened} & {"masked-errors", "open-masked", "open-sums"}
    for _, _, plaintexts in opened:
        numbers = list(plaintexts)
        for layout in layouts:
            digits = [digit for plaintext in plaintexts for digit in layout.split(abs(plaintext), layout.per_plaintext)]
            lifts = (0, layout.offset, layout.offset << SECRET_BITS)
            numbers += [digit - lift for digit in digits for lift in lifts]
            numbers += [second - first for first, second in pairwise(digits)]
        found += [np.array([abs(number) / 2**scale for number in numbers if number.bit_length() < 1000]) for scale in scales]
    return found


def close_to_one(weights: np.ndarray, *numbers: np.ndarray) -> bool:
    """Whether a number is a weight to seven digits."""
    every = np.abs(np.concatenate(numbers))
    return bool((np.abs(every[:, None] - weights[None, :]) <= 1e-7 * weights[None, :]).any())


def check_fails(process: BuyersProcess, lie: Lie, why: str, by: str = "buyer", **terms: object) -> Table:
    """The run with this lie ends in an error that says why and names whose answer it was; the buyer is left with nothing."""
    table = Table(process=process, lie=lie, **terms)
    with pytest.raises(MessageError, match=why) as failure:
        table.run()
    assert failure.value.sender == (table.buyer.address if by == "buyer" else table.validators[0])
    assert table.buyer.address in str(failure.value)
    assert not table.aggregator.done
    learned_no_weight(table)
    with pytest.raises(MessageError, match="has not settled yet"):
        table.buyer.hear(envelope_of_the_model(table))
    return table


def envelope_of_the_model(table: Table) -> bytes:
    table.say([final_model(table, table.trainers[0], table.aggregator._weights, table.aggregator._scale)])
    return table.transcript.entries[-1]


def odd_guess() -> int:
    return secrets.randbits(SECRET_BITS) | 1


@pytest.mark.parametrize(
    "lie",
    [
        InProducts(1, scaled=False, plain=True),
        InProducts(-(1 << 140), scaled=False, plain=True),
        InProducts(1, scaled=True, plain=False),
        InProducts(1 << 200, scaled=True, plain=False),
        InProducts(1 << 140, scaled=True, plain=True),
        InProducts(-(1 << 140), scaled=True, plain=True, guess=odd_guess()),
        OldAnswer(Products),
    ],
    ids=["Q", "Q far off", "Q'", "Q' far off", "both", "both for a wrong secret", "an old answer"],
)
def test_a_lie_in_the_products_fails_the_zero_test_twice(process: BuyersProcess, lie: Lie) -> None:
    table = check_fails(process, lie, "did not pass the zero test of", by="validator")
    failed = table.heard(MeasurementFailed)[0]
    assert failed.evaluation >= (0 if isinstance(lie, OldAnswer) else MEASUREMENT)
    attempts = [
        asked.attempt for asked in table.heard(MaskedErrors) if (asked.sender, asked.evaluation) == (failed.sender, failed.evaluation)
    ]
    assert attempts == [1, 2]
    refused = [a for a in table.heard(ZeroTestAnswer) if a.recipient == failed.sender and a.evaluation == failed.evaluation]
    assert [answer.randomness for answer in refused] == [(), ()]


def test_a_single_slip_is_measured_again_and_the_result_is_right(process: BuyersProcess) -> None:
    table = Table(process=process, lie=InProducts(1 << 140, scaled=False, plain=True, attempts=(1,))).run()
    weights, history = oracle(table.shards, [1, 2], 4, 0.5)
    assert {asked.attempt for asked in table.heard(MaskedErrors) if asked.evaluation == MEASUREMENT} == {1, 2}
    assert [metric.mse for _, metric in table.aggregator.history] == pytest.approx([mse for _, mse in history], rel=1e-7)
    assert table.settle() == pytest.approx(weights.tolist(), rel=1e-7)


def test_masks_and_secret_are_new_in_the_second_attempt(process: BuyersProcess) -> None:
    lie = InProducts(1, scaled=False, plain=True, attempts=(1,))
    table = Table(process=process, lie=lie, rounds=2, key_bits=1024).run()
    first, second = (asked for asked in table.heard(MaskedErrors) if (asked.sender, asked.evaluation) == (table.validators[0], MEASUREMENT))
    assert len(second.masked) == second.models * second.entries > len(first.masked)
    opened = [plaintexts for kind, name, plaintexts in table.buyer.readable() if (kind, name) == ("masked-errors", "masked")]
    assert len({number for plaintexts in opened for number in plaintexts}) == sum(map(len, opened))


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (InOpening(OpenedSums, "plaintexts", 1), "its opening of measurement 1 does not hold"),
        (InOpening(OpenedSums, "plaintexts", -1), "its opening of measurement 1 does not hold"),
        (InOpening(OpenedSums, "randomness", 1), "its opening of measurement 1 does not hold"),
        (OldAnswer(OpenedSums), "its opening of measurement 1 does not hold"),
        (InOpening(OpenedMasked, "plaintexts", 1), "its opening of the masked weights does not hold"),
        (InOpening(OpenedMasked, "plaintexts", 1 << 300), "its opening of the masked weights does not hold"),
        (InOpening(OpenedMasked, "randomness", 1), "its opening of the masked weights does not hold"),
        (OldAnswer(OpenedMasked), "its opening of the masked weights does not hold"),
    ],
    ids=["error", "error lower", "randomness", "old error", "weights", "weights far off", "randomness of weights", "old weights"],
)
def test_a_lie_in_an_opening(process: BuyersProcess, lie: Lie, why: str) -> None:
    table = Table(process=process, lie=lie, rounds=12)
    assert sum(step.kind is Kind.REFRESH for step in table.seat("anybody").steps) >= 2
    with pytest.raises(MessageError, match=why) as failure:
        table.run()
    assert failure.value.sender == table.buyer.address
    assert not table.aggregator.done
    learned_no_weight(table)


@pytest.mark.parametrize(
    ("lie", "why", "by"),
    [
        (InOpening(ZeroTestAnswer, "randomness", 1), "did not pass the zero test of", "validator"),
        (OldAnswer(ZeroTestAnswer), "did not pass the zero test of", "validator"),
        (AboutAnother(Products, {"request": "request-2"}), "belongs to request 'request-2'", "buyer"),
        (AboutAnother(Products, {"evaluation": 7}), "attempt 1 of measurement 7 is not under way", "buyer"),
        (AboutAnother(Products, {"attempt": 2}), "attempt 2 of measurement 0 is not under way", "buyer"),
        (AboutAnother(Products, {"round": 2}), "attempt 1 of measurement 0 is not under way", "buyer"),
        (AboutAnother(ZeroTestAnswer, {"request": "request-2"}), "belongs to request 'request-2'", "buyer"),
        (AboutAnother(ZeroTestAnswer, {"evaluation": 7}), "attempt 1 of measurement 7 is not under way", "buyer"),
        (AboutAnother(OpenedSums, {"request": "request-2"}), "belongs to request 'request-2'", "buyer"),
        (AboutAnother(OpenedSums, {"evaluation": 7}), "measurement 7 is not under way", "buyer"),
        (AboutAnother(OpenedSums, {"round": 3}), "measurement 0 is not under way", "buyer"),
        (AboutAnother(OpenedSums, {"plaintexts": (), "randomness": ()}), "opening of measurement 0 does not hold", "buyer"),
        (AboutAnother(Products, {"products": (), "scaled": ()}), "expected 1 ciphertexts, got 0", "buyer"),
        (AboutAnother(Products, {"products": (0,)}), "not between 1 and", "buyer"),
    ],
    ids=lambda value: "".join(sorted(value.changes)) if isinstance(value, AboutAnother) else "",
)
def test_an_answer_to_something_else(process: BuyersProcess, lie: Lie, why: str, by: str) -> None:
    check_fails(process, lie, why, by)


def test_two_different_answers_are_equivocation_and_both_stay_on_record(process: BuyersProcess) -> None:
    table = check_fails(process, TwoAnswers(), "answered measurement 0 twice: both answers are evidence")
    first, second = (answer for answer in table.heard(Products) if answer.recipient == table.validators[0])
    assert first.evaluation == second.evaluation == 0
    assert first.products != second.products


def test_one_opened_products_zero_test_is_no_answer_to_another_validators(process: BuyersProcess) -> None:
    """The randomness that shows one ciphertext's zero shows no other's."""
    table = Table(process=process)
    table.until(ZeroTestAnswer)
    other = table.until(ZeroTestAnswer, skip=1)
    tests = {test.sender: test.ciphertext[0] for test in table.heard(ZeroTest)}
    assert len(tests) == 2
    key = table.seat("anybody").key
    holds = [key.verify(c, schemes.base.Opening(0, other.randomness[0])) for c in tests.values()]
    assert sorted(holds) == [False, True]


# --- starting from weights of its own choice ----------------------------------------------------------------------------


def test_weights_too_large_to_hide_are_not_measured() -> None:
    """A buyer that started from them would read a column of the validator's folded rows off its masked errors."""
    table = Table()
    honest_start = table.until(Evaluate)
    key = table.seat("anybody").key
    for weights in ([1 << 300, 0, 0], [0, 0, 1], [0, 0, 0]):
        crafted = replace(honest_start, weights=key.encrypt(weights))
        with pytest.raises(MessageError, match="starts from zeros that everybody recognises") as refusal:
            table.owners[honest_start.recipient].handle(crafted)
        assert refusal.value.sender == table.aggregator_name
    assert table.run().aggregator.done


# --- what a buyer that keeps to the protocol holds ----------------------------------------------------------------------


def test_an_honest_buyer_reads_no_weight_before_settlement_and_the_model_after(process: BuyersProcess) -> None:
    table = Table(process=process, rounds=12, lie=honest).run()
    assert table.aggregator.done
    learned_no_weight(table)
    with pytest.raises(MessageError, match="has not settled yet"):
        table.buyer.hear(envelope_of_the_model(table))
    assert table.buyer.model() is None
    assert table.settle() == pytest.approx(oracle(table.shards, [1, 2], 12, 0.5)[0].tolist(), rel=1e-6)


def test_what_a_process_holds_is_searched_for_weights_with_success() -> None:
    """The search that finds nothing before settlement does find a weight in the model itself."""
    table = Table().run()
    table.settle()
    assert isinstance(table.buyer, HereBuyer)
    weights = np.abs(oracle(table.shards, [1, 2], 4, 0.5)[0])
    assert close_to_one(weights, *readings(table))
