"""All measurements, in the order people read them."""

from __future__ import annotations

from collections.abc import Callable

from deltaml_core import schemes
from deltaml_core.benchmarks.affine import affine_map
from deltaml_core.benchmarks.answering import owner_answer
from deltaml_core.benchmarks.corruption import corruption_table
from deltaml_core.benchmarks.http import over_http, over_nats, paper_metrics, paper_run_over_http
from deltaml_core.benchmarks.measure import Measurement
from deltaml_core.benchmarks.paper import paper_measurements
from deltaml_core.benchmarks.pieces import Setup
from deltaml_core.benchmarks.scan import ROWS, scan_measurements
from deltaml_core.benchmarks.schemes import scheme_table
from deltaml_core.benchmarks.shapley import shapley
from deltaml_core.benchmarks.spreading import in_a_process_of_its_own
from deltaml_core.compute import workers
from deltaml_core.errors import MissingExtraError, NodeError
from deltaml_core.schemes.base import PrivateKey

_BASELINE_CYCLES = 3
_TRAINERS = (4, 8, 15)
_REPETITIONS = {11: 15, 30: 7, 100: 3}
_FEW, _MANY, _KEY_BITS_OF_MANY = 5, 50, 1024
_COMPUTED = {"compute_small": (11, 31), "two_processes": (100, 9)}


def run_benchmarks(key_bits: int = 2048, progress: Callable[[str], None] | None = None, scanned_rows: int = ROWS) -> list[Measurement]:
    """Measure everything: on one worker, but for what compares their number.

    Args:
        key_bits: length of the modulus, even and at least 1024.
        progress: told what is being measured.
        scanned_rows: rows of the files that are scanned.

    Returns:
        `paper_run_shapley`, `paper_run_verifiable`, `paper_run_noise` and their pieces, `shapley_4`, `_8` and `_15`, `affine_map_11`,
        `_30` and `_100`, `owner_answer`, `compute_small` and `two_processes`, `round_http_5` and `_50`, `round_bytes_5` and `_50`,
        `owners_50_training` and what of it is an owner's (`owners_50_cpu_per_owner`, `owners_50_memory_per_owner`), `round_nats_5` and
        `_50` where a nats-server is installed, `paper_run_http_wall`, `scan_parquet`, `scan_csv`, what each holds in memory (`_memory`)
        and `rows_independence`, a line for every scheme with 11 and 100 weights (`scheme_paillier_11`, ...), what corrupted owners earn,
        and the mean bytes of every kind of message.

    Raises:
        TermsError: a length that cannot be.
        WrongResultError: something measured does not compute what it should.
    """
    tell = progress or (lambda text: None)
    tell(f"{_MANY} owners over HTTP")  # first, while the process is small: memory that lies unused would hide its growth
    many = over_http(_MANY, schemes.generate("paillier", _KEY_BITS_OF_MANY))
    brokered = [*_over_nats(_MANY, schemes.generate("paillier", _KEY_BITS_OF_MANY), tell)]
    with workers(1):
        costs, others = _on_one_worker(key_bits, tell)
    key = schemes.generate("paillier", key_bits)
    spread = []
    for name, (dimension, repetitions) in _COMPUTED.items():
        tell(f"an encrypted product over the cores, {dimension} x {dimension}")
        spread.append(in_a_process_of_its_own(name, key_bits, dimension, repetitions))
    tell(f"{_FEW} owners over HTTP")
    few = over_http(_FEW, key)[:2]
    brokered = [*_over_nats(_FEW, key, tell), *brokered]
    tell("the paper's run over HTTP")
    in_process = {m.name: m for m in costs}["paper_run_shapley" if paper_metrics(key_bits) == "verifiable" else "paper_run_noise"]
    served = [*few, *many, *brokered, paper_run_over_http(key_bits, in_process)]
    tell(f"{scanned_rows:,} rows")
    scanned = scan_measurements(key, scanned_rows)
    return [*costs, *spread, *served, *scanned, *scheme_table(key_bits, progress=tell), *others]


def _over_nats(owners: int, key: PrivateKey, tell: Callable[[str], None]) -> list[Measurement]:
    """A round over NATS, where there is a server and a client for it."""
    tell(f"{owners} owners over NATS")
    try:
        return [over_nats(owners, key)]
    except (MissingExtraError, NodeError) as error:
        tell(f"not measured: {error}")
        return []


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
    tell("an owner's answers, with factors made beforehand")
    maps.append(owner_answer(key))
    costs = [m for m in paper if m.unit != "bytes"]
    return [*costs, *contributions, *maps], [*corruption_table(tell), *(m for m in paper if m.unit == "bytes")]
