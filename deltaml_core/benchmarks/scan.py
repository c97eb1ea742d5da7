"""What it costs to turn rows into statistics, and that nothing costs more for more rows afterwards."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import numpy as np

from deltaml_core.benchmarks.measure import Measurement, Stopwatch, WrongResultError
from deltaml_core.messages import Train
from deltaml_core.owner import Trainer
from deltaml_core.party import Party
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Column, Requirements, Selection, open_source
from deltaml_core.statistics.sources.local import silent
from deltaml_core.terms import TrainingTerms

ROWS, FEATURES, FEW = 10_000_000, 10, 50
_REPETITIONS, _ACCURACY = 5, 1e-9
_NAMES = tuple(f"x{j}" for j in range(FEATURES))
_REQUIREMENTS = Requirements(tuple(Column(name, -1, 1) for name in _NAMES), Column("y", -5, 5))


def write_rows(path: Path, rows: int) -> None:
    """Features in [-1, 1] and a target of three of them, drawn by a hash, as Parquet or, where the name ends so, as CSV.

    The features correlate: otherwise more rows would bring their products nearer to 0, and small numbers cost a round less.
    """
    both = [f"(hash(i)::DOUBLE + hash(i * {2 * j + 3} + {j})) / {2**64}.0 - 1 AS {name}" for j, name in enumerate(_NAMES)]
    features = ", ".join(both)
    kind = "csv" if path.suffix == ".csv" else "parquet"
    with silent(duckdb.connect()) as connection:
        connection.execute(f"COPY (SELECT {features}, x0 + x1 / 2 - x2 AS y FROM range({rows}) source(i)) TO '{path}' (FORMAT {kind})")


def scan_measurements(key: PrivateKey, rows: int = ROWS) -> list[Measurement]:
    """`scan_parquet`, `scan_parquet_memory`, `scan_csv`, `scan_csv_memory` and `rows_independence`, on files that are written for it.

    Args:
        key: the buyer's.
        rows: how many an owner of many has.

    Raises:
        WrongResultError: a scan's sums are not those of the bare query.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / "many.parquet", Path(folder) / "many.csv"]
        found = []
        for file in files:
            write_rows(file, rows)
            found += _scan(file, rows, key.public.bits)
        few = Path(folder) / "few.parquet"
        write_rows(few, FEW)
        owners = [open_source(file).select(_REQUIREMENTS) for file in (few, files[0])]
        return [*found, rows_independence(key, owners[0], owners[1])]


def bare_query(path: Path) -> str:
    """DuckDB's own: the same sums, about nothing, and nothing is checked."""
    names = (*_NAMES, "y")
    products = [f"sum({a} * {b})" for a, b in itertools.combinations_with_replacement(names, 2)]
    return f"SELECT count(*), {', '.join([*(f'sum({name})' for name in names), *products])} FROM '{path}'"


def _scan(path: Path, rows: int, key_bits: int) -> list[Measurement]:
    """By the wall's clock, as DuckDB's threads and ours count: the least of several, so that neighbours count little."""
    watch = Stopwatch(time.perf_counter)
    with silent(duckdb.connect(config={"threads": len(os.sched_getaffinity(0))})) as connection:
        for _ in range(_REPETITIONS):
            answer = watch.time("bare", lambda: connection.execute(bare_query(path)).fetchall()[0])
            found = watch.time("ours", lambda: open_source(path).select(_REQUIREMENTS).statistics())
    sums = np.array(answer, dtype=np.float64)
    n = FEATURES + 1
    products = np.zeros((n, n))
    products[np.triu_indices(n)] = sums[1 + n :]
    norms = np.sqrt(np.diag(products))
    ours = np.column_stack([np.vstack([found.A[:-1, :-1], found.b[:-1]]), np.append(found.b[:-1], found.c)])
    off = np.abs(np.triu(ours - products)) / np.outer(norms, norms)
    if found.rows != rows or off.max() > _ACCURACY:
        raise WrongResultError(f"the scan of {path.name} differs from the bare query by {off.max():.3g}, or counts {found.rows} rows")
    name = f"scan_{path.suffix[1:]}"
    how = (
        f"{rows:,} rows x {FEATURES} features in {path.stat().st_size / 1e6:,.0f} MB matched with a request and summed, against DuckDB's "
        f"bare query for the same sums; the least of {_REPETITIONS}"
    )
    return [
        Measurement(name, min(watch.laps["ours"]), "wall s", key_bits, min(watch.laps["bare"]), how, is_overhead=True),
        Measurement(f"{name}_memory", peak_megabytes(path), "MB", key_bits, how="the most a process of its own held while it scanned"),
    ]


def peak_megabytes(path: Path) -> float:
    """The largest resident memory of a process that imports the library and scans the file, in MB."""
    script = (
        "import sys; from deltaml_core.benchmarks import scan; from deltaml_core.statistics import open_source; "
        "open_source(sys.argv[1]).select(scan._REQUIREMENTS); print(scan._own_peak())"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout) * 1024 / 1e6


def _own_peak() -> int:
    """The most this process has held, in kB. What getrusage tells counts the process that it was forked from, too."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def rows_independence(key: PrivateKey, few: Selection, many: Selection, repetitions: int = 101) -> Measurement:
    """CPU seconds of a trainer's part of a round with many rows, beside the same with few: medians, taken in turn."""
    terms = TrainingTerms(_REQUIREMENTS, rounds=2, step=0.5, scheme=key.public.scheme, key_bits=key.public.bits)
    scale, watch = terms.base_scale + terms.map_bits, Stopwatch()
    weights = key.public.encrypt([(j + 1) << (scale - 4) for j in range(terms.weights)])
    asked = Train(request="bench", round=2, sender="aggregator", recipient="owner", scale=scale, trainers=1, weights=weights)
    rounds: dict[str, Callable[[], object]] = {}
    for name, rows in (("few", few), ("many", many)):
        trainer = Trainer(Party("bench", "owner", terms, key.public, "buyer", "aggregator"), rows)
        rounds[name] = partial(trainer.handle, asked)
        rounds[name]()  # tables are made once a training
    for _ in range(repetitions):
        for name, work in rounds.items():
            watch.time(name, work)
    return Measurement(
        "rows_independence",
        watch.median("many"),
        "CPU s",
        key.public.bits,
        watch.median("few"),
        f"a trainer's part of a round with {many.rows:,} rows against {few.rows} rows, the scan excluded; medians of {repetitions}",
        is_overhead=True,
    )
