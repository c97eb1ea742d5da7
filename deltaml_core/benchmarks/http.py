"""What it costs that every participant is somewhere else: rounds and trainings over HTTP or NATS, beside the same in one process."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from deltaml_core import models
from deltaml_core.benchmarks.measure import Measurement, WrongResultError
from deltaml_core.benchmarks.seats import seated
from deltaml_core.benchmarks.served import Served, train_served
from deltaml_core.chain.events import Event, ResultSubmitted, RolesDealt
from deltaml_core.chain.result import OPENED_KEY_BITS
from deltaml_core.demo.market import ETHER
from deltaml_core.demo.paper import paper_terms
from deltaml_core.demo.processes import play_processes
from deltaml_core.errors import InsecureKeyWarning, NoiseMetricWarning
from deltaml_core.messages import Train
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges

ROUNDS = 20
FEATURES, ROWS = 10, 20
STEP = 0.5
OWNERS_A_VALIDATOR = 10
_DEVIATIONS = 5
"""So many standard deviations of what rounding makes of it may a weight be off."""
_ESCROW_WEI = 5 * ETHER

Shards = list[tuple[Array, Array]]


def over_http(owners: int, key: PrivateKey, rounds: int = ROUNDS) -> list[Measurement]:
    """A training of so many owners over HTTP: its rounds, their bytes, and what the whole takes, per owner too.

    Raises:
        WrongResultError: it does not find the model that plain arithmetic finds, or does not end.
    """
    shards, validators = synthetic(owners), judges(owners)
    served = trained(shards, validators, key, rounds)
    local = local_round_seconds(shards, validators, key, rounds)
    trainers = owners - len(validators)

    def measured(name: str, value: float, unit: str, how: str, baseline: float | None = None) -> Measurement:
        return Measurement(name, value, unit, key.public.bits, baseline, how, is_overhead=True)

    whole = f"{rounds} rounds over HTTP, {trainers} trainers and {len(validators)} validators in one process, d = {FEATURES + 1}"
    return [
        measured(
            f"round_http_{owners}",
            1000 * served.round_seconds,
            "ms a round",
            f"wall time of a round of {trainers} trainers over HTTP, {key.public.bits} bits, d = {FEATURES + 1}: everybody in one process, "
            f"with a store on the disk and a connection each; against the same over the local transport. Medians of {rounds - 1}",
            1000 * local,
        ),
        measured(
            f"round_bytes_{owners}",
            served.round_bytes,
            "bytes a round",
            f"all messages of such a round with their signatures, as stored; median of {rounds}",
        ),
        measured(
            f"owners_{owners}_training",
            served.wall_seconds,
            "wall s",
            f"{whole}: from making the stores to the approved result, which plain arithmetic confirms",
        ),
        measured(f"owners_{owners}_cpu_per_owner", served.cpu_seconds / owners, "CPU s", f"{whole}: the process's CPU seconds, by owner"),
        measured(
            f"owners_{owners}_memory_per_owner",
            served.memory_bytes / owners / 1e6,
            "MB",
            f"{whole}: by how much the process's resident memory grew at most, by owner",
        ),
    ]


def over_nats(owners: int, key: PrivateKey, rounds: int = ROUNDS) -> Measurement:
    """A round of a training of so many owners over a NATS server on this machine.

    Raises:
        NodeError, MissingExtraError: there is no NATS server here, or no client.
        WrongResultError: it does not find the model that plain arithmetic finds, or does not end.
    """
    shards, validators = synthetic(owners), judges(owners)
    served = trained(shards, validators, key, rounds, over_broker=True)
    return Measurement(
        f"round_nats_{owners}",
        1000 * served.round_seconds,
        "ms a round",
        key.public.bits,
        1000 * local_round_seconds(shards, validators, key, rounds),
        f"wall time of a round of {owners - len(validators)} trainers over NATS JetStream, its server a process, everybody else in "
        f"one, {key.public.bits} bits, d = {FEATURES + 1}; against the same over the local transport. Medians of {rounds - 1}",
        is_overhead=True,
    )


def judges(owners: int) -> range:
    """Who of so many owners measures."""
    return range(max(1, owners // OWNERS_A_VALIDATOR))


def trained(
    shards: Shards, validators: Sequence[int], key: PrivateKey, rounds: int, *, over_broker: bool = False, trainings: int = 1
) -> Served:
    """Trainings at once on the same rows, their models compared with plain arithmetic's.

    Raises:
        WrongResultError: that finds another, or the training does not end.
    """
    ranges = declared_ranges([Dataset.of(X, y) for X, y in shards])
    terms = TrainingTerms(ranges, scheme=key.public.scheme, key_bits=key.public.bits, **_terms(rounds))
    with tempfile.TemporaryDirectory(prefix="deltaml-bench-") as folder:
        served = train_served(shards, validators, key, terms, Path(folder), over_broker=over_broker, trainings=trainings)
    _check(served, shards, validators, terms)
    return served


def paper_run_over_http(key_bits: int, in_process: Measurement, rounds: int = 100) -> Measurement:
    """The paper's run on a market whose participants are processes, from the roles' dealing to the submitted result.

    Args:
        key_bits: of the buyer's key.
        in_process: CPU seconds of the same run in one process.
        rounds: how many.

    Raises:
        DeltaMLError: something was refused.
    """
    terms = paper_terms(rounds=rounds, key_bits=key_bits, metrics=paper_metrics(key_bits))
    seen: dict[type[Event], float] = {}
    with tempfile.TemporaryDirectory(prefix="deltaml-bench-") as folder, public_data():
        result = play_processes(
            Console(quiet=True), terms, _ESCROW_WEI, Path(folder), on_event=lambda event: seen.update({type(event): time.perf_counter()})
        )
    return Measurement(
        "paper_run_http_wall",
        seen[ResultSubmitted] - seen[RolesDealt],
        "wall s",
        key_bits,
        in_process.value,
        f"{rounds} rounds over HTTP, the chain and every role a process of its own: from roles dealt to result submitted, as seen on the "
        f"chain, so that starting the processes and making the buyer's key come before; against the CPU seconds of {in_process.name}, "
        f"its keys included. The nodes used {result.cpu_seconds:.1f} CPU s in all, their start included",
        is_overhead=True,
    )


def paper_metrics(key_bits: int) -> str:
    """What the contract allows the paper's run to be measured with."""
    return "verifiable" if key_bits in OPENED_KEY_BITS else "noise"


def local_round_seconds(shards: Shards, validators: Sequence[int], key: PrivateKey, rounds: int) -> float:
    """Median time from a round's first message to the next round's, over the local transport."""
    with public_data():
        transport = seated(shards, validators, key, **_terms(rounds)).session.transport
    begins: list[float] = []
    while len(begins) < rounds:
        before = transport.sent[Train.kind]
        transport.deliver()
        if transport.sent[Train.kind] > before:
            begins.append(time.perf_counter())
    return median(later - earlier for earlier, later in pairwise(begins))


def synthetic(owners: int) -> Shards:
    """Rows of a noisy linear relation."""
    rng = np.random.default_rng(owners)
    slope = rng.uniform(-10, 10, FEATURES)
    features = [rng.uniform(-0.3, 0.3, (ROWS, FEATURES)) for _ in range(owners)]
    return [(X, 5 + X @ slope + rng.normal(size=ROWS)) for X in features]


@contextmanager
def public_data() -> Iterator[None]:
    """The data is public and the key is thrown away, so nobody needs to be warned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoiseMetricWarning)
        warnings.simplefilter("ignore", InsecureKeyWarning)
        yield


def _terms(rounds: int) -> dict[str, Any]:
    """Measured before and after; a validator's rows in masked residuals, which any length of key allows."""
    return {"rounds": rounds, "step": STEP, "evaluate_every": rounds, "metrics": "noise", "contributions": "leave_one_out"}


def _check(served: Served, shards: Shards, validators: Sequence[int], terms: TrainingTerms) -> None:
    """Each trainer rounds its map once, to `map_bits`; the sum of these errors stays the same in every round."""
    everybody = [Statistics.of(Dataset.of(X, y)) for X, y in shards]
    trainers = [one for index, one in enumerate(everybody) if index not in validators]
    expected = models.federated_descent(trainers, np.zeros(FEATURES + 1), STEP, 1, terms.rounds)[-1]
    one_rounding = 2.0**-terms.map_bits / math.sqrt(12)
    deviation = terms.rounds * math.sqrt(len(trainers)) * one_rounding * math.hypot(1, *expected)
    for model in served.models:
        if not np.allclose(model, expected, rtol=0, atol=_DEVIATIONS * deviation):
            raise WrongResultError(f"over the network {len(shards)} owners found the weights {model}, plain arithmetic {expected}")
