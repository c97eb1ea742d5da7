"""The paper's training request (T§8), ours and as in 2019, in one process and in turns.

Ours twice: with what is the default (nobody can forge an error, Shapley shares), and with the thesis's own measurement and
left-out models, which is the same work as in 2019.
"""

from __future__ import annotations

import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from deltaml_core import models
from deltaml_core.benchmarks.baseline_2019 import ROUNDS_BETWEEN_REFRESHES, Federation2019, Rows
from deltaml_core.benchmarks.measure import Measurement, Stopwatch, WrongResultError
from deltaml_core.benchmarks.pieces import Pieces, Setup, pieces
from deltaml_core.errors import InsecureKeyWarning, NoiseMetricWarning
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.training import TrainingResult, train

_ACCURACY = 1e-6
_PIECES_ROUNDS, _MANY_ROWS_ROUNDS = 20, 6
MANY_ROWS = 5000


def paper_measurements(setup: Setup, progress: Callable[[str], None]) -> tuple[list[Measurement], Stopwatch]:
    """The whole run, its pieces, and the bytes of its messages; and the laps of the 2019 way.

    Raises:
        WrongResultError: the 2019 way does not compute what plain arithmetic does.
    """
    with warnings.catch_warnings():  # the data is public and the key is thrown away
        warnings.simplefilter("ignore", NoiseMetricWarning)
        warnings.simplefilter("ignore", InsecureKeyWarning)
        ours, baseline = _whole_run(setup, progress)
        progress("ours with the thesis's own measurement")
        noise = _run(setup, metrics="noise", contributions="leave_one_out")
        progress(f"ours in pieces: {min(setup.rounds, _PIECES_ROUNDS)} rounds")
        parts = pieces(setup, _PIECES_ROUNDS)
        progress(f"a measurement on {MANY_ROWS:,} rows")
        many = pieces(setup.with_validators_of(MANY_ROWS), _MANY_ROWS_ROUNDS)
    lengths = _bytes([ours.result, noise.result], baseline.federation, setup.key_bits)
    costs = [*_costs(setup, ours, noise, baseline, parts), _metric_of_many_rows(setup, many, baseline.watch)]
    return [*costs, *lengths], baseline.watch


@dataclass(frozen=True)
class Run:
    """A whole training, and the CPU seconds it took."""

    seconds: float
    result: TrainingResult


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


def _whole_run(setup: Setup, progress: Callable[[str], None]) -> tuple[Run, Baseline]:
    """The default run, and the baseline that ran whenever it paused."""
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

    run = _run(setup, on_round=pause)
    return Run(run.seconds - paused, run.result), baseline


def _run(setup: Setup, **terms: Any) -> Run:
    begin = time.process_time()
    result = train(
        setup.shards,
        validators=setup.validators,
        rounds=setup.rounds,
        step=setup.step,
        key_bits=setup.key_bits,
        evaluate_every=ROUNDS_BETWEEN_REFRESHES,
        **terms,
    )
    return Run(time.process_time() - begin, result)


# --- what came out -----------------------------------------------------------------------------------------------


def _costs(setup: Setup, ours: Run, noise: Run, baseline: Baseline, parts: Pieces) -> list[Measurement]:
    watch = baseline.watch
    everything, without = baseline.run_seconds(setup.rounds)
    measured, evaluations = len(watch.laps["round"]), setup.rounds // ROUNDS_BETWEEN_REFRESHES
    trainers = len(setup.trainers)
    rows = sum(len(setup.shards[index][1]) for index in setup.validators)

    def cost(name: str, value: float, against: float, how: str) -> Measurement:
        return Measurement(name, value, "CPU s", setup.key_bits, against, how)

    extrapolated = (
        f"The 2019 way, where nothing could be verified, is extrapolated from {measured} rounds, {len(watch.laps['metric'])} measurements "
        f"with {trainers} left-out models each and {len(watch.laps['refresh'])} refreshes, run in between; without left-out models it "
        f"would take {without:.0f} CPU s"
    )
    costs = [
        cost(
            "paper_run_shapley",
            ours.seconds,
            everything,
            f"{setup.rounds} rounds with keys, {evaluations + 1} verifiable measurements and Shapley shares, actually run: final MSE "
            f"{ours.result.mse_final:.3f}. {extrapolated}",
        ),
        cost(
            "paper_run_verifiable",
            ours.seconds - parts.contributions,
            everything,
            f"the same less what its Shapley shares took. {extrapolated}",
        ),
        cost(
            "paper_run_noise",
            noise.seconds,
            everything,
            f"the same work as in 2019: the thesis's own measurement, and left-out models, which ours measures once at the end; final MSE "
            f"{noise.result.mse_final:.3f}. Without left-out models the 2019 way would take {without:.0f} CPU s, "
            f"{without / noise.seconds:.1f} times ours",
        ),
        cost(
            "paper_round",
            parts.round,
            watch.mean("round"),
            f"one round of {trainers} trainers, tables and averaging included; means of {min(setup.rounds, _PIECES_ROUNDS)} "
            f"and {measured} rounds",
        ),
        cost(
            f"metric_evaluation_{rows}",
            parts.metric,
            watch.mean("metric"),
            f"one verifiable measurement on {rows} rows, all parties, every proof made and checked, against one of 2019 with a ciphertext "
            "a residual and nothing proved; means",
        ),
    ]
    if parts.refresh is not None:
        costs.append(
            cost(
                "paper_refresh",
                parts.refresh,
                watch.mean("refresh"),
                f"one refresh without showing the model, masks of all owners and proofs included; a run has {parts.refreshes} of them, "
                f"the 2019 way {evaluations}, at which the buyer sees the weights",
            )
        )
    costs.append(
        cost(
            "paper_contributions",
            parts.contributions,
            everything - without,
            f"what the shares of a whole run cost: solo models and the errors of all {2**trainers} coalitions, once, against {trainers} "
            f"left-out models at each of {evaluations} measurements (extrapolated from {len(watch.laps['left out'])})",
        )
    )
    return costs


def _metric_of_many_rows(setup: Setup, many: Pieces, watch: Stopwatch) -> Measurement:
    few = sum(len(setup.shards[index][1]) for index in setup.validators)
    rows = MANY_ROWS * len(setup.validators)
    return Measurement(
        f"metric_evaluation_{rows}",
        many.metric,
        "CPU s",
        setup.key_bits,
        watch.mean("metric") * rows / few,
        f"the same on {rows:,} rows. That of 2019 is extrapolated from {few}: everything it does it does for each residual",
    )


def _bytes(results: Sequence[TrainingResult], baseline: Federation2019, key_bits: int) -> list[Measurement]:
    """The mean length of every kind of message, of the first result that has it."""
    kinds: dict[str, list[int]] = {}
    for result in results:
        assert result.transcript is not None
        lengths: defaultdict[str, list[int]] = defaultdict(list)
        assert result.transcript is not None  # Paillier's runs keep one
        for entry in result.transcript.entries:
            lengths[json.loads(entry)["message"]["kind"]].append(len(entry))
        kinds = {**lengths, **kinds}
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
        for kind, ours in kinds.items()
    ]
