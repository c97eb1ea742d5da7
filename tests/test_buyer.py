"""The buyer: it decrypts what the schedule asks of it, for its aggregator only, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import (
    RUN,
    Stage,
    changed,
    check_refused,
    check_refused_when_malformed,
    check_refused_when_repeated,
    check_refused_without_trace,
    key_pair,
    oracle,
    seat,
    undisturbed,
)

from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.errors import ScaleBudgetError, TermsError
from deltaml_core.messages import (
    FinalModel,
    InitialModel,
    Message,
    OpenedResiduals,
    OpenResiduals,
    Refresh,
    Refreshed,
    RevealNoise,
    Train,
)

HEARD: list[type[Message]] = [OpenResiduals, RevealNoise, Refresh]


def test_it_ends_with_the_model() -> None:
    stage = Stage(**RUN, scheme="paillier")
    assert stage.buyer.model is None
    stage.finish()
    assert stage.buyer.model is not None
    assert np.allclose(stage.buyer.model, oracle(stage.shards, [1, 2], 6, 0.5)[0], rtol=1e-7)


def test_training_starts_from_zeros_that_everybody_recognises() -> None:
    stage = Stage(**RUN, scheme="paillier")
    start = stage.until(InitialModel)
    assert key_pair("paillier", 400).decrypt(start.weights) == [0, 0, 0]
    assert start.weights == key_pair("paillier", 400).public.zeros(3)


def test_a_refresh_brings_the_same_weights_down_to_the_base_scale() -> None:
    stage = Stage(**RUN, scheme="paillier")
    asked = stage.until(Refresh)
    before = key_pair("paillier", 400).decrypt(stage.aggregator._weights)
    (answer,) = stage.buyer.handle(asked)
    assert isinstance(answer, Refreshed)
    after = key_pair("paillier", 400).decrypt(answer.weights)
    drop = asked.scale - stage.terms.base_scale
    assert drop > 0
    assert all(abs(new * 2**drop - old) <= 2 ** (drop - 1) for new, old in zip(after, before, strict=True))
    check_refused(stage.buyer, asked, "is not on the schedule, or was done before")
    assert not set(answer.weights) & set(asked.packed)


def test_a_key_of_another_length_than_the_terms_state() -> None:
    stage = Stage(**RUN)
    other = key_pair("plain", 512)
    with pytest.raises(TermsError, match="state a key of 400 bits, but it has 512"):
        ModelBuyer(seat(stage.terms, "buyer"), other, initial_weights(stage.terms, other), stage.validators)


def test_a_key_too_small() -> None:
    terms = changed_terms(128)
    key = key_pair("plain", 128)
    with pytest.raises(ScaleBudgetError, match="a 128-bit key is too small"):
        ModelBuyer(seat(terms, "buyer"), key, initial_weights(terms, key), ())


def changed_terms(bits: int) -> Any:
    from dataclasses import replace

    return replace(Stage(**RUN).terms, key_bits=bits)


@pytest.mark.parametrize("kind", HEARD)
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"request": "request-2"}, "belongs to request 'request-2', not 'request-1'"),
        ({"recipient": "aggregator"}, "is meant for 'aggregator', not 'buyer'"),
        ({"sender": "owner-1"}, "may say that to buyer"),
    ],
    ids=["request", "recipient", "sender"],
)
def test_wrong_request_recipient_or_sender(kind: type[Message], changes: dict[str, Any], why: str) -> None:
    check_refused_without_trace(kind, why, changes)


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        (OpenResiduals, {"scale": lambda s: s + 1}, "a measurement at 38 bits is not on the schedule"),
        (OpenResiduals, {"scale": 2**52}, "is not on the schedule"),
        (OpenResiduals, {"round": 1}, "is not on the schedule"),
        (OpenResiduals, {"rows": ()}, "without rows"),
        (OpenResiduals, {"rows": (0, 18)}, "without rows"),
        (OpenResiduals, {"rows": (-3, 21)}, "without rows"),
        (OpenResiduals, {"rows": (2**60, 2**60)}, "expected"),
        (OpenResiduals, {"packed": lambda p: tuple(-1 for _ in p)}, "does not hold masked residuals"),
        (OpenResiduals, {"packed": lambda p: (*p[:-1], 2**398 - 1)}, "does not hold masked residuals"),
        (RevealNoise, {"evaluation": 1}, "no residuals of that measurement were opened"),
        (RevealNoise, {"noise": lambda n: n[1:]}, "revealed noise for 17 of 18 residuals"),
        (RevealNoise, {"noise": lambda n: (n[0] + 1, *n[1:])}, "another squared error than the residuals give"),
        (RevealNoise, {"noise": lambda n: (n[1], n[0], *n[2:])}, "beyond what the terms allow"),
        (RevealNoise, {"noise": lambda n: (1 << 20_000, *n[1:])}, "beyond what the terms allow"),
        (RevealNoise, {"squared_error": lambda e: e - 1}, "another squared error than the residuals give"),
        (RevealNoise, {"squared_error": lambda e: -e}, "another squared error than the residuals give"),
        (RevealNoise, {"squared_error": 10**5000}, "another squared error than the residuals give"),
        (Refresh, {"scale": lambda s: s - 1}, "a refresh at 210 bits is not on the schedule"),
        (Refresh, {"scale": 2**52}, "is not on the schedule"),
        (Refresh, {"scale": 0}, "is not on the schedule"),
        (Refresh, {"round": 5}, "is not on the schedule"),
        (Refresh, {"packed": lambda p: (-1, *p[1:])}, "does not hold weights"),
        (Refresh, {"packed": lambda p: tuple(0 for _ in p)}, "larger than the terms allow"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_honest_message_then_taken(kind: type[Message], changes: dict[str, Any], why: str) -> None:
    check_refused_without_trace(kind, why, changes)


def test_a_confirmed_measurement_is_not_confirmed_again() -> None:
    check_refused_when_repeated(RevealNoise)


def test_noise_is_not_checked_before_residuals_were_opened() -> None:
    stage = Stage(**RUN)
    revealed = Stage(**RUN).until(RevealNoise)
    stage.until(OpenResiduals)
    check_refused(stage.buyer, revealed, "no residuals of that measurement were opened")
    assert stage.finish() == undisturbed(**RUN)


@pytest.mark.parametrize("kind", [Train, OpenedResiduals])
def test_messages_for_other_roles_are_refused(kind: type[Message]) -> None:
    stage = Stage(**RUN)
    check_refused(stage.buyer, changed(stage.until(kind), recipient="buyer", sender="aggregator"), "is not expected")


@pytest.mark.parametrize(("kind", "field"), [(OpenResiduals, "packed"), (Refresh, "packed")])
def test_malformed_ciphertexts(kind: type[Message], field: str) -> None:
    check_refused_when_malformed(kind, field)


def test_it_decrypts_the_model_the_contract_settled_on_and_no_other() -> None:
    stage = Stage(**RUN, scheme="paillier")
    while not (isinstance(stage.waiting[0], FinalModel) and stage.waiting[0].recipient == "buyer"):
        if not stage.aggregator.done:
            early = stage.aggregator.deliver()
            check_refused(stage.buyer, early, "the contract has not settled yet")
        stage.step()
    model = stage.waiting[0]
    assert isinstance(model, FinalModel)
    others = stage.sent(Train)[-1].weights
    wrong = ({"scale": lambda s: s + 1}, {"weights": others}, {"weights": lambda w: w[::-1]})
    for changes in wrong:
        check_refused(stage.buyer, changed(model, **changes), "is not the one the validators signed for")
    check_refused(stage.buyer, changed(model, weights=lambda w: w[1:]), "expected 3")
    check_refused(stage.buyer, changed(model, request="request-2"), "belongs to request")
    check_refused(stage.buyer, changed(model, recipient="owner-1"), "is meant for")
    assert stage.buyer.model is None
    assert stage.finish() == undisturbed(**RUN)


def test_its_repr_shows_no_key() -> None:
    stage = Stage(**RUN, scheme="paillier")
    key = key_pair("paillier", 400)
    secrets = [str(value) for value in vars(key._key).values() if isinstance(value, int)]  # type: ignore[attr-defined]
    assert len(secrets) >= 2
    assert not any(secret in repr(stage.buyer) + repr(stage.buyer._party) + repr(key) for secret in secrets)
