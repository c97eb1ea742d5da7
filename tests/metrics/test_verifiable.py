"""The verifiable measurement's laws: what it opens is what numpy computes, what the buyer sees hides it, a lie passes as theory says."""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from helpers import Array, key_pair, pooled_mse, seat, with_ones
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ks_2samp

from deltaml_core import randomness as randomness_module
from deltaml_core import schedule as schedule_module
from deltaml_core.contributions import GramErrors
from deltaml_core.errors import MetricError
from deltaml_core.fixedpoint import encode_array
from deltaml_core.measurement import Measurement, pairs
from deltaml_core.messages import (
    Evaluate,
    MaskedErrors,
    Measured,
    MeasurementFailed,
    Message,
    OpenedSums,
    Products,
    SquaredErrors,
    Subject,
    ZeroTest,
)
from deltaml_core.metrics.base import Evaluation
from deltaml_core.metrics.verifiable import aggregator as aggregator_module
from deltaml_core.metrics.verifiable import buyer as buyer_module
from deltaml_core.metrics.verifiable import validator as validator_module
from deltaml_core.metrics.verifiable.aggregator import VerifiableAggregator
from deltaml_core.metrics.verifiable.buyer import VerifiableBuyer
from deltaml_core.metrics.verifiable.validator import BLUR_BITS, VerifiableValidator
from deltaml_core.schedule import error_slots, high_mask_bits, masked_weight_slots
from deltaml_core.schemes.plain import PlainKey
from deltaml_core.statistics import Column, Dataset, Requirements
from deltaml_core.terms import TrainingTerms

FALSE_ALARM = 1e-6
"""Chance that a statistical test here would fail on a right implementation, were its seed not fixed."""

Shard = tuple[Array, Array]
Lie = Callable[[Products], Products]


def terms_of(features: int, low: float = -1.0, high: float = 1.0, magnitude: float = 1.0, **changes: Any) -> TrainingTerms:
    columns = tuple(Column(f"x{j + 1}", -magnitude, magnitude) for j in range(features))
    chosen = {"rounds": 4, "step": 0.5, "scheme": "plain", "key_bits": 2048, **changes}
    return TrainingTerms(Requirements(columns, Column("target", low, high)), **chosen)


@dataclass
class Table:
    """The three parts of the protocol, and a lie of the buyer's.

    Attributes:
        said: every message.
    """

    terms: TrainingTerms
    shards: Sequence[Shard]
    lie: Lie = lambda answer: answer
    said: list[Message] = field(default_factory=list)

    def measure(self, weights: Array, *, round_number: int = 0, scale: int | None = None, factor: tuple[int, int] = (1, 1)) -> Measurement:
        """Measure models, (models, d), given at a scale of the schedule."""
        scale = self.terms.base_scale if scale is None else scale
        names = [f"validator-{number}" for number in range(len(self.shards))]
        validators = {
            name: VerifiableValidator(seat(self.terms, name), Dataset.of(*shard)) for name, shard in zip(names, self.shards, strict=True)
        }
        key = key_pair(self.terms.scheme, self.terms.key_bits)
        buyer = VerifiableBuyer(seat(self.terms, "buyer"), key)
        aggregator = VerifiableAggregator(seat(self.terms, "aggregator"), names)
        weights = np.atleast_2d(weights)
        encrypted = key.encrypt(encode_array(weights, scale))
        models, (numerator, denominator) = len(weights), factor
        subject = Subject.MODEL if models == 1 else Subject.SOLO_MODELS
        asked = Evaluation(0, round_number, subject, encrypted, scale, models, numerator=numerator, denominator=denominator)
        waiting, measurement = deque(aggregator.begin(asked)), None
        while waiting:
            message = waiting.popleft()
            self.said.append(message)
            if message.recipient == "buyer":
                answers = buyer.handle(message)
                waiting += [self.lie(answer) if isinstance(answer, Products) else answer for answer in answers]
            elif message.recipient == "aggregator":
                answers, finished = aggregator.handle(message)
                waiting += answers
                measurement = finished.measurement if finished else measurement
            elif isinstance(message, Measured):
                assert validators[message.recipient].check(message) == measurement
            elif isinstance(message, Evaluate):
                waiting += validators[message.recipient].measure(message)
            else:
                waiting += validators[message.recipient].handle(message)
        assert measurement is not None
        return measurement

    def solo(self, weights: Array, factor: tuple[int, int] = (1, 1)) -> Measurement:
        """Measure as the solo models are, after the last round."""
        scale = self.terms.base_scale + self.terms.map_bits
        return self.measure(weights, round_number=self.terms.rounds, scale=scale, factor=factor)

    def heard(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind)]


def residuals(shards: Sequence[Shard], weights: Array) -> Array:
    """(models, rows), pooled over the shards."""
    return np.array([np.concatenate([with_ones(X) @ w - y for X, y in shards]) for w in np.atleast_2d(weights)])


# --- it opens what numpy computes ---------------------------------------------------------------------------------------


@st.composite
def cases(draw: Any) -> tuple[TrainingTerms, list[Shard], Array]:
    """One to three validators of 1 to 12 rows, fewer rows than features included; targets tiny and huge, far from zero and not."""
    features, models = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    spread, magnitude = draw(st.sampled_from([1e-6, 1.0, 1e5])), draw(st.sampled_from([0.05, 1.0, 30.0]))
    middle = draw(st.sampled_from([0.0, 0.0, 3.0, -40.0])) * spread
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    terms = terms_of(features, middle - spread, middle + spread, magnitude, scheme=draw(st.sampled_from(["plain"] * 9 + ["paillier"])))
    shards = []
    for rows in draw(st.lists(st.integers(1, 12), min_size=1, max_size=3)):
        X = rng.uniform(-magnitude, magnitude, (rows, features))
        y = middle + rng.uniform(-spread, spread, rows)
        if draw(st.booleans()):
            X, y = magnitude * np.sign(X), middle + spread * np.sign(y - middle)
        shards.append((X, y))
    w = np.column_stack(
        [rng.uniform(-1, 1, (models, features)) * spread / magnitude / features, middle + rng.uniform(-1, 1, models) * spread]
    )
    return terms, shards, w


@given(cases())
@settings(max_examples=60)
@pytest.mark.filterwarnings("ignore::deltaml_core.errors.ConstantColumnWarning")
def test_a_measurement_is_the_mean_squared_error_within_its_blur(case: tuple[TrainingTerms, list[Shard], Array]) -> None:
    terms, shards, weights = case
    table = Table(terms, shards)
    measured = table.measure(weights[0])
    assert measured.rows == sum(len(y) for _, y in shards)
    off = measured.metric.mse - pooled_mse(shards, weights[0])
    blur = 2.0**-BLUR_BITS * terms.target_range**2
    rounding = 1e-9 * max(abs(terms.requirements.target.magnitude), terms.target_range) * terms.target_range
    assert -rounding <= off <= blur + rounding
    assert {asked.attempt for asked in table.heard(MaskedErrors)} == {1}  # V' - alpha**2 V was exactly 0


@given(cases(), st.sampled_from([(1, 1), (3, 1), (4, 4), (5, 3)]))
@settings(max_examples=60)
@pytest.mark.filterwarnings("ignore::deltaml_core.errors.ConstantColumnWarning")
def test_several_models_open_the_gram_matrix_of_their_residuals(
    case: tuple[TrainingTerms, list[Shard], Array], factor: tuple[int, int]
) -> None:
    terms, shards, weights = case
    table = Table(terms, shards)
    ratio = factor[0] / factor[1]
    measured = table.solo(weights / ratio, factor)
    vectors = residuals(shards, weights)
    expected = vectors @ vectors.T
    scale = 2.0 ** -(2 * measured.scale)
    tolerance = (2.0**-BLUR_BITS * ratio**2 * terms.target_range**2 + 2e-9 * terms.error_bound**2) * measured.rows
    for (i, k), plaintext in zip(pairs(len(weights)), measured.plaintexts, strict=True):
        assert plaintext * scale * ratio**2 == pytest.approx(expected[i, k], abs=tolerance)
    assert {asked.attempt for asked in table.heard(MaskedErrors)} == {1}


def test_a_coalitions_error_follows_from_the_gram_matrix() -> None:
    rng = np.random.default_rng(5)
    shards = [(rng.uniform(-1, 1, (7, 2)), rng.uniform(-1, 1, 7)), (rng.uniform(-1, 1, (4, 2)), rng.uniform(-1, 1, 4))]
    weights = rng.uniform(-0.5, 0.5, (3, 3))
    error = GramErrors("abc", Table(terms_of(2), shards).solo(weights))
    for coalition in ("a", "bc", "ac", "cba"):
        average = weights[["abc".index(member) for member in coalition]].mean(axis=0)
        assert error(tuple(coalition)).mse == pytest.approx(pooled_mse(shards, average), abs=1e-8)


@pytest.mark.parametrize("bits", [1024, 2048])
def test_an_error_of_zero_is_measured(bits: int) -> None:
    """The squared error of a perfect model is no negative number, which would stay closed."""
    X = np.array([[0.5, -0.25], [1.0, 1.0], [-1.0, 0.125]])
    weights = np.array([0.25, 0.5, -0.125])
    shards = [(X, with_ones(X) @ weights)] * 2
    measured = Table(terms_of(2, key_bits=bits), shards).measure(weights)
    assert 0 <= measured.metric.mse <= 2.0**-BLUR_BITS * 4


def test_the_blur_is_new_for_every_measurement_and_stays_below_its_bound() -> None:
    X, y = np.array([[0.5], [-0.5]]), np.array([0.75, -0.75])
    terms, weights = terms_of(1), np.array([0.25, 0.5])
    opened = [Table(terms, [(X, y)]).measure(weights).metric for _ in range(200)]
    exact = pooled_mse([(X, y)], weights)
    blurs = np.array([float(metric.exact) - exact for metric in opened]) / terms.target_range**2 * 2**BLUR_BITS
    assert len({metric.squared_error for metric in opened}) == 200
    assert blurs.min() > -0.1
    assert blurs.max() < 1.1
    assert blurs.max() - blurs.min() > 0.9


def test_masks_and_secrets_are_new_for_every_measurement() -> None:
    X, y = np.array([[0.5], [-0.5]]), np.array([0.75, -0.75])
    seen = []
    for _ in range(20):
        table = Table(terms_of(1, scheme="paillier", key_bits=1024), [(X, y)])
        table.measure(np.array([0.25, 0.5]))
        (asked,), (test,), (values,) = table.heard(MaskedErrors), table.heard(ZeroTest), table.heard(SquaredErrors)
        seen += [*asked.masked, *asked.scaled, *test.ciphertext, *values.values]
    assert len(set(seen)) == len(seen)


# --- what the buyer sees hides what it hides ----------------------------------------------------------------------------


class Seeded(random.Random):
    """Repeatable randomness in place of the system's, for statistics."""

    def randbits(self, bits: int) -> int:
        return self.getrandbits(bits)

    def randbelow(self, bound: int) -> int:
        return self.randrange(bound)


def patched(monkeypatch: pytest.MonkeyPatch, seed: int, **sizes: int) -> None:
    """Seeded randomness, and MASK_BITS or SECRET_BITS of another size wherever they are used."""
    monkeypatch.setattr(randomness_module, "secrets", Seeded(seed))
    modules: tuple[ModuleType, ...] = (schedule_module, validator_module, buyer_module, aggregator_module)
    for name, bits in sizes.items():
        users = [module for module in modules if hasattr(module, name)]
        assert len(users) >= 2
        for module in users:
            monkeypatch.setattr(module, name, bits)


def seen_by_the_buyer(terms: TrainingTerms, shard: Shard, weights: Array, samples: int, name: str) -> Array:
    """The first entry's digit in `masked` or `scaled`, of many measurements, as a fraction of its slot."""
    validator = VerifiableValidator(seat(terms, "validator-0"), Dataset.of(*shard))
    slots = error_slots(terms, PlainKey(terms.key_bits).capacity, terms.base_scale)
    asked = Table(terms, [shard])
    asked.measure(weights)
    (evaluate,) = asked.heard(Evaluate)
    found = []
    for number in range(samples):
        (masked,) = validator.measure(replace(evaluate, evaluation=number))
        assert isinstance(masked, MaskedErrors)
        found.append(slots.split_all(getattr(masked, name), masked.entries)[0] / 2.0**slots.width)
    return np.array(found)


@pytest.mark.parametrize("name", ["masked", "scaled"])
def test_what_the_buyer_decrypts_does_not_depend_on_the_weights(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With masks of 12 bits two distributions are 2**-11 apart: 1000 samples of each do not tell them apart, with masks of 0 bits they do.

    A two-sample Kolmogorov-Smirnov test at a false-alarm probability of 1e-6.
    """
    shard = (np.array([[1.0], [-1.0], [1.0]]), np.array([1.0, -1.0, 1.0]))
    near, far = np.array([1.0, 0.0]), np.array([-2.0, 0.5])
    for bits, told_apart in ((12, False), (0, True)):
        patched(monkeypatch, 11, MASK_BITS=bits)
        terms = terms_of(1, rounds=1)
        samples = [seen_by_the_buyer(terms, shard, weights, 1000, name) for weights in (near, far)]
        assert (ks_2samp(*samples).pvalue < FALSE_ALARM) == told_apart


# --- a lie passes as often as theory says -------------------------------------------------------------------------------

SMALL = 4
SECRETS = 1 << (SMALL - 1)
"""Odd numbers of four bits."""


def passing_rate(lie: Lie, models: int, trials: int) -> int:
    """How many of many measurements a lying buyer gets through."""
    rng = np.random.default_rng(1)
    shard = (rng.uniform(-1, 1, (2, 1)), rng.uniform(-1, 1, 2))
    terms = terms_of(1, rounds=1, key_bits=1024)
    passed = 0
    for _ in range(trials):
        table = Table(terms, [shard], lie)
        with contextlib.suppress(MetricError):
            table.solo(np.zeros((models, 2)))
        assert table.heard(OpenedSums) or len(table.heard(MeasurementFailed)) == 1
        passed += bool(table.heard(OpenedSums))
    return passed


def guessing_the_secret(answer: Products, guess: int = 5) -> Products:
    """Both products off by what fits one secret."""
    if answer.attempt > 2:
        return answer
    shift = 1 << 60
    return replace(
        answer,
        products=(answer.products[0] + shift, *answer.products[1:]),
        scaled=(answer.scaled[0] + guess**2 * shift, *answer.scaled[1:]),
    )


def guessing_secret_or_weight(answer: Products, guess: int = 5, weight: int = 11) -> Products:
    """Two pairs off, so that a right guess of the secret, or of the second pair's weight in the test, is enough: the best cheat known."""
    shift = 1 << 60
    changes = (-weight * shift, shift)
    products = tuple(a + change for a, change in zip(answer.products, (*changes, 0), strict=True))
    scaled = tuple(a + guess**2 * change for a, change in zip(answer.scaled, (*changes, 0), strict=True))
    return replace(answer, products=products, scaled=scaled)


def once(lie: Lie) -> Lie:
    """Lies in the first attempt and stays silent on a right answer in the second, so that only the first counts."""
    return lambda answer: lie(answer) if answer.attempt == 1 else replace(answer, products=tuple(a + 1 for a in answer.products))


def within(passed: int, trials: int, probability: float) -> bool:
    """Whether a count agrees with a binomial distribution, at the false-alarm probability of this file."""
    return bool(binom.ppf(FALSE_ALARM / 2, trials, probability) <= passed <= binom.isf(FALSE_ALARM / 2, trials, probability))


ONE = 1 / SECRETS
BOTH = 1 - (1 - ONE) ** 2


@pytest.mark.parametrize(
    ("lie", "models", "probability"),
    [
        (once(guessing_the_secret), 1, ONE),
        (guessing_the_secret, 1, BOTH),
        (guessing_the_secret, 2, BOTH),
        (once(guessing_secret_or_weight), 2, BOTH),
        (guessing_secret_or_weight, 2, 1 - (1 - BOTH) ** 2),
    ],
    ids=["one attempt", "two attempts", "several pairs", "batched, one attempt", "batched, two attempts"],
)
def test_the_cheating_rate_is_one_in_the_number_of_secrets(
    monkeypatch: pytest.MonkeyPatch, lie: Lie, models: int, probability: float
) -> None:
    patched(monkeypatch, 23, SECRET_BITS=SMALL)
    trials = 400
    passed = passing_rate(lie, models, trials)
    assert within(passed, trials, probability), f"{passed} of {trials}, where {probability * trials:.0f} were to be expected"


def test_a_lie_without_a_guess_never_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, 29, SECRET_BITS=SMALL)
    assert passing_rate(lambda answer: replace(answer, products=(answer.products[0] + 1, *answer.products[1:])), 2, 100) == 0
    assert passing_rate(lambda answer: replace(answer, scaled=(answer.scaled[0] + 1, *answer.scaled[1:])), 2, 100) == 0


def test_honest_products_always_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    patched(monkeypatch, 31, SECRET_BITS=SMALL)
    assert passing_rate(lambda answer: answer, 2, 100) == 100


# --- packing ------------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 30),
    st.sampled_from([1e-6, 1.0, 1e6]),
    st.sampled_from([1e-3, 1.0, 1e3]),
    st.integers(1, 400),
    st.integers(0, 5),
    st.sampled_from([1, -1]),
)
def test_packed_entries_never_touch_each_other(features: int, spread: float, magnitude: float, rounds: int, steps: int, sign: int) -> None:
    """Entries at either end of their bounds under the longest masks and the largest secret stay in their slots."""
    terms = terms_of(features, -spread, spread, magnitude, rounds=rounds)
    scale = terms.base_scale + steps * terms.map_bits
    slots = error_slots(terms, 8192, scale)
    value, mask = sign * ((1 << slots.value_bits) - 1), (1 << (slots.value_bits + schedule_module.MASK_BITS)) - 1
    secret = (1 << schedule_module.SECRET_BITS) - 1
    scaled_mask = (1 << (slots.value_bits + schedule_module.SECRET_BITS + schedule_module.MASK_BITS)) - 1
    for smallest in (0, 1):
        digits = [
            value + smallest * mask + slots.offset,
            secret * value + smallest * scaled_mask + (slots.offset << schedule_module.SECRET_BITS),
        ]
        for digit in digits:
            assert 0 <= digit < 1 << slots.width
            packed = [digit, 0, digit] * slots.per_plaintext
            assert slots.split_all(slots.join_all(packed), len(packed)) == packed
    assert slots.width * slots.per_plaintext <= max(8192, slots.width)


@given(st.integers(1, 30), st.sampled_from([1e-6, 1.0, 1e6]), st.integers(1, 400), st.integers(1, 5), st.sampled_from([1, -1]))
def test_packed_weights_under_64_owners_masks_never_touch_each_other(
    features: int, spread: float, rounds: int, steps: int, sign: int
) -> None:
    terms = terms_of(features, -spread, spread, rounds=rounds)
    scale = terms.base_scale + steps * terms.map_bits
    slots, drop = masked_weight_slots(terms, 8192, scale), scale - terms.base_scale
    high, low = (1 << high_mask_bits(terms, scale)) - 1, (1 << drop) - 1
    for owners in (0, 64):
        digit = sign * ((1 << slots.value_bits) - 1) + owners * (low + (high << drop)) + slots.offset
        assert 0 <= digit < 1 << slots.width
    assert high << drop >= (1 << (slots.value_bits + schedule_module.MASK_BITS - 1))
