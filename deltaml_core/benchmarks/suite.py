"""All measurements, in the order people read them."""

from __future__ import annotations

from collections.abc import Callable

from deltaml_core import schemes
from deltaml_core.benchmarks.affine import affine_map
from deltaml_core.benchmarks.corruption import corruption_table
from deltaml_core.benchmarks.http import over_http, paper_metrics, paper_run_over_http
from deltaml_core.benchmarks.measure import Measurement
from deltaml_core.benchmarks.paper import Setup, paper_measurements
from deltaml_core.benchmarks.shapley import shapley
from deltaml_core.benchmarks.spreading import compute
from deltaml_core.compute import workers

_BASELINE_CYCLES = 3
_TRAINERS = (4, 8, 15)
_REPETITIONS = {11: 15, 30: 7, 100: 3}
_FEW, _MANY, _KEY_BITS_OF_MANY = 5, 50, 1024
_COMPUTED = {"compute_small": (11, 31), "compute_large": (100, 5)}


def run_benchmarks(key_bits: int = 2048, progress: Callable[[str], None] | None = None) -> list[Measurement]:
    """Measure everything: on one worker, but for what compares their number.

    Args:
        key_bits: length of the modulus, even and at least 1024.
        progress: told what is being measured.

    Returns:
        `paper_run`, `paper_run_noise` and their pieces, `shapley_4`, `_8` and `_15`, `affine_map_11`, `_30` and `_100`,
        `compute_small` and `compute_large`, `round_http_5` and `_50`, `round_bytes_5` and `_50`, `owners_50_training` and what of it
        is an owner's (`owners_50_cpu_per_owner`, `owners_50_memory_per_owner`), `paper_run_http_wall`, what corrupted owners earn, and
        the mean bytes of every kind of message.

    Raises:
        TermsError: a length that cannot be.
        WrongResultError: something measured does not compute what it should.
    """
    tell = progress or (lambda text: None)
    tell(f"{_MANY} owners over HTTP")  # first, while the process is small: memory that lies unused would hide its growth
    many = over_http(_MANY, schemes.generate("paillier", _KEY_BITS_OF_MANY))
    with workers(1):
        costs, others = _on_one_worker(key_bits, tell)
    key = schemes.generate("paillier", key_bits)
    spread = []
    for name, (dimension, repetitions) in _COMPUTED.items():
        tell(f"an encrypted product over the cores, {dimension} x {dimension}")
        spread.append(compute(name, key, dimension, repetitions))
    tell(f"{_FEW} owners over HTTP")
    few = over_http(_FEW, key)[:2]
    tell("the paper's run over HTTP")
    in_process = {m.name: m for m in costs}["paper_run" if paper_metrics(key_bits) == "verifiable" else "paper_run_noise"]
    return [*costs, *spread, *few, *many, paper_run_over_http(key_bits, in_process), *others]


def _on_one_worker(key_bits: int, tell: Callable[[str], None]) -> tuple[list[Measurement], list[Measurement]]:
    """What is timed by CPU seconds, and the figures and bytes."""
    setup = Setup.paper(key_bits, _BASELINE_CYCLES)
    paper, baseline = paper_measurements(setup, tell)
    key = schemes.generate("paillier", key_bits)
    contributions = []
    for trainers in _TRAINERS:
        tell(f"Shapley shares of {trainers} trainers")
        contributions.append(shapley(key, trainers, baseline, len(setup.trainers)))
    maps = []
    for dimension, repetitions in _REPETITIONS.items():
        tell(f"encrypted affine map, {dimension} x {dimension}")
        maps.append(affine_map(key, dimension, repetitions))
    costs = [m for m in paper if m.unit != "bytes"]
    return [*costs, *contributions, *maps], [*corruption_table(tell), *(m for m in paper if m.unit == "bytes")]
