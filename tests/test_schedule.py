"""The schedule: what is on it, and that nothing on it can wrap around."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from helpers import random_shards, terms_for
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core.errors import ScaleBudgetError
from deltaml_core.messages import Subject
from deltaml_core.schedule import (
    MASK_BITS,
    Kind,
    Step,
    final_scale,
    measurements,
    residual_slots,
    schedule,
    weight_slots,
)
from deltaml_core.statistics import Column, Requirements
from deltaml_core.terms import TrainingTerms

SHARDS = random_shards(1, (4, 4, 4), 2)


def kinds(steps: tuple[Step, ...]) -> list[tuple[str, int]]:
    return [(step.kind.value, step.round) for step in steps]


def test_a_short_run_with_a_large_key() -> None:
    terms = terms_for(SHARDS, rounds=3, evaluate_every=2, key_bits=2048)
    expected = [("evaluate", 0), ("train", 1), ("train", 2), ("evaluate", 2), ("train", 3), ("evaluate", 3), ("contributions", 3)]
    assert [step for step in kinds(schedule(terms, 2046)) if step[0] != "refresh"] == expected


def test_evaluations_are_first_every_few_rounds_and_last() -> None:
    terms = terms_for(SHARDS, rounds=7, evaluate_every=3)
    assert [step.round for step in schedule(terms, 510) if step.kind is Kind.EVALUATE] == [0, 3, 6, 7]


columns = st.builds(
    lambda low, width: (low, low + width), st.sampled_from([-1e6, -1.0, -1e-3, 0.0, 1e-6, 5.0]), st.sampled_from([1e-6, 0.1, 1.0, 1e4])
)


@st.composite
def any_terms(draw: Any) -> TrainingTerms:
    features = draw(st.lists(columns, min_size=1, max_size=4))
    target = draw(columns)
    return TrainingTerms(
        requirements=Requirements(tuple(Column(f"x{i}", *ends) for i, ends in enumerate(features)), Column("y", *target)),
        rounds=draw(st.integers(1, 60)),
        step=draw(st.sampled_from([1e-6, 0.1, 2.0])),
        local_steps=draw(st.sampled_from([1, 5, 100])),
        evaluate_every=draw(st.integers(1, 60)),
        metrics="noise",
        contributions="leave_one_out",
        key_bits=draw(st.sampled_from([512, 600, 768, 1024, 2048, 3072])),
    )


def scheduled(terms: TrainingTerms) -> tuple[Step, ...] | None:
    try:
        return schedule(terms, terms.key_bits - 2)
    except ScaleBudgetError:
        return None


@given(any_terms())
@settings(max_examples=300)
def test_every_round_is_trained_once_and_every_evaluation_is_there(terms: TrainingTerms) -> None:
    steps = scheduled(terms)
    if steps is None:
        return
    assert [step.round for step in steps if step.kind is Kind.TRAIN] == list(range(1, terms.rounds + 1))
    due = [0, *(n for n in range(1, terms.rounds + 1) if n % terms.evaluate_every == 0 or n == terms.rounds)]
    assert [step.round for step in steps if step.kind is Kind.EVALUATE] == due
    assert steps[0] == Step(Kind.EVALUATE, 0, terms.base_scale)
    assert [step.kind for step in steps].index(Kind.CONTRIBUTIONS) == len(steps) - 1
    assert final_scale(steps) == steps[-2].scale
    evaluated = {(step.round, step.scale) for step in steps if step.kind is Kind.EVALUATE}
    due_by_subject = measurements(terms, steps)
    assert due_by_subject[Subject.MODEL] == evaluated
    assert due_by_subject[Subject.COALITION] == {(terms.rounds, terms.base_scale + terms.map_bits)}


@given(any_terms())
@settings(max_examples=300)
def test_training_adds_bits_a_refresh_drops_them_and_nothing_else_changes_the_scale(terms: TrainingTerms) -> None:
    steps = scheduled(terms)
    if steps is None:
        return
    for step, following in pairwise(steps[:-1]):
        after = {Kind.TRAIN: step.scale + terms.map_bits, Kind.REFRESH: terms.base_scale, Kind.EVALUATE: step.scale}[step.kind]
        assert following.scale == after
        assert step.kind is not Kind.REFRESH or step.scale > terms.base_scale


@given(any_terms())
@settings(max_examples=300)
def test_nothing_on_the_schedule_can_wrap_around(terms: TrainingTerms) -> None:
    """From the terms' bounds alone: the largest weights, products, masked residuals and packed plaintexts fit a signed plaintext."""
    steps, capacity = scheduled(terms), terms.key_bits - 2
    if steps is None:
        return
    weight, residual = math.log2(terms.weight_bound), math.log2(terms.residual_bound)
    for step in steps:
        if step.kind is Kind.TRAIN:
            assert weight + step.scale + terms.map_bits < capacity
        if step.kind is Kind.REFRESH:
            slots = weight_slots(terms, capacity, step.scale)
            assert weight + step.scale < slots.value_bits
            assert slots.width >= slots.value_bits + 1
            assert slots.per_plaintext * slots.width <= capacity
    for _, scale in frozenset().union(*measurements(terms, steps).values()):
        slots = residual_slots(terms, capacity, scale)
        assert residual + scale + terms.row_bits < slots.value_bits
        assert 2**slots.width >= 2 * slots.offset + 2 ** (slots.value_bits + MASK_BITS)
        assert slots.per_plaintext * slots.width <= capacity


SUGGESTION = re.compile(r"use one of at least (\d+) bits(?:, or at most (\d+) rounds)?$")


@given(any_terms(), st.integers(8, 200))
@settings(max_examples=200)
def test_a_key_too_small_is_refused_with_the_size_and_the_rounds_that_fit(terms: TrainingTerms, half: int) -> None:
    terms = replace(terms, key_bits=2 * half)
    refusal = refused(terms)
    if refusal is None:
        return
    suggested = SUGGESTION.search(refusal)
    assert suggested, refusal
    enough = int(suggested[1])
    assert enough > terms.key_bits
    assert refused(replace(terms, key_bits=enough)) is None
    assert refused(replace(terms, key_bits=enough - 2)) is not None
    if suggested[2]:
        fewer = int(suggested[2])
        assert 1 <= fewer < terms.rounds
        assert refused(replace(terms, rounds=fewer)) is None


def refused(terms: TrainingTerms) -> str | None:
    try:
        schedule(terms, terms.key_bits - 2)
    except ScaleBudgetError as error:
        return str(error)
    return None


def test_the_message_of_a_small_key() -> None:
    terms = terms_for(SHARDS, rounds=8, key_bits=128)
    with pytest.raises(ScaleBudgetError, match="a 128-bit key is too small for 8 rounds on these ranges: use one of at least"):
        schedule(terms, 126)
