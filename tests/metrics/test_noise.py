"""The thesis's measurement: right numbers, liars refused, and the attack for which it warns."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import Stage, changed, check_refused, key_pair, pooled_mse, random_shards, seat, terms_for
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core.errors import MetricError
from deltaml_core.fixedpoint import decode, decode_array, encode_array
from deltaml_core.measurement import Metric
from deltaml_core.messages import Message, OpenedResiduals, OpenResiduals, Refreshed, Residuals, RevealNoise, Subject
from deltaml_core.metrics.base import Evaluation
from deltaml_core.metrics.noise import NoiseAggregator, NoiseBuyer, NoiseValidator, squared_error
from deltaml_core.schedule import MASK_BITS, residual_slots
from deltaml_core.statistics import Dataset

SHARDS = random_shards(5, (7, 3, 11), 2)
JUDGES = ("owner-2", "owner-3")


class Measurement:
    """The protocol's three parts alone, without the roles around them."""

    def __init__(self, scheme: str, weights: np.ndarray, numerator: int = 1, denominator: int = 1) -> None:
        self.terms = terms_for(SHARDS, scheme=scheme, key_bits=512, rounds=2)
        self.key = key_pair(scheme, 512)
        self.scale = self.terms.base_scale
        self.validators = {name: NoiseValidator(seat(self.terms, name), Dataset.of(*SHARDS[index])) for index, name in enumerate(JUDGES, 1)}
        self.aggregator = NoiseAggregator(seat(self.terms, "aggregator"), JUDGES)
        self.buyer = NoiseBuyer(seat(self.terms, "buyer"), self.key)
        encrypted = self.key.encrypt(encode_array(weights, self.scale))
        self.evaluation = Evaluation(0, 0, Subject.MODEL, encrypted, self.scale, numerator=numerator, denominator=denominator)

    def residuals(self) -> list[Message]:
        return [self.validators[asked.recipient].measure(asked)[0] for asked in self.aggregator.begin(self.evaluation)]  # type: ignore[arg-type]

    def opened(self) -> tuple[OpenResiduals, OpenedResiduals]:
        answers = [self.aggregator.collect(residuals) for residuals in self.residuals()]  # type: ignore[arg-type]
        assert answers[0] == []
        (ask,) = answers[1]
        assert isinstance(ask, OpenResiduals)
        (opened,) = self.buyer.open(ask)
        assert isinstance(opened, OpenedResiduals)
        return ask, opened

    def revealed(self) -> RevealNoise:
        (revealed,) = self.aggregator.unmask(self.opened()[1])
        assert isinstance(revealed, RevealNoise)
        return revealed

    def metric(self) -> Metric:
        (confirmed,) = self.buyer.confirm(self.revealed())
        _, (evaluation, measurement) = self.aggregator.finish(confirmed)  # type: ignore[arg-type]
        assert evaluation is self.evaluation
        return measurement.metric


# --- the number --------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-0.7, 0.7), min_size=3, max_size=3))
@settings(max_examples=40)
def test_it_is_the_mean_squared_error_of_all_validators_rows(weights: list[float]) -> None:
    metric = Measurement("plain", np.array(weights)).metric()
    assert metric.rows == 3 + 11
    assert metric.mse == pytest.approx(pooled_mse(SHARDS[1:], np.array(weights)), rel=1e-7)


def test_encrypted_it_is_the_same_number_exactly() -> None:
    weights = np.array([0.25, -1.5, 3.0])
    assert Measurement("paillier", weights).metric() == Measurement("plain", weights).metric()


def test_weights_are_measured_times_a_fraction() -> None:
    weights = np.array([0.5, -0.25, 1.0])
    metric = Measurement("plain", weights, 3, 2).metric()
    assert metric.mse == pytest.approx(pooled_mse(SHARDS[1:], 1.5 * weights), rel=1e-7)


# --- the masks ---------------------------------------------------------------------------------------------------


def test_noise_is_fresh_every_time_and_80_bits_longer_than_what_it_hides() -> None:
    first, second = Measurement("plain", np.ones(3)).revealed(), Measurement("plain", np.ones(3)).revealed()
    terms = terms_for(SHARDS, key_bits=512, rounds=2)
    slots = residual_slots(terms, 510, terms.base_scale)
    assert not set(first.noise) & set(second.noise)
    assert first.squared_error == second.squared_error
    assert max(value.bit_length() for value in first.noise) > slots.value_bits + MASK_BITS - 12
    assert all(0 <= value < 1 << (slots.value_bits + MASK_BITS) for value in first.noise)


def test_what_the_buyer_sees_first_says_nothing_of_residuals() -> None:
    """The digits' upper half is the noise's alone; two openings of the same weights have no digit in common."""
    (_, first), (_, second) = (Measurement("plain", np.ones(3)).opened() for _ in range(2))
    assert not set(first.digits) & set(second.digits)


def test_residuals_are_encrypted_afresh() -> None:
    run = Measurement("paillier", np.ones(3))
    first, second = run.residuals(), run.residuals()
    for one, other in zip(first, second, strict=True):
        assert isinstance(one, Residuals)
        assert isinstance(other, Residuals)
        assert run.key.decrypt(one.packed) == run.key.decrypt(other.packed)
        assert not set(one.packed) & set(other.packed)


# --- liars -------------------------------------------------------------------------------------------------------


def confirm_refused(run: Measurement, lie: RevealNoise, why: str) -> None:
    with pytest.raises(MetricError, match=why) as refusal:
        run.buyer.confirm(lie)
    assert refusal.value.sender == "aggregator"


@pytest.mark.parametrize("by", [1, -1, 1 << 40, -(1 << 40)])
def test_an_aggregator_that_reports_another_error_is_refused(by: int) -> None:
    run = Measurement("paillier", np.array([0.5, 0.5, 0.5]))
    honest = run.revealed()
    confirm_refused(run, changed(honest, squared_error=honest.squared_error + by), "another squared error than the residuals give")
    assert run.buyer.confirm(honest)[0].kind == "metric-confirmed"


@pytest.mark.parametrize("by", [1, -1, 1 << 40])
def test_an_aggregator_that_reveals_other_noise_is_refused(by: int) -> None:
    run = Measurement("paillier", np.array([0.5, 0.5, 0.5]))
    honest = run.revealed()
    confirm_refused(run, changed(honest, noise=lambda n: (n[0] + by, *n[1:])), "another squared error than the residuals give")
    confirm_refused(run, changed(honest, noise=lambda n: (n[0] - (1 << 400), *n[1:])), "beyond what the terms allow")
    confirm_refused(run, changed(honest, noise=lambda n: n[:-1]), "revealed noise for 13 of 14 residuals")
    assert run.buyer.confirm(honest)[0].kind == "metric-confirmed"


def test_a_buyer_that_opens_something_else_is_refused() -> None:
    run = Measurement("paillier", np.array([0.5, 0.5, 0.5]))
    _, opened = run.opened()
    for lie, why in (
        (changed(opened, digits=lambda d: tuple(0 for _ in d)), "residual 0 is beyond what the terms allow"),
        (changed(opened, digits=lambda d: d[::-1]), "beyond what the terms allow"),
        (changed(opened, digits=lambda d: d[:-1]), "expected 14 opened residuals, got 13"),
    ):
        with pytest.raises(MetricError, match=why) as refusal:
            run.aggregator.unmask(lie)
        assert refusal.value.sender == "buyer"
    assert run.aggregator.unmask(opened)[0].kind == "reveal-noise"


def test_nothing_is_finished_before_it_was_opened() -> None:
    run, other = Measurement("plain", np.ones(3)), Measurement("plain", np.ones(3))
    (confirmed,) = other.buyer.confirm(other.revealed())
    run.opened()
    with pytest.raises(ValueError, match="nothing was opened yet"):
        run.aggregator.finish(confirmed)  # type: ignore[arg-type]


def test_squared_error_by_hand() -> None:
    terms = terms_for(SHARDS, rounds=2)
    slots = residual_slots(terms, 510, terms.base_scale)
    digits, noise = [slots.offset + 3 + 100, slots.offset - 4 + 7], [100, 7]
    assert squared_error(digits, noise, slots, "x") == 9 + 16
    with pytest.raises(MetricError, match="from x: residual 1 is beyond"):
        squared_error([digits[0], digits[1] + slots.offset * 2], noise, slots, "x")


# --- the attack it warns of --------------------------------------------------------------------------------------


def test_a_buyer_that_keeps_what_it_is_shown_solves_for_the_validators_rows() -> None:
    """It sees the weights at refreshes and the residuals at the evaluations that follow: `r = y - x.w` with x and y unknown."""
    shards = random_shards(11, (8, 5, 7, 6, 6), 2)
    stage = Stage(shards, rounds=40, evaluate_every=1, key_bits=240, step=0.3)
    stage.finish()
    weights = {m.round: decode_array(m.weights, stage.terms.base_scale) for m in stage.sent(Refreshed)}
    seen = []
    for asked, opened, revealed in zip(stage.sent(OpenResiduals), stage.sent(OpenedResiduals), stage.sent(RevealNoise), strict=True):
        if asked.round in weights and asked.scale == stage.terms.base_scale:
            slots = residual_slots(stage.terms, 238, asked.scale)
            residuals = [
                decode(digit - mask - slots.offset, asked.scale + stage.terms.row_bits)
                for digit, mask in zip(opened.digits, revealed.noise, strict=True)
            ]
            seen.append((weights[asked.round], residuals))
    assert len(seen) >= 3 + 1
    unknowns = np.array([[-w[0], -w[1], 1.0] for w, _ in seen])
    known = np.array([[r + w[2] for r in residuals] for w, residuals in seen])
    solved = np.linalg.lstsq(unknowns, known, rcond=None)[0].T
    truth = np.column_stack([np.vstack([shards[1][0], shards[2][0]]), np.concatenate([shards[1][1], shards[2][1]])])
    assert np.allclose(solved, truth, atol=1e-4)


def test_an_evaluation_of_the_past_is_not_collected() -> None:
    run = Measurement("plain", np.ones(3))
    first = run.residuals()[0]
    refused_by_collect = changed(first, evaluation=5)
    with pytest.raises(ValueError, match="measurement 5 is not under way"):
        run.aggregator.collect(refused_by_collect)  # type: ignore[arg-type]
    assert run.metric().rows == 14


def test_a_stranger_measures_nothing() -> None:
    stage = Stage()
    residuals = stage.until(Residuals)
    check_refused(stage.aggregator, changed(residuals, sender="owner-1"), "not")
    assert stage.finish().history
