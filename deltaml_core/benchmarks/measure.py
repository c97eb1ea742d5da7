"""A measurement, and how time is taken: this process's own CPU time, so that neighbours on the machine count little.

It misses what worker processes do, so work that may be spread is timed on one worker, or on the wall's clock.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from deltaml_core.errors import DeltaMLError
from deltaml_core.transport.local import LocalTransport

T = TypeVar("T")

FIGURES = ("share", "MSE")
"""Units of what is no cost: it is to be equal both ways."""


class WrongResultError(DeltaMLError):
    """What was measured does not compute what it should, so its cost says nothing."""


@dataclass(frozen=True)
class Measurement:
    """A cost, or a figure of the result, beside the same thing done the other way.

    Attributes:
        name: identifies it from run to run.
        value: ours.
        unit: of value and baseline.
        key_bits: length of the modulus it was taken with.
        baseline: that of the way it is compared with, None where there is none.
        how: what was measured, for people.
        is_overhead: whether ours is the baseline with something added to it, so that the ratio says by how much it costs more.
    """

    name: str
    value: float
    unit: str
    key_bits: int
    baseline: float | None = None
    how: str = ""
    is_overhead: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times cheaper ours is, of an overhead how many times dearer; None without a baseline, and for what is no cost."""
        if self.baseline is None or self.unit in FIGURES:
            return None
        return self.value / self.baseline if self.is_overhead else self.baseline / self.value


class Stopwatch:
    """Seconds of named pieces of work, every repetition kept.

    Attributes:
        laps: the seconds of each repetition, by name.
    """

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        """No laps yet; by default the seconds are this process's CPU seconds."""
        self._clock = clock
        self.laps: defaultdict[str, list[float]] = defaultdict(list)

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Do it, and keep what it took."""
        begin = self._clock()
        result = work()
        self.laps[name].append(self._clock() - begin)
        return result

    def mean(self, name: str) -> float:
        """Mean of the repetitions: the one to extrapolate sums with."""
        return self.total(name) / len(self.laps[name])

    def median(self, name: str) -> float:
        """Median of the repetitions."""
        return median(self.laps[name])

    def total(self, name: str) -> float:
        """Sum of the repetitions."""
        return sum(self.laps[name])


class Ledger:
    """CPU seconds of a training by what they were spent for.

    Delivering a message is booked under what its first answer is for. Where nothing is answered (the first of several trainers'
    updates arrives), it is booked with the next answer.

    Attributes:
        seconds: by purpose.
    """

    def __init__(self, purpose: Callable[[str], str]) -> None:
        """`purpose` names what a kind of message is for."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._purpose = purpose

    def run(self, transport: LocalTransport) -> None:
        """Deliver all messages."""
        begin, more = time.process_time(), True
        while more:
            before = dict(transport.sent)
            more = transport.deliver()
            answers = [kind for kind, count in transport.sent.items() if count > before.get(kind, 0)]
            if answers:
                now = time.process_time()
                self.seconds[self._purpose(answers[0])] += now - begin
                begin = now
