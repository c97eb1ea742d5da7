"""The buyer solves for the validators' rows out of what the noise metric shows it; out of the verifiable one it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from captures import NOISE, trained
from helpers import paper_shards, random_shards

from deltaml_core.attacks import AttackFailed, BuyersView, everything_readable, known_evaluations, recover_rows
from deltaml_core.messages import OpenResiduals, Refresh, RevealNoise

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

TELLING = {**NOISE, "rounds": 66, "evaluate_every": 6}
"""Terms a curious buyer would post: at 2048 bits six rounds are all that a measurement has room for, so a refresh precedes each."""


def assert_same_rows(view: BuyersView, truth: list[tuple[np.ndarray, np.ndarray]], measurements: int) -> None:
    recovered = recover_rows(view)
    assert len(recovered) == len(truth)
    for rows, (X, y) in zip(recovered, truth, strict=True):
        assert rows.measurements == measurements
        np.testing.assert_allclose(rows.X, X, rtol=0, atol=1e-6)
        np.testing.assert_allclose(rows.y, y, rtol=0, atol=1e-6)


def test_twelve_measurements_give_all_rows_and_labels_of_the_papers_validator() -> None:
    shards = paper_shards()
    captured = trained(shards, [1], **TELLING)
    assert known_evaluations(captured.terms, captured.view.capacity) == 12
    assert len(captured.session.aggregator.history) == 12
    assert_same_rows(captured.view, [shards[1]], measurements=12)


def test_the_papers_own_terms_give_them_as_well() -> None:
    shards = paper_shards()
    captured = trained(shards, [1], **NOISE, rounds=100)
    assert known_evaluations(captured.terms, captured.view.capacity) == 17
    assert_same_rows(captured.view, [shards[1]], measurements=12)


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.InsecureKeyWarning")
def test_under_encryption_the_buyer_uses_its_own_key_and_reads_every_validator() -> None:
    shards = random_shards(11, (8, 5, 7, 6), 2)
    captured = trained(shards, [1, 3], **NOISE, scheme="paillier", key_bits=512, rounds=24, step=0.3)
    assert_same_rows(captured.view, [shards[1], shards[3]], measurements=4)


@pytest.mark.parametrize("kind", [Refresh, OpenResiduals, RevealNoise])
def test_it_takes_the_weights_the_residuals_and_the_noise(kind: type) -> None:
    captured = trained(paper_shards(), [1], **TELLING)
    less = [message for message in captured.view.received if not isinstance(message, kind)]
    with pytest.raises(AttackFailed, match=r"12 unknowns each, but the buyer saw residuals at [01] known weights"):
        recover_rows(replace(captured.view, received=less))


def test_eleven_measurements_are_one_too_few() -> None:
    captured = trained(paper_shards(), [1], **{**TELLING, "rounds": 60})
    with pytest.raises(AttackFailed, match="at 11 known weights"):
        recover_rows(captured.view)


@pytest.mark.parametrize(("scheme", "bits"), [("plain", 2048), ("paillier", 768)])
def test_the_verifiable_metric_shows_the_buyer_nothing_to_solve(scheme: str, bits: int) -> None:
    """The same request with the default metrics, three validators: no equation, and no number that is a residual, a row or a label."""
    shards = random_shards(13, (9, 8, 7, 6, 5), 2)
    captured = trained(shards, [1, 2, 4], scheme=scheme, key_bits=bits, rounds=12, step=0.3)
    with pytest.raises(AttackFailed, match="at 0 known weights"):
        recover_rows(captured.view)

    told = {round(metric.mse, 12) for _, metric in captured.session.aggregator.history}
    readings = [reading for reading in everything_readable(captured.view) if reading.kind != "open-sums"]
    assert {reading.kind for reading in readings} >= {"masked-errors", "zero-test"}
    masked = np.array([reading.number for reading in readings if reading.kind != "zero-test"])
    private = np.concatenate([np.concatenate([X.ravel(), y]) for X, y in shards])
    assert len(told) > 2
    assert np.abs(masked).min() > 1e9 * np.abs(private).max()


def test_what_masks_the_errors_is_fresh_and_eighty_bits_longer_than_they_are() -> None:
    """The same weights measured on the same rows twice: what the buyer decrypts has nothing in common but its length."""
    shards = paper_shards()
    first, second = (
        np.array([reading.number for reading in everything_readable(run.view) if reading.kind == "masked-errors" and reading.round == 0])
        for run in (trained(shards, [1], rounds=2), trained(shards, [1], rounds=2))
    )
    assert len(first) == len(second) == 2 * 11
    assert min(np.abs(first).min(), np.abs(second).min(), np.abs(first - second).min()) > 2.0**60
