"""Chapter 2: what a longer key costs, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from deltaml_core.benchmarks.measure import Stopwatch
from deltaml_core.lessons.palette import AMBER, BLUE, ROSE, TEAL
from deltaml_core.lessons.sheet import Sheet
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.schemes.paillier import PaillierPrivateKey
from deltaml_core.views.charts import Chart

SIZES = (512, 1024, 2048, 3072)
REPETITIONS = 5
_MARKS = (("make a key", ROSE, "x"), ("encrypt", TEAL, "circle"), ("decrypt", BLUE, "square"), ("multiply by a number", AMBER, "diamond"))


@dataclass(frozen=True)
class Timing:
    """Milliseconds of CPU time that one operation takes under a key of a length."""

    bits: int
    operation: str
    milliseconds: float


def measure(sizes: Sequence[int] = SIZES, repetitions: int = REPETITIONS) -> list[Timing]:
    """Time a key of each length: the median of the repetitions, of the one key that is made."""
    found = []
    for bits in sizes:
        watch = Stopwatch(time.process_time)
        key = watch.time("make a key", lambda length=bits: PaillierPrivateKey.generate(length))  # type: ignore[misc]
        _time_operations(watch, key, repetitions)
        found += [Timing(bits, name, 1000 * watch.median(name)) for name, _, _ in _MARKS]
    return found


def _time_operations(watch: Stopwatch, key: PrivateKey, repetitions: int) -> None:
    public, ciphertext = key.public, key.encrypt([12345])
    public.encrypt([0])  # makes the table that later ones share
    operations: dict[str, Callable[[], object]] = {
        "encrypt": lambda: public.encrypt([12345]),
        "decrypt": lambda: key.decrypt(ciphertext),
        "multiply by a number": lambda: public.scale(ciphertext, [0xDEADBEEF]),
    }
    for name, work in operations.items():
        for _ in range(repetitions):
            watch.time(name, work)


def key_size_chart(timings: Sequence[Timing]) -> Sheet:
    """Time against length, both in powers."""
    traces = []
    for name, colour, symbol in _MARKS:
        points = [timing for timing in timings if timing.operation == name]
        traces.append(
            go.Scatter(
                x=[point.bits for point in points],
                y=[point.milliseconds for point in points],
                mode="lines+markers",
                name=name,
                line={"color": colour},
                marker={"symbol": symbol, "size": 9},
                hovertemplate="%{x} bits: %{y:.3f} ms<extra>" + name + "</extra>",
            )
        )
    chart = Chart("What a longer key costs", "bits of n", "milliseconds of CPU time", traces, css="t-key-sizes")
    sizes = sorted({timing.bits for timing in timings})
    chart.figure.update_layout(xaxis={"type": "log", "tickvals": sizes, "ticktext": [str(size) for size in sizes]}, yaxis={"type": "log"})
    half, whole = doubling(sizes)
    grown = ", ".join(f"{name} takes {growth(timings, name, half, whole):.1f} times as long" for name, _, _ in _MARKS[1:])
    chart.say(f"With {whole} bits instead of {half}: {grown}.")
    return Sheet([chart])


def doubling(sizes: Sequence[int]) -> tuple[int, int]:
    """The longest key of which there is one of half the length, and that half, first; without one, the shortest and the longest."""
    pairs = [(size // 2, size) for size in sorted(sizes) if size // 2 in sizes]
    return pairs[-1] if pairs else (min(sizes), max(sizes))


def growth(timings: Sequence[Timing], operation: str, short: int, long: int) -> float:
    """How many times as long an operation takes under a key of `long` bits as under one of `short`."""
    taken = {timing.bits: timing.milliseconds for timing in timings if timing.operation == operation}
    return taken[long] / taken[short]
