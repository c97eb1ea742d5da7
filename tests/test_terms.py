"""Terms: what is refused, the bounds they promise for every owner that keeps to them, and the document on chain."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import descend, random_shards, stable_step, terms_for, with_ones
from hypothesis import given, settings
from hypothesis import strategies as st

from deltaml_core.errors import TermsError
from deltaml_core.statistics import Column, Requirements
from deltaml_core.terms import MAXIMUM_ROUNDS, RequestDocument, TrainingTerms

REQUIREMENTS = Requirements((Column("a", -1, 2), Column("b", 0, 3)), Column("price", 10, 30))
TERMS = TrainingTerms(requirements=REQUIREMENTS, metrics="noise", contributions="leave_one_out")


def test_what_follows_from_the_terms() -> None:
    assert TERMS.weights == 3
    assert TERMS.target_range == 20
    assert TERMS.row_norm == pytest.approx(math.sqrt(1 + 4 + 9))
    assert TERMS.update_bound == pytest.approx(1.5 * math.sqrt(14) * 30)
    assert TERMS.weight_bound == pytest.approx(100 * TERMS.update_bound)
    assert TERMS.residual_bound == pytest.approx(30 + math.sqrt(14) * TERMS.weight_bound)


@pytest.mark.parametrize(("low", "high", "width"), [(2, 5, 3), (4, 4, 4), (-4, -4, 4), (0, 0, 1)])
def test_the_range_of_a_target_that_is_one_value(low: float, high: float, width: float) -> None:
    assert replace(TERMS, requirements=replace(REQUIREMENTS, target=Column("y", low, high))).target_range == width


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"model": "quadratic"}, "model='quadratic' is not known; choose one of linear"),
        ({"metrics": "trust"}, "metrics='trust' is not known; choose one of .*noise"),
        ({"contributions": "equal"}, "contributions='equal' is not known; choose one of .*leave_one_out"),
        ({"scheme": "rot13"}, "scheme='rot13' is not known; choose one of paillier, plain"),
        ({"rounds": 0}, "rounds must be a whole number of at least 1, not 0"),
        ({"rounds": 2.0}, "rounds must be a whole number"),
        ({"rounds": True}, "rounds must be a whole number"),
        ({"rounds": MAXIMUM_ROUNDS + 1}, "rounds must be at most"),
        ({"rounds": 10**400}, "rounds must be at most"),
        ({"local_steps": 0}, "local_steps must be"),
        ({"local_steps": 10**400}, "rescale the columns"),
        ({"evaluate_every": -1}, "evaluate_every must be"),
        ({"step": 0.0}, "step must be a positive number"),
        ({"step": -1.0}, "step must be a positive number"),
        ({"step": math.nan}, "step must be a positive number"),
        ({"step": math.inf}, "step must be a positive number"),
        ({"step": 1e300}, "rescale the columns"),
        ({"key_bits": 0}, "key_bits must be"),
        ({"key_bits": -2048}, "key_bits must be"),
        ({"key_bits": 2048.0}, "key_bits must be"),
        ({"owner_timeout": 0}, "owner_timeout must be a whole number of seconds from 1 to 2592000, not 0"),
        ({"owner_timeout": 30 * 24 * 3600 + 1}, "owner_timeout must be"),
        ({"owner_timeout": True}, "owner_timeout must be"),
        ({"owner_timeout": 60.0}, "owner_timeout must be"),
    ],
)
def test_terms_that_cannot_be_meant(change: dict[str, Any], why: str) -> None:
    with pytest.raises(TermsError, match=why):
        replace(TERMS, **change)


@pytest.mark.parametrize(
    ("requirements", "why"),
    [
        (replace(REQUIREMENTS, features=()), "at least one feature"),
        (replace(REQUIREMENTS, target=Column("y", 2, 1)), "range of 'y' must be finite and in order"),
        (replace(REQUIREMENTS, target=Column("y", math.nan, 1)), "range of 'y' must be finite"),
        (replace(REQUIREMENTS, features=(Column("a", 0, math.inf),)), "range of 'a' must be finite"),
        (replace(REQUIREMENTS, features=(Column("a", -1e200, 1),)), "rescale the columns"),
        (replace(REQUIREMENTS, features=(Column("a", 0, 5e-324),)), "rescale the columns"),
        (replace(REQUIREMENTS, target=Column("y", 0, 1e160)), "rescale the columns"),
        (replace(REQUIREMENTS, features=(Column("a", 0, 1), Column("a", 0, 1))), "a name of its own"),
        (replace(REQUIREMENTS, features=(Column("price", 0, 1),)), "a name of its own"),
        (replace(REQUIREMENTS, features=(Column("", 0, 1),)), "a name of its own"),
        (replace(REQUIREMENTS, minimum_rows=0), "minimum_rows must be"),
        (replace(REQUIREMENTS, minimum_rows=1.5), "minimum_rows must be"),  # type: ignore[arg-type]
    ],
)
def test_requirements_that_cannot_be_meant(requirements: Requirements, why: str) -> None:
    with pytest.raises(TermsError, match=why):
        replace(TERMS, requirements=requirements)


# --- the bounds hold ---------------------------------------------------------------------------------------------


@given(
    st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([1e-3, 1, 50]), st.sampled_from([-1e6, 0, 3]), st.sampled_from([1e-6, 1, 1e3])
)
@settings(max_examples=60)
def test_no_owner_that_keeps_to_the_terms_exceeds_their_bounds(
    seed: int, features: int, scale: float, offset: float, spread: float
) -> None:
    shards = random_shards(seed, (1, 7, 20), features, scale=scale, offset=offset, spread=spread)
    rounds, local_steps = 5, 3
    terms = terms_for(shards, rounds=rounds, local_steps=local_steps, step=stable_step(shards) * 0.999, key_bits=4096)
    slack = 1 + 1e-9
    for X, y in shards:
        assert np.linalg.norm(with_ones(X), axis=1).max() <= terms.row_norm * slack
        zero = np.zeros(features + 1)
        assert np.linalg.norm(descend((X, y), zero, terms.step, local_steps)) <= terms.update_bound * slack
        solo = descend((X, y), zero, terms.step, rounds * local_steps)
        assert np.linalg.norm(solo) <= terms.weight_bound * slack
        assert np.abs(y - with_ones(X) @ solo).max() <= terms.residual_bound * slack


# --- the document ------------------------------------------------------------------------------------------------

DOCUMENT = RequestDocument(TERMS, (1 << 2047) + 12345, (7, 1 << 2000))


def test_the_document_comes_back_as_it_went() -> None:
    text = DOCUMENT.to_json()
    assert RequestDocument.from_json(text) == DOCUMENT
    assert RequestDocument.from_json(text).to_json() == text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", "1", '"text"', '{"version":1}', '{"version":1,"terms":null,"modulus":"f"}', "{" * 10_000, "[" * 100_000],
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(TermsError, match="document"):
        RequestDocument.from_json(text)


def test_another_version_is_refused() -> None:
    with pytest.raises(TermsError, match="version 2, not 1"):
        RequestDocument.from_json(DOCUMENT.to_json().replace('"version":1', '"version":2'))


VALUES = [None, True, -1, 0, 2**70, 1.5, 1e999, "", "x", "-f", [], [1], {}, {"name": 1}, float("nan")]


def mutated(content: Any, draw: random.Random) -> Any:
    """The content with one value somewhere inside replaced, removed or added."""
    if isinstance(content, dict) and content and draw.random() < 0.9:
        key = draw.choice(sorted(content))
        if draw.random() < 0.1:
            return {name: value for name, value in content.items() if name != key}
        if draw.random() < 0.1:
            return {**content, "more": 1}
        return {**content, key: mutated(content[key], draw)}
    if isinstance(content, list) and content and draw.random() < 0.8:
        position = draw.randrange(len(content))
        return [mutated(value, draw) if index == position else value for index, value in enumerate(content)]
    return draw.choice(VALUES)


def test_whatever_is_posted_is_terms_or_a_terms_error() -> None:
    draw, refused = random.Random(20190), 0
    for _ in range(3000):
        text = json.dumps(mutated(json.loads(DOCUMENT.to_json()), draw))
        try:
            document = RequestDocument.from_json(text)
        except TermsError:
            refused += 1
        else:
            assert document.terms.weights >= 2
            assert document.terms.base_scale + document.terms.map_bits + document.terms.row_bits > 0
    assert refused > 2000
