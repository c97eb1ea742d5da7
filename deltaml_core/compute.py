"""Work inside a node, spread over its cores with joblib where that is faster, and done in place where it is not.

Whoever calls says what the work costs; small work never touches joblib, so no process is started for it. What is spread goes to
joblib's backend: loky's processes on this machine, or whatever the user chose with `joblib.parallel_config(backend=...)`, Dask
for one. Loky's are asked directly, since joblib itself looks for their results only every 10 ms. Results are those of serial work
bit for bit, whatever the number of workers: everything random is drawn before.

Who sees what: the worker processes are the participant's own, and with loky on its own machine. They are sent ciphertexts, a
trainer's recoded matrix M and exponents of fresh randomness. With another backend these go wherever its workers are, so a
participant uses only machines it trusts like its own. No secret of a key is ever sent: decryption and openings stay serial, in
the buyer's process.

Workers are started by the first work that is worth it and serve all that follows. Loky's end with the program, or after five idle
minutes; after a kill -9 of the program it is these minutes that end them.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.parallel import LokyBackend, get_active_backend

from deltaml_core.errors import SettingError

WORKERS_VARIABLE = "DELTAML_WORKERS"

WORTH_SPREADING = 10_000
"""Multiplications modulo 4096 bits that must be saved: 40 ms.

Measured on two cores with loky's workers running: handing out two pieces and collecting them takes 3 ms (11 by other backends of
joblib), a multiplication 4 us. So what is spread repays that well. The first work also starts the workers, once in a process: 0.5
to 0.9 s.
"""

_IDLE_SECONDS = 300

_BITS = 4096

_chosen: ContextVar[int | None] = ContextVar("workers", default=None)

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Cost:
    """What work costs, in multiplications modulo a number.

    Attributes:
        products: of all items together.
        shared: what every worker does for itself before its first item, a table for one.
        bits: length of the modulus.
    """

    products: int
    shared: int
    bits: int

    def saved(self, groups: int) -> float:
        """By how much `groups` workers are done earlier than one, in multiplications modulo 4096 bits.

        A multiplication takes about the 1.5th power of the length (1.4, 4.0 and 7.5 us at 2048, 4096 and 6144 bits).
        """
        return (self.products * (1 - 1 / groups) - self.shared) * math.pow(self.bits / _BITS, 1.5)


def spread(work: Callable[[Sequence[T]], list[R]], items: Sequence[T], cost: Cost) -> list[R]:
    """`work(items)`, of a function that does each item by itself.

    Args:
        work: what pickle can send to a worker: a function of a module, a `functools.partial` of one.
        items: what it is done to.
        cost: of all of it.

    Raises:
        SettingError: `DELTAML_WORKERS` is not a positive number.
    """
    most = _configured()
    if most == 1 or cost.saved(max(1, len(items))) <= WORTH_SPREADING:
        return work(items)
    available = joblib.effective_n_jobs(most or -1)
    groups = min(available, len(items))
    if cost.saved(groups) <= WORTH_SPREADING:
        return work(items)
    bounds = [len(items) * group // groups for group in range(groups + 1)]
    parts = [items[start:end] for start, end in itertools.pairwise(bounds)]
    if isinstance(get_active_backend()[0], LokyBackend):
        results = _by_loky(work, parts, available)
    else:
        results = joblib.Parallel(n_jobs=groups)(joblib.delayed(work)(part) for part in parts)
    return [result for part in results for result in part]


def _by_loky(work: Callable[[Sequence[T]], list[R]], parts: Sequence[Sequence[T]], available: int) -> list[list[R]]:
    # always as many, however many parts there are: another number would restart them
    executor = get_reusable_executor(max_workers=available, timeout=_IDLE_SECONDS)
    try:
        return list(executor.map(work, parts))
    except KeyboardInterrupt:
        executor.shutdown(kill_workers=True)  # who interrupts does not wait for what is under way
        raise


@contextmanager
def workers(count: int) -> Iterator[None]:
    """Within it at most `count` workers do the work, whatever the environment says; 1 does all of it in this process."""
    token = _chosen.set(count)
    try:
        yield
    finally:
        _chosen.reset(token)


def _configured() -> int | None:
    """The number of workers that was chosen; None leaves it to joblib: all cores, or what the user's backend has."""
    if (chosen := _chosen.get()) is not None:
        return chosen
    text = os.environ.get(WORKERS_VARIABLE)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise SettingError(f"{WORKERS_VARIABLE} is {text!r}; it states a number of workers: 1 does all work in this process")
    return int(text)
