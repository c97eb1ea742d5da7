"""Chapter 4: training as one affine map, and the same training in the clear and under encryption (protocol.md §1-§3)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from deltaml_core import fixedpoint, models, schemes
from deltaml_core.benchmarks.measure import Ledger
from deltaml_core.benchmarks.seats import seated
from deltaml_core.errors import InsecureKeyWarning, NoiseMetricWarning
from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.palette import AMBER, OWNERS, TEAL
from deltaml_core.lessons.patients import Shard
from deltaml_core.lessons.sheet import Sheet, on_change, sheet_of_rows, side_by_side, whole_slider
from deltaml_core.messages import AskMasks, Masks, OpenedMasked, OpenMasked, Train, TrainAlone, Update
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.training import TrainingResult, train
from deltaml_core.views.charts import Chart
from deltaml_core.views.formats import number, percent

VALIDATOR = 1
STEP = 1.5
MATRIX_BITS, WEIGHT_BITS = 32, 48
_SHOWN_DIGITS = 6


class MapPicture(Sheet):
    """The matrix M and the vector v that stand for N local steps on one owner's rows; N can be moved."""

    def __init__(self, shard: Shard, features: Sequence[str], *, step: float = STEP) -> None:
        """`features`: names of X's columns."""
        self._dataset, self._step = Dataset.of(*shard, features), step
        self.steps = whole_slider("local steps N", 1, 1, 200)
        names = [*features, "1"]
        matrix = go.Heatmap(x=names, y=names, z=np.eye(len(names)), colorscale="RdBu", zmid=0, zmin=-1, zmax=1, colorbar={"thickness": 10})
        self.matrix = Chart("M: multiplied", "old weight", "new weight", [matrix], css="t-matrix", height=420)
        self.matrix.figure.update_layout(yaxis={"autorange": "reversed"})
        vector = go.Bar(x=names, y=np.zeros(len(names)), marker={"color": TEAL})
        self.vector = Chart("v: added", "weight", "added", [vector], css="t-vector", height=420)
        on_change([self.steps], self.show)
        super().__init__([self.steps, side_by_side(self.matrix, self.vector)])
        self.show()

    @property
    def map(self) -> models.AffineMap:
        """That of the slider's number of steps."""
        return models.local_steps(Statistics.of(self._dataset), self._step, self.steps.value)

    def show(self) -> None:
        """Draw the map as the slider stands."""
        update = self.map
        self.matrix.figure.data[0].z = update.M
        self.vector.figure.data[0].y = update.v
        self.matrix.say(f"{update.M.size} numbers for N = {self.steps.value}; as many for any other N, and for any number of rows.")
        self.vector.say(f"{len(update.v)} numbers.")


def one_by_one(shard: Shard, weights: Array, *, step: float = STEP, steps: int) -> Array:
    """N gradient steps on the rows themselves: what the map has to equal."""
    dataset = Dataset.of(*shard)
    X = dataset.design()
    for _ in range(steps):
        weights = weights - step / len(X) * X.T @ (X @ weights - dataset.y)
    return weights


def map_against_steps(shard: Shard, *, steps: int) -> str:
    """How far the map is from walking."""
    start = np.ones(shard[0].shape[1] + 1)
    walked = one_by_one(shard, start, steps=steps)
    mapped = models.local_steps(Statistics.of(Dataset.of(*shard)), STEP, steps)(start)
    return f"N = {steps} over {len(shard[1])} rows, or one map: the largest difference of a weight is {np.abs(walked - mapped).max():.1e}"


@dataclass(frozen=True)
class EncryptedStep:
    """One step on weights that nobody but the key holder can read, and the same on integers in the clear.

    Attributes:
        names: of the weights.
        sent, answered: ciphertexts before and after.
        decrypted: what the answer holds.
        expected: `M w + v` in plain integers.
        scale: fractional bits of the result.
    """

    names: tuple[str, ...]
    sent: tuple[int, ...]
    answered: tuple[int, ...]
    decrypted: tuple[int, ...]
    expected: tuple[int, ...]
    scale: int


def encrypted_step(shard: Shard, features: Sequence[str], weights: Array, *, key_bits: int = 2048) -> EncryptedStep:
    """Have an owner apply its map to encrypted weights."""
    key = schemes.generate("paillier", key_bits)
    public = schemes.public_key("paillier", key.public.modulus)
    update = models.local_steps(Statistics.of(Dataset.of(*shard)), STEP, 1)
    matrix = [fixedpoint.encode_array(row, MATRIX_BITS) for row in update.M]
    scale = WEIGHT_BITS + MATRIX_BITS
    offset = fixedpoint.encode_array(update.v, scale)
    integers = fixedpoint.encode_array(weights, WEIGHT_BITS)
    sent = key.encrypt(integers)
    answered = public.affine(public.prepare(matrix), offset, sent)
    expected = [sum(m * w for m, w in zip(row, integers, strict=True)) + v for row, v in zip(matrix, offset, strict=True)]
    return EncryptedStep((*features, "1"), sent, answered, tuple(key.decrypt(answered)), tuple(expected), scale)


def step_table(step: EncryptedStep) -> Sheet:
    """What the owner sees, what the key holder reads, and what plain integers give."""
    rows = []
    for name, sent, answer, plain, expected in zip(step.names, step.sent, step.answered, step.decrypted, step.expected, strict=True):
        verdict = "the same integer" if plain == expected else "ANOTHER"
        rows.append((name, _short(sent), _short(answer), plain, verdict, number(fixedpoint.decode(plain, step.scale))))
    headings = ["weight", "the owner receives", "it answers", "decrypted", "plain integers give", "as a real"]
    return sheet_of_rows("One step on encrypted weights", headings, rows, numeric=[3, 5], css="t-step")


@dataclass(frozen=True)
class Twins:
    """The same training twice."""

    clear: TrainingResult
    encrypted: TrainingResult


def train_twice(shards: Sequence[Shard], *, rounds: int = 30, key_bits: int = 2048) -> Twins:
    """With the thesis's own measurement, which adds no blur, so that results can be compared bit by bit."""
    with warnings.catch_warnings():  # the data is public and the key is thrown away
        warnings.simplefilter("ignore", NoiseMetricWarning)
        warnings.simplefilter("ignore", InsecureKeyWarning)
        clear, encrypted = (
            train(
                shards,
                validators=[VALIDATOR],
                rounds=rounds,
                step=STEP,
                key_bits=key_bits,
                scheme=scheme,
                metrics="noise",
                contributions="leave_one_out",
            )
            for scheme in ("plain", "paillier")
        )
    return Twins(clear, encrypted)


def overlay(twins: Twins) -> Sheet:
    """Both error curves in one chart."""
    traces = []
    for name, result, style in (
        ("in the clear", twins.clear, {"mode": "lines", "line": {"color": TEAL, "width": 5}}),
        ("encrypted", twins.encrypted, {"mode": "markers", "marker": {"color": AMBER, "size": 8, "symbol": "x-thin-open"}}),
    ):
        rounds, errors = zip(*result.mse_history, strict=True)
        hover = "round %{x}: %{y:.17g}<extra>" + name + "</extra>"
        traces.append(go.Scatter(x=rounds, y=errors, name=name, hovertemplate=hover, **style))
    chart = Chart("The same training, twice", "round", "MSE (squared units of progression)", traces, css="t-overlay")
    same = twins.clear.mse_history == twins.encrypted.mse_history
    verdict = "every one is the same to the last bit" if same else "they differ"
    chart.say(f"{len(twins.clear.mse_history)} measurements; {verdict}.", same=same)
    return Sheet([chart])


def weights_table(twins: Twins, features: Sequence[str]) -> Sheet:
    """Both final models, all digits."""
    models_ = [(*result.coef_, result.intercept_) for result in (twins.clear, twins.encrypted)]
    rows = [
        (name, repr(float(clear)), repr(float(encrypted)), "equal" if clear == encrypted else "DIFFERENT")
        for name, clear, encrypted in zip((*features, "intercept"), *models_, strict=True)
    ]
    return sheet_of_rows("The two models", ["weight", "in the clear", "encrypted", ""], rows, numeric=[1, 2], css="t-weights")


def where_time_goes(shards: Sequence[Shard], *, rounds: int = 10, key_bits: int = 2048) -> dict[str, float]:
    """CPU seconds of a run with everything verified, by what they are for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureKeyWarning)
        table = seated(shards, [VALIDATOR], schemes.generate("paillier", key_bits), rounds=rounds, step=STEP)
    transport = table.session.transport

    def purpose(kind: str) -> str:
        if kind in (AskMasks.kind, Masks.kind, OpenMasked.kind, OpenedMasked.kind):
            return "bringing the scale down"
        if transport.sent[TrainAlone.kind]:
            return "who contributed what"
        return "trainers' steps" if kind in (Train.kind, Update.kind) else "measuring"

    ledger = Ledger(purpose)
    ledger.run(transport)
    return dict(ledger.seconds)


def time_chart(seconds: dict[str, float], rounds: int) -> Sheet:
    """Where the seconds went."""
    ordered = sorted(seconds.items(), key=lambda entry: entry[1])
    names, values = [name for name, _ in ordered], [value for _, value in ordered]
    bars = go.Bar(y=names, x=values, orientation="h", marker={"color": list(OWNERS[: len(names)])})
    bars.hovertemplate = "%{x:.2f} s<extra></extra>"
    chart = Chart(f"Where time goes in {rounds} rounds", "CPU seconds", "", [bars], css="t-time", height=300)
    total = sum(values)
    chart.say(f"{total:.1f} s in all: " + ", ".join(f"{name} {percent(value / total, 0)}" for name, value in reversed(ordered)) + ".")
    return Sheet([chart])


def map_exercise(shard: Shard, *, steps: int = 50) -> Exercise:
    """The weights after N local steps from zero, without a loop."""
    return Exercise(
        list(models.local_steps(Statistics.of(Dataset.of(*shard)), STEP, steps).v),
        "from zero weights, M w + v is v itself.",
        f"`models.local_steps(statistics, step={STEP}, steps={steps})` is the map; apply it to zeros. All weights are asked for.",
        tolerance=1e-6,
    )


def _short(ciphertext: int) -> str:
    digits = str(ciphertext)
    return f"{digits[:_SHOWN_DIGITS]}… ({len(digits)} digits)"
