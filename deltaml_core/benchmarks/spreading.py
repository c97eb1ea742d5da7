"""An encrypted affine map over all cores, beside the same on one."""

from __future__ import annotations

import multiprocessing
import secrets
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from deltaml_core import fixedpoint, schemes
from deltaml_core.benchmarks.affine import FRACTIONAL_BITS
from deltaml_core.benchmarks.measure import Measurement, Stopwatch, WrongResultError
from deltaml_core.compute import workers
from deltaml_core.schemes.base import Ciphertexts


def in_a_process_of_its_own(name: str, key_bits: int, dimension: int, repetitions: int) -> Measurement:
    """`compute` in a new process, as a node is one: not beside what else this one holds and still runs."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(compute, name, key_bits, dimension, repetitions).result()


def compute(name: str, key_bits: int, dimension: int, repetitions: int) -> Measurement:
    """Wall seconds of `[[M a]]`, d x d, by the default workers and by one; M's entries are uniform in [-1, 1].

    Both take turns, so that a busy machine slows them alike. The first product of each is not counted: it starts the workers, where
    there is work for them.

    Raises:
        WrongResultError: the two differ.
    """
    key = schemes.generate("paillier", key_bits)
    matrix = np.random.default_rng(dimension).uniform(-1, 1, (dimension, dimension))
    linear = key.public.prepare([fixedpoint.encode_array(row, FRACTIONAL_BITS) for row in matrix])
    vector = key.encrypt([secrets.randbits(2 * FRACTIONAL_BITS) for _ in range(dimension)])

    def product() -> Ciphertexts:
        return key.public.combine(linear, vector)

    watch = Stopwatch(time.perf_counter)
    ours = watch.time("first", product)
    for _ in range(repetitions):
        ours = watch.time("ours", product)
        with workers(1):
            serial = watch.time("serial", product)
        if ours != serial:
            raise WrongResultError(f"an encrypted product of {dimension} x {dimension} depends on the number of workers")
    return Measurement(
        name,
        watch.median("ours"),
        "wall s",
        key.public.bits,
        watch.median("serial"),
        f"one encrypted {dimension} x {dimension} product with {FRACTIONAL_BITS} fractional bits, by as many workers as it is worth, "
        f"against one, in a process that does nothing else; median of {repetitions}. The first, which starts them if need be, took "
        f"{watch.total('first'):.2g} s",
    )
