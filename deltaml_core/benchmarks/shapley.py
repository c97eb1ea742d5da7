"""Shapley shares from the encrypted Gram matrix, beside retraining every coalition the 2019 way."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.datasets import load_diabetes

from deltaml_core import models
from deltaml_core.benchmarks.measure import Measurement, Stopwatch, WrongResultError
from deltaml_core.benchmarks.seats import seated
from deltaml_core.errors import InsecureKeyWarning
from deltaml_core.messages import TrainAlone
from deltaml_core.payouts import ONE
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Array, Dataset, Statistics

ROUNDS, STEP, ROWS = 100, 1.5, 50
_ACCURACY = 1e-6


def shapley(key: PrivateKey, trainers: int, baseline: Stopwatch, baseline_trainers: int) -> Measurement:
    """CPU seconds of all parties for exact Shapley shares: solo models, Gram matrix, proofs, and the sum over all coalitions.

    The baseline is extrapolated from what a round, a measurement and a refresh of 2019 took.

    Args:
        key: the buyer's.
        trainers: how many; one validator measures them.
        baseline: laps of "round", "metric" and "refresh" on 50 rows an owner.
        baseline_trainers: how many trained in such a round.

    Raises:
        WrongResultError: the gains do not add up to what plain arithmetic finds that everybody together gained.
    """
    with warnings.catch_warnings():  # the data is public and the key is thrown away
        warnings.simplefilter("ignore", InsecureKeyWarning)
        seconds = _contributions(key, owners(trainers + 1))
    retraining = retraining_seconds(trainers, baseline, baseline_trainers)
    return Measurement(
        f"shapley_{trainers}",
        seconds,
        "CPU s",
        key.public.bits,
        retraining,
        f"exact shares of {trainers} trainers, all parties, actually run, against retraining each of {2**trainers} coalitions for "
        f"{ROUNDS} rounds the 2019 way, extrapolated: a trainer's part of a round {baseline.mean('round') / baseline_trainers:.2f} s "
        f"times {trainers * 2 ** (trainers - 1)} memberships, and a refresh every second round; a measurement for each",
    )


def retraining_seconds(trainers: int, baseline: Stopwatch, baseline_trainers: int) -> float:
    """What retraining and measuring every coalition would take; a trainer belongs to half of them, and nobody trains for the empty one."""
    memberships, coalitions = trainers << (trainers - 1), 1 << trainers
    training = ROUNDS * memberships * baseline.mean("round") / baseline_trainers
    refreshing = ROUNDS // 2 * (coalitions - 1) * baseline.mean("refresh")
    return training + refreshing + coalitions * baseline.mean("metric")


def owners(count: int) -> list[tuple[Array, Array]]:
    """Owners of 50 rows each of the diabetes data, from the start again when they are used up."""
    X, y = load_diabetes(return_X_y=True)
    places = np.arange(count * ROWS) % len(y)
    return [(X[places[start : start + ROWS]], y[places[start : start + ROWS]]) for start in range(0, count * ROWS, ROWS)]


def _contributions(key: PrivateKey, shards: Sequence[tuple[Array, Array]]) -> float:
    """All local steps in one round: solo models and their bounds are the same as with as many rounds."""
    table = seated(shards, [0], key, rounds=1, local_steps=ROUNDS, step=STEP)
    transport, begin = table.session.transport, 0.0
    while transport.deliver():
        if not begin and transport.sent[TrainAlone.kind]:
            begin = time.process_time()
    seconds = time.process_time() - begin
    gained, expected = sum(table.session.aggregator.gains.values()) / ONE, together(shards)
    if not table.session.aggregator.done or not math.isclose(gained, expected, rel_tol=_ACCURACY):
        raise WrongResultError(f"the gains of {len(shards) - 1} trainers add up to {gained}, plain arithmetic finds {expected}")
    return seconds


def together(shards: Sequence[tuple[Array, Array]]) -> float:
    """By how much the average of all solo models is better than the trainers' mean target, on the first shard's rows, in the clear."""
    validator, *trainers = (Statistics.of(Dataset.of(X, y)) for X, y in shards)
    zero = np.zeros(len(validator.b))
    solo = [models.local_steps(statistics, STEP, ROUNDS)(zero) for statistics in trainers]
    mean = zero.copy()
    mean[-1] = sum(statistics.target_sum for statistics in trainers) / sum(statistics.rows for statistics in trainers)
    return models.mean_squared_error([validator], mean) - models.mean_squared_error([validator], np.mean(solo, axis=0))
