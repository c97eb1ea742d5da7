"""Whole trainings on noisy statistics: what the roles compute is what the plaintext oracle makes of the same noise (post-processing)."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import key_pair, paper_shards, random_shards, seat

from deltaml_core import models, train
from deltaml_core.errors import PrivacyError, TermsError, WeakPrivacyWarning
from deltaml_core.owner import Validator
from deltaml_core.privacy import Guarantee, Release
from deltaml_core.session import Session
from deltaml_core.signatures import LocalSigner
from deltaml_core.statistics import Dataset, Statistics
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.InsecureKeyWarning")


@pytest.mark.parametrize(("scheme", "epsilon"), [("plain", 0.5), ("plain", 50.0), ("paillier", 5.0)])
def test_a_training_equals_the_oracle_on_the_noisy_statistics(scheme: str, epsilon: float) -> None:
    shards = random_shards(5, (30, 25, 40, 35), 2)
    datasets = [Dataset.of(X, y) for X, y in shards]
    terms = TrainingTerms(declared_ranges(datasets), rounds=3, step=0.4, local_steps=2, scheme=scheme, key_bits=512, evaluate_every=1)
    buyer, aggregator, *owners = (LocalSigner() for _ in range(6))
    data = {owner.address: dataset for owner, dataset in zip(owners, datasets, strict=True)}
    released = {name: Release.of(Statistics.of(rows), terms.requirements, Guarantee(epsilon)) for name, rows in data.items()}
    judges, trainers = list(data)[:2], list(data)[2:]
    people = {"validators": judges, "buyer": buyer, "aggregator": aggregator, "signers": owners}
    noisy = [released[name].for_training(terms.requirements, terms.step) for name in trainers]
    measured = [released[name].for_measuring(terms.requirements) for name in judges]
    instead = dict(zip([*trainers, *judges], [*noisy, *measured], strict=True))
    session = Session("request-1", terms, key_pair(scheme, 512), data, **people, statistics=instead)
    session.run()
    session.deliver_model()

    history = models.federated_descent(noisy, np.zeros(3), terms.step, 2, 3)
    assert session.buyer.model == pytest.approx(history[-1], rel=1e-5, abs=1e-6)
    assert [metric.mse for _, metric in session.aggregator.history] == pytest.approx(
        [models.mean_squared_error(measured, weights) for weights in history], rel=1e-5, abs=1e-7
    )


def test_little_noise_leaves_the_papers_result_about_where_it_was() -> None:
    with pytest.warns(WeakPrivacyWarning):
        private = train(paper_shards(), validators=[1], scheme="plain", evaluate_every=100, epsilon=300.0)
    assert private.mse_initial == pytest.approx(19485, rel=0.1)
    assert 2500 < private.mse_final < 4760  # the mean predictor's error is 4761


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.WeakPrivacyWarning")
def test_a_private_logistic_regression_still_tells_classes_apart() -> None:
    rng = np.random.default_rng(3)
    rows = [rng.uniform(-1, 1, (400, 2)) for _ in range(4)]
    shards = [(X, (X[:, 0] > X[:, 1]).astype(float)) for X in rows]
    result = train(shards, validators=[0], model="logistic", penalty=0.01, scheme="plain", rounds=40, step=4.0, epsilon=20.0)
    X, y = np.vstack(rows), np.concatenate([y for _, y in shards])
    assert np.mean((X @ result.coef_ + result.intercept_ > 0) == y) > 0.8
    with pytest.raises(TermsError, match="neither standardise nor test_share"):
        train(shards, validators=[0], standardise=True, scheme="plain", epsilon=20.0)


def test_two_private_trainings_differ() -> None:
    shards = random_shards(5, (30, 25, 40), 2)
    results = [train(shards, validators=[0], scheme="plain", rounds=2, step=0.4, epsilon=1.0) for _ in range(2)]
    assert results[0].mse_final != results[1].mse_final


def test_residuals_of_rows_are_not_covered_so_they_are_refused() -> None:
    shards = random_shards(5, (30, 25, 40), 2)
    with pytest.raises(TermsError, match=r'epsilon needs metrics="verifiable"'):
        train(shards, scheme="plain", metrics="noise", contributions="leave_one_out", epsilon=1.0)
    terms = TrainingTerms(
        declared_ranges([Dataset.of(X, y) for X, y in shards]), metrics="noise", contributions="leave_one_out", scheme="plain"
    )
    with pytest.raises(TermsError, match="residual of every row"):
        Validator(
            seat(terms, "owner-1"),
            Dataset.of(*shards[0]),
            validators=["owner-1"],
            trainers=["owner-2"],
            statistics=Statistics.of(Dataset.of(*shards[0])),
        )


def test_an_epsilon_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(PrivacyError, match="epsilon must be a number"):
        train(random_shards(5, (30, 25, 40), 2), scheme="plain", epsilon=0)
