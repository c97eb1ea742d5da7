"""Trainings over HTTP or NATS in one process, and what they take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import psutil

from deltaml_core.benchmarks.measure import WrongResultError
from deltaml_core.benchmarks.table import Table
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Array
from deltaml_core.terms import TrainingTerms

_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Served:
    """What trainings over HTTP or NATS came to, and what it took.

    Attributes:
        models: (d,) of each training, intercept last.
        history: (round, mean squared error) of the first one, as measured.
        wall_seconds, cpu_seconds: of everybody, from making their stores to the validators' approval.
        memory_bytes: by how much the process grew meanwhile, at most.
        round_seconds: median time from a round's first message to the next round's, of the first training's in the aggregator's store.
        round_bytes: median of what is sent in such a round, signatures included.
        broker_bytes: resident memory of the NATS server, at most; 0 without one.
    """

    models: list[Array]
    history: list[tuple[int, float]]
    wall_seconds: float
    cpu_seconds: float
    memory_bytes: int
    round_seconds: float
    round_bytes: float
    broker_bytes: int = 0


def train_served(
    shards: Sequence[tuple[Array, Array]],
    validators: Sequence[int],
    key: PrivateKey,
    terms: TrainingTerms,
    folder: Path,
    patience_seconds: float = 1800.0,
    over_broker: bool = False,
    trainings: int = 1,
) -> Served:
    """Train over HTTP or NATS, everybody in this process.

    Args:
        shards: as in `Table`.
        validators: as in `Table`.
        key: as in `Table`.
        terms: as in `Table`.
        folder: empty; holds the stores.
        patience_seconds: after which a training that has not ended will not.
        over_broker: as in `Table`.
        trainings: how many at once.

    Raises:
        NodeError, MissingExtraError: there is no NATS server here, or no client.
        WrongResultError: the training did not end.
        DeltaMLError: what stopped it.
    """
    process = psutil.Process()
    wall, cpu, before = time.perf_counter(), time.process_time(), process.memory_info().rss
    grown = broker = 0
    with contextlib.ExitStack() as closing:
        table = Table(shards, validators, key, terms, folder, closing, over_broker=over_broker, trainings=trainings)
        while not table.ended.wait(_LOOK_SECONDS):
            grown = max(grown, process.memory_info().rss - before)
            broker = max(broker, table.nats.memory_bytes if table.nats is not None else 0)
            if time.perf_counter() - wall > patience_seconds:
                raise WrongResultError(f"a training of {len(shards)} owners has not ended after {patience_seconds:.0f} s")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if table.failure is not None:
            raise table.failure
        begins, lengths = table.rounds()
        history = [(number, metric.mse) for number, metric in table.groups[0].aggregator.history]
        models = [group.model() for group in table.groups]
        seconds = median(later - earlier for earlier, later in pairwise(begins))
        return Served(models, history, wall, cpu, grown, seconds, median(lengths), broker)
