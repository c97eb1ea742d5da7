"""Chapter 8: the thesis's experiment (T§8), what it would have been without each other, and what it would have taken in 2019."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from deltaml_core import models
from deltaml_core.benchmarks.baseline_2019 import Federation2019
from deltaml_core.lessons.coalitions import name_of
from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.palette import AMBER, BLUE, SLATE, TEAL
from deltaml_core.lessons.patients import Shard
from deltaml_core.lessons.sheet import Sheet, sheet_of_rows
from deltaml_core.payouts import ONE, Payouts, split_escrow
from deltaml_core.statistics import Dataset, Statistics
from deltaml_core.training import TrainingResult, train
from deltaml_core.views.charts import Chart, MseChart
from deltaml_core.views.formats import ether

VALIDATOR, ROUNDS, STEP, KEY_BITS = 1, 100, 1.5, 2048
THESIS_MSE, THESIS_MINUTES, THESIS_INITIAL = 3311.84, 15, 27_000
"""What the thesis reports; the initial error is over all five owners, and round."""


class PaperRun(Sheet):
    """The error curve of a run, which grows while it runs."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """`shards`: the five owners'."""
        self._shards = shards
        self.chart = MseChart()
        self.history: list[tuple[int, float]] = []
        super().__init__([self.chart])

    def train(self, *, rounds: int = ROUNDS, key_bits: int = KEY_BITS, scheme: str = "paillier") -> TrainingResult:
        """Run it, everything proven and checked."""
        self.history.clear()
        return train(
            self._shards, validators=[VALIDATOR], rounds=rounds, step=STEP, key_bits=key_bits, scheme=scheme, on_round=self._measured
        )

    def _measured(self, number: int, mse: float) -> None:
        self.history.append((number, mse))
        self.chart.show(self.history)


def against_thesis(result: TrainingResult, shards: Sequence[Shard]) -> Sheet:
    """The figures of the thesis beside this run's."""
    statistics = [Statistics.of(Dataset.of(X, y)) for X, y in shards]
    everybody = models.mean_squared_error(statistics, np.zeros(len(statistics[0].b)))
    plain = alternatives(shards).federated
    rows = [
        ("final MSE", f"{THESIS_MSE:.2f}", f"{result.mse_final:.3f}"),
        ("the same without encryption", "–", f"{plain:.3f}"),
        ("initial MSE, over all five owners", f"about {THESIS_INITIAL:,}", f"{everybody:,.0f}"),
        ("initial MSE, at the validator", "–", f"{result.mse_initial:,.2f}"),
        ("time", f"about {THESIS_MINUTES} min", f"{result.wall_seconds:.1f} s ({result.cpu_seconds:.1f} s of CPU)"),
        ("messages, each signed", "–", f"{len(result.transcript or ()):,}"),
    ]
    return sheet_of_rows("The thesis's experiment", ["", "thesis, 2019", "this run"], rows, numeric=[1, 2], css="t-thesis")


@dataclass(frozen=True)
class Alternatives:
    """Errors on the validator's rows, all after the same number of steps.

    Attributes:
        alone: of each trainer that learns from its own rows only.
        federated: of the average of them every round, in the clear.
        best: the smallest that a linear model learned from all trainers' rows can come to, with any number of rounds.
    """

    alone: dict[int, float]
    federated: float
    best: float


def alternatives(shards: Sequence[Shard], *, rounds: int = ROUNDS) -> Alternatives:
    """What can be had without encryption."""
    statistics = {index: Statistics.of(Dataset.of(X, y)) for index, (X, y) in enumerate(shards)}
    validator = [statistics.pop(VALIDATOR)]
    start = np.zeros(len(validator[0].b))

    def error(trainers: Sequence[Statistics]) -> float:
        return models.mean_squared_error(validator, models.federated_descent(trainers, start, STEP, 1, rounds)[-1])

    A, b = (np.sum([getattr(one, name) for one in statistics.values()], axis=0) for name in ("A", "b"))
    best = models.mean_squared_error(validator, np.linalg.solve(A, b))
    return Alternatives({index: error([one]) for index, one in statistics.items()}, error(list(statistics.values())), best)


def alternatives_chart(found: Alternatives, encrypted: TrainingResult) -> Sheet:
    """Alone, together in the clear, together under encryption."""
    names = [*(f"{name_of(index)} alone" for index in found.alone), "together, in the clear", "together, encrypted"]
    errors = [*found.alone.values(), found.federated, encrypted.mse_final]
    colours = [*[SLATE] * len(found.alone), BLUE, TEAL]
    bars = go.Bar(x=names, y=errors, marker={"color": colours}, text=[f"{error:,.0f}" for error in errors])
    line = {"color": AMBER, "dash": "dot"}
    limit = go.Scatter(x=[names[0], names[-1]], y=[found.best] * 2, mode="lines", name="least squares", line=line)
    chart = Chart("Error on the validator's patients", "", "MSE", [bars, limit], css="t-alternatives")
    chart.figure.update_layout(showlegend=False)
    apart = abs(encrypted.mse_final - found.federated)
    mean = float(np.mean(list(found.alone.values())))
    better = sum(error < found.federated for error in found.alone.values())
    chart.say(
        f"Alone they reach {mean:,.0f} on average, together {found.federated:,.0f}; encryption changes that by {apart:.0e}. {better} of "
        f"{len(found.alone)} would have done better alone. Dotted: least squares on all trainers' rows, {found.best:,.0f}."
    )
    return Sheet([chart])


@dataclass(frozen=True)
class OldRound:
    """One round of training with the arithmetic of 2019.

    Attributes:
        seconds: of CPU time.
        key_bits: of the key.
    """

    seconds: float
    key_bits: int


def round_of_2019(shards: Sequence[Shard], *, key_bits: int = KEY_BITS) -> OldRound:
    """Every trainer multiplies each of its rows with encrypted weights, twice; written with phe as the thesis's system did it."""
    rows = [(Dataset.of(X, y).design(), np.asarray(y)) for X, y in shards]
    validators = [rows.pop(VALIDATOR)]
    federation = Federation2019(rows, validators, step=STEP, key_bits=key_bits)
    begin = time.process_time()
    federation.train_round()
    return OldRound(time.process_time() - begin, key_bits)


def old_against_new(old: OldRound, result: TrainingResult, rounds: int = ROUNDS) -> str:
    """What training alone would have taken, beside all of ours."""
    training = old.seconds * rounds
    return (
        f"One round with the arithmetic of 2019: {old.seconds:.2f} s of CPU, so {training:,.0f} s for {rounds} rounds, not measured.\n"
        f"All of ours, measured and proven: {result.cpu_seconds:.1f} s, {training / result.cpu_seconds:.0f} times less."
    )


def payouts_of(result: TrainingResult, escrow_wei: int) -> Payouts:
    """What the contract would pay for this run."""
    gains = [round(share * ONE) for share in result.contributions.values()]
    initial, final = (round(mse * ONE) for mse in (result.mse_initial, result.mse_final))
    return split_escrow(escrow_wei=escrow_wei, initial=initial, final=final, gains=gains, validators=1)


def payouts_table(paid: Payouts, trainers: Sequence[int]) -> Sheet:
    """Who gets what; together exactly the escrow."""
    rows = [(name_of(index), "trainer", ether(amount)) for index, amount in zip(trainers, paid.trainers_wei, strict=True)]
    rows += [(name_of(VALIDATOR), "validator", ether(paid.validators_wei[0])), ("aggregator", "", ether(paid.aggregator_wei))]
    return sheet_of_rows("Payouts", ["", "", "receives"], [*rows, ("buyer", "refund", ether(paid.refund_wei))], numeric=[2])


def refund_exercise(result: TrainingResult, escrow_ether: int = 5) -> Exercise:
    """How much of its escrow the buyer gets back."""
    return Exercise(
        [payouts_of(result, escrow_ether * ONE).refund_wei / ONE],
        "of the trainers' 70 percent, the part of the error that is left goes back.",
        f"The escrow is {escrow_ether} ether. Trainers share 70 % of it, times (initial - final) / initial; validators and aggregator get "
        "their 30 % in full.",
    )
