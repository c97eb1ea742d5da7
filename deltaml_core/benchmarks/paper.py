"""The paper's training request (T§8), ours and as in 2019, in one process and in turns."""

from __future__ import annotations

import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from sklearn.datasets import load_diabetes

from deltaml_core import models, schemes
from deltaml_core.benchmarks.baseline_2019 import ROUNDS_BETWEEN_REFRESHES, Federation2019, Rows
from deltaml_core.benchmarks.measure import Ledger, Measurement, Stopwatch, WrongResultError
from deltaml_core.errors import InsecureKeyWarning, NoiseMetricWarning
from deltaml_core.messages import Refresh, Refreshed, Train, TrainAlone, Update
from deltaml_core.schedule import Kind, schedule
from deltaml_core.signatures import LocalSigner
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import Session, TrainingResult, declared_ranges, train

OWNERS, ROWS_EACH = 5, 50
_ACCURACY = 1e-6
_PIECES_ROUNDS = 20


@dataclass(frozen=True)
class Setup:
    """A training both ways can run.

    Attributes:
        shards: `(X, y)` of every owner, without intercept column.
        validators: indices of those who measure.
        rounds: rounds of training, an even number.
        step: length of a gradient step.
        key_bits: length of the modulus.
        cycles: how many times two rounds, a measurement and a refresh of 2019 are run.
    """

    shards: Sequence[tuple[Array, Array]]
    validators: tuple[int, ...]
    rounds: int
    step: float
    key_bits: int
    cycles: int

    @classmethod
    def paper(cls, key_bits: int, cycles: int) -> Setup:
        """Owners 1 to 5 hold 50 rows each of the diabetes data, the second validates."""
        X, y = load_diabetes(return_X_y=True)
        cuts = [slice(ROWS_EACH * owner, ROWS_EACH * (owner + 1)) for owner in range(OWNERS)]
        return cls([(X[cut], y[cut]) for cut in cuts], (1,), 100, 1.5, key_bits, cycles)

    @property
    def trainers(self) -> list[int]:
        """Indices of those who train."""
        return [index for index in range(len(self.shards)) if index not in self.validators]

    def datasets(self) -> list[Dataset]:
        """Every owner's data."""
        return [Dataset.of(X, y) for X, y in self.shards]


def paper_measurements(setup: Setup, progress: Callable[[str], None]) -> list[Measurement]:
    """The whole run, its pieces, and the bytes of its messages.

    Raises:
        WrongResultError: the 2019 way does not compute what plain arithmetic does.
    """
    with warnings.catch_warnings():  # the data is public and the key is thrown away
        warnings.simplefilter("ignore", NoiseMetricWarning)
        warnings.simplefilter("ignore", InsecureKeyWarning)
        ours, result, baseline = _whole_run(setup, progress)
        pieces = _pieces(setup, progress)
    return [*_costs(setup, ours, result, baseline, pieces), *_bytes(result, baseline.federation, setup.key_bits)]


# --- the 2019 way ------------------------------------------------------------------------------------------------


class Baseline:
    """The 2019 training of a set-up, in cycles between its refreshes, timed and checked against plain arithmetic.

    Attributes:
        watch: laps of key, round, metric, left out, refresh.
        federation: the parties.
    """

    def __init__(self, setup: Setup) -> None:
        """Makes the key and encrypts zero weights."""
        datasets = setup.datasets()
        self.watch = Stopwatch()
        self._setup = setup
        self._trainers, self._validators = ([datasets[index] for index in part] for part in (setup.trainers, setup.validators))

        def rows(part: Sequence[Dataset]) -> list[Rows]:
            return [(dataset.design(), dataset.y) for dataset in part]

        self.federation = self.watch.time(
            "key",
            lambda: Federation2019(rows(self._trainers), rows(self._validators), step=setup.step, key_bits=setup.key_bits),
        )

    def cycle(self) -> None:
        """Two rounds, the measurement of the model and of the models that leave one trainer out, and a refresh."""
        begin = self.federation.refreshed
        for _ in range(ROUNDS_BETWEEN_REFRESHES):
            self.watch.time("round", self.federation.train_round)
        error = self.watch.time("metric", self.federation.measure)
        for trainer in range(len(self._trainers)):
            self.watch.time("left out", lambda left=trainer: self.federation.measure_leaving_out(left))  # type: ignore[misc]
        self._check(begin, error)
        self.watch.time("refresh", self.federation.refresh)

    def run_seconds(self, rounds: int) -> tuple[float, float]:
        """A whole run by the means of what was run: everything; without the models that leave one trainer out."""
        refreshes = rounds // ROUNDS_BETWEEN_REFRESHES
        left_out = refreshes * len(self._trainers) * self.watch.mean("left out")
        rest = self.watch.total("key") + rounds * self.watch.mean("round")
        rest += (1 + refreshes) * self.watch.mean("metric") + refreshes * self.watch.mean("refresh")
        return rest + left_out, rest

    def _check(self, begin: Array, error: float) -> None:
        trainers = [Statistics.of(dataset) for dataset in self._trainers]
        weights = models.federated_descent(trainers, begin, self._setup.step, 1, ROUNDS_BETWEEN_REFRESHES)[-1]
        expected = models.mean_squared_error([Statistics.of(dataset) for dataset in self._validators], weights)
        if not np.isclose(error, expected, rtol=_ACCURACY):
            raise WrongResultError(f"the 2019 way finds an error of {error}, plain arithmetic {expected}")


# --- ours, with the baseline's cycles in between -----------------------------------------------------------------


def _whole_run(setup: Setup, progress: Callable[[str], None]) -> tuple[float, TrainingResult, Baseline]:
    """CPU seconds of `train`, what it returned, and the baseline that ran whenever it paused."""
    progress("the 2019 way: keys")
    baseline = Baseline(setup)
    measured = setup.rounds // ROUNDS_BETWEEN_REFRESHES
    stops = {ROUNDS_BETWEEN_REFRESHES * round(measured * (cycle + 0.5) / setup.cycles) for cycle in range(setup.cycles)}
    paused = 0.0

    def pause(number: int, mse: float) -> None:
        nonlocal paused
        begin = time.process_time()
        if number in stops:
            progress(f"ours: round {number} of {setup.rounds}, MSE {mse:.2f}; now {ROUNDS_BETWEEN_REFRESHES} rounds of the 2019 way")
            baseline.cycle()
        paused += time.process_time() - begin

    begin = time.process_time()
    result = train(
        setup.shards,
        validators=setup.validators,
        rounds=setup.rounds,
        step=setup.step,
        key_bits=setup.key_bits,
        metrics="noise",
        evaluate_every=ROUNDS_BETWEEN_REFRESHES,
        contributions="leave_one_out",
        on_round=pause,
    )
    return time.process_time() - begin - paused, result, baseline


@dataclass(frozen=True)
class Pieces:
    """CPU seconds of the pieces of ours.

    Attributes:
        round, metric, refresh, contributions: of one each; contributions of the whole run.
        refreshes: in a whole run.
    """

    round: float
    metric: float
    refresh: float | None
    contributions: float
    refreshes: int


def _pieces(setup: Setup, progress: Callable[[str], None]) -> Pieces:
    rounds = min(setup.rounds, _PIECES_ROUNDS)
    progress(f"ours in pieces: {rounds} rounds")
    datasets = setup.datasets()

    def terms(rounds: int) -> TrainingTerms:
        return TrainingTerms(declared_ranges(datasets), rounds=rounds, step=setup.step, key_bits=setup.key_bits)

    key = schemes.generate("paillier", setup.key_bits)
    signers = [LocalSigner() for _ in datasets]
    session = Session(
        "bench",
        terms(rounds),
        key,
        {signer.address: dataset for signer, dataset in zip(signers, datasets, strict=True)},
        validators=[signers[index].address for index in setup.validators],
        buyer=LocalSigner(),
        aggregator=LocalSigner(),
        signers=signers,
    )
    transport = session.transport

    def purpose(kind: str) -> str:
        if kind in (Refresh.kind, Refreshed.kind):
            return "refresh"
        if transport.sent[TrainAlone.kind]:
            return "contributions"
        return "round" if kind in (Train.kind, Update.kind) else "metric"

    ledger = Ledger(purpose)
    ledger.run(transport)
    refreshes = transport.sent[Refresh.kind]
    steps = schedule(terms(setup.rounds), key.public.capacity)
    return Pieces(
        ledger.seconds["round"] / rounds,
        ledger.seconds["metric"] / (1 + rounds // ROUNDS_BETWEEN_REFRESHES),
        ledger.seconds["refresh"] / refreshes if refreshes else None,
        ledger.seconds["contributions"],
        sum(step.kind is Kind.REFRESH for step in steps),
    )


# --- what came out -----------------------------------------------------------------------------------------------


def _costs(setup: Setup, ours: float, result: TrainingResult, baseline: Baseline, pieces: Pieces) -> list[Measurement]:
    watch = baseline.watch
    everything, without = baseline.run_seconds(setup.rounds)
    measured = len(watch.laps["round"])
    evaluations = setup.rounds // ROUNDS_BETWEEN_REFRESHES
    trainers = len(setup.trainers)
    costs = [
        Measurement(
            "paper_run",
            ours,
            "CPU s",
            setup.key_bits,
            everything,
            f"{setup.rounds} rounds with keys, {evaluations + 1} measurements and contributions, actually run: final MSE "
            f"{result.mse_final:.3f}. The 2019 way is extrapolated from {measured} rounds, {len(watch.laps['metric'])} measurements with "
            f"{trainers} left-out models each and {len(watch.laps['refresh'])} refreshes, run in between; without the left-out models, "
            f"which ours measures once at the end, it would take {without:.0f} CPU s, {without / ours:.1f} times ours",
        ),
        Measurement(
            "paper_round",
            pieces.round,
            "CPU s",
            setup.key_bits,
            watch.mean("round"),
            f"one round of {trainers} trainers, tables and averaging included; means of {min(setup.rounds, _PIECES_ROUNDS)} "
            f"and {measured} rounds",
        ),
        Measurement(
            "paper_metric",
            pieces.metric,
            "CPU s",
            setup.key_bits,
            watch.mean("metric"),
            "one measurement of the model: residuals packed, several to a ciphertext, against a ciphertext a residual; means",
        ),
    ]
    if pieces.refresh is not None:
        costs.append(
            Measurement(
                "paper_refresh",
                pieces.refresh,
                "CPU s",
                setup.key_bits,
                watch.mean("refresh"),
                f"one refresh of the weights by the buyer; a run has {pieces.refreshes} of them, the 2019 way {evaluations}",
            )
        )
    costs.append(
        Measurement(
            "paper_contributions",
            pieces.contributions,
            "CPU s",
            setup.key_bits,
            everything - without,
            f"what the shares of a whole run cost: solo models and their coalitions, measured once, against {trainers} left-out models "
            f"at each of {evaluations} measurements (extrapolated from {len(watch.laps['left out'])})",
        )
    )
    return costs


def _bytes(result: TrainingResult, baseline: Federation2019, key_bits: int) -> list[Measurement]:
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    for entry in result.transcript.entries:
        lengths[json.loads(entry)["message"]["kind"]].append(len(entry))
    return [
        Measurement(
            "bytes_" + kind.replace("-", "_"),
            mean(ours),
            "bytes",
            key_bits,
            mean(baseline.bytes[kind]) if kind in baseline.bytes else None,
            f"mean of {len(ours)} {kind} messages"
            + (", against the JSON of phe's numbers that took their place" if kind in baseline.bytes else ""),
        )
        for kind, ours in lengths.items()
    ]
