"""The same federated rounds on every scheme: seconds, bytes and distance from plain arithmetic, by number of weights."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import Callable, Sequence

import numpy as np

from deltaml_core import schemes
from deltaml_core.benchmarks.measure import Measurement, WrongResultError
from deltaml_core.compute import workers
from deltaml_core.schemes import ckks, integers, mpc
from deltaml_core.schemes.vectors import Keyring, Vector
from deltaml_core.statistics import Array

NAMES = ("plain", "paillier", "ckks", "mpc")
SIZES = (11, 100, 1000)
QUICK_SIZES = SIZES[:2]
"""Without what takes Paillier minutes."""

_PACKAGES = {"ckks": "tenseal", "mpc": "mpyc"}
_ROUNDS = {11: 20, 100: 4, 1000: 2}
_MASKS = 2
_LARGEST_DISTANCE = 1e-6


def scheme_table(
    key_bits: int, sizes: Sequence[int] = QUICK_SIZES, progress: Callable[[str], None] = lambda text: None, names: Sequence[str] = NAMES
) -> list[Measurement]:
    """Three lines for every scheme whose package is installed and every size.

    A round is one trainer's encrypted d x d affine map; after every second one the weights are refreshed, masked by two owners. Key and map
    are made before. Seconds are the wall's (parties are processes of their own), on one worker, against plain integers in the same run.

    Args:
        key_bits: length of Paillier's modulus.
        sizes: numbers of weights.
        progress: told what is being measured.
        names: which schemes; "plain" is measured first, as the baseline.

    Raises:
        WrongResultError: a scheme is further than 10**-6 from plain arithmetic, relative to the largest weight.
    """
    table = []
    with workers(1):
        for size in sizes:
            baseline: float | None = None
            for name in names:
                if name in _PACKAGES and importlib.util.find_spec(_PACKAGES[name]) is None:
                    progress(f"{name} is left out: {_PACKAGES[name]} is not installed")
                    continue
                progress(f"rounds on {name}, {size} weights")
                lines = _rounds_on(name, size, key_bits, baseline)
                baseline = lines[0].value if name == "plain" else baseline
                table += lines
    return table


def _rounds_on(name: str, size: int, key_bits: int, baseline: float | None) -> list[Measurement]:
    begin = time.perf_counter()
    with contextlib.closing(_keyring(name, size, key_bits)) as ring:
        public = ring.public
        matrix, offset, weights = _problem(size)
        linear, vector = public.prepare(matrix, offset), public.encrypt(weights)
        prepared, made = time.perf_counter() - begin, public.sent
        rounds, begin = _ROUNDS.get(size, 2), time.perf_counter()
        for number in range(1, rounds + 1):
            vector = public.affine(linear, vector)
            if number % 2 == 0:
                vector = _refreshed(ring, vector)
        seconds, sent = (time.perf_counter() - begin) / rounds, (public.sent - made) / rounds
        found = ring.decrypt(vector)
    expected = weights
    for _ in range(rounds):
        expected = matrix @ expected + offset
    distance = float(np.abs(found - expected).max() / np.abs(expected).max())
    if distance > _LARGEST_DISTANCE:
        raise WrongResultError(f"{rounds} rounds on {name} with {size} weights end {distance:.1g} from plain arithmetic")
    how = f"a round of {rounds} with one trainer, a refresh masked by {_MASKS} owners after every second; key and map took {prepared:.2g} s"
    bits = key_bits if name == "paillier" else 0
    return [
        Measurement(f"scheme_{name}_{size}", seconds, "wall s", bits, baseline, how, is_overhead=True),
        Measurement(f"scheme_{name}_{size}_bytes", sent, "bytes", bits, how="sent in a round, between all participants"),
        Measurement(f"scheme_{name}_{size}_error", distance, "relative error", bits, how="of the weight furthest from plain arithmetic"),
    ]


def _refreshed(ring: Keyring, vector: Vector) -> Vector:
    return ring.refresh(vector, [ring.public.mask(vector) for _ in range(_MASKS)])


def _keyring(name: str, size: int, key_bits: int) -> Keyring:
    if name == "ckks":
        return ckks.generate(size)
    if name == "mpc":
        return mpc.local_parties()
    return integers.of_key(schemes.generate(name, key_bits))


def _problem(size: int) -> tuple[Array, Array, Array]:
    """One gradient step on random rows, and weights to begin with."""
    rng = np.random.default_rng(size)
    X = rng.uniform(-1, 1, (2 * size, size))
    moments = X.T @ X / len(X)
    step = 1 / float(np.linalg.eigvalsh(moments)[-1])
    return np.eye(size) - step * moments, step * moments @ rng.normal(size=size), rng.normal(size=size)
