"""Work over the cores: the same results bit for bit, no process for small work, any backend, and a program that ends."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import joblib
import pytest
from distributed import Client
from gmpy2 import mpz
from helpers import key_pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joblib.externals.loky import get_reusable_executor

from deltaml_core import compute, schemes
from deltaml_core.compute import WORKERS_VARIABLE, WORTH_SPREADING, Cost, spread, workers
from deltaml_core.errors import SettingError
from deltaml_core.randomness import Replayable
from deltaml_core.schemes.multiexp import ExponentMatrix, FixedBase, multiply

KEY = key_pair("paillier", 512)
LARGE = Cost(100 * WORTH_SPREADING, 0, 4096)
COLUMNS = 5
EXPONENTS = [[(-3) ** (7 + i + 2 * j) for j in range(COLUMNS)] for i in range(7)]


@pytest.fixture(scope="module", autouse=True)
def _workers_end() -> Iterator[None]:
    yield
    get_reusable_executor().shutdown(wait=True)


@pytest.fixture
def _everything_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "WORTH_SPREADING", -(10**9))


def with_workers(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, str(count))


# --- results -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_everything_is_worth_it")
@pytest.mark.parametrize("count", [2, 3, 16])
def test_products_are_those_of_serial_work_bit_for_bit(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    vector, modulus = KEY.public.encrypt(range(COLUMNS)), mpz(KEY.public.modulus)
    matrix = ExponentMatrix.recode(EXPONENTS)
    with_workers(monkeypatch, 1)
    serial = multiply(vector, matrix, modulus)
    with_workers(monkeypatch, count)
    assert multiply(vector, matrix, modulus) == serial


@pytest.mark.usefixtures("_everything_is_worth_it")
def test_powers_of_a_fixed_base_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with_workers(monkeypatch, 2)
    modulus = mpz(2**521 - 1)
    exponents = [0, 1, 2**64 - 1, 12345678901234567890, 5]
    assert FixedBase(7, modulus, bits=64).powers(exponents) == [pow(7, exponent, int(modulus) ** 2) for exponent in exponents]


@pytest.mark.usefixtures("_everything_is_worth_it")
def test_fresh_randomness_does_not_depend_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drawn before anything is spread, so a rebuilt node on other cores finds the same ciphertexts."""
    found = []
    for count in (1, 2):
        with_workers(monkeypatch, count)
        source = Replayable(bytes(32))
        source.begin(b"a message")
        public = schemes.public_key("paillier", KEY.public.modulus, source)
        vector = public.encrypt(range(COLUMNS))
        updated = public.affine(public.prepare(EXPONENTS), list(range(7)), vector)
        found.append((vector, updated, public.rerandomise_from(b"seed", updated)))
    assert found[0] == found[1]
    expected = [sum(e * a for a, e in enumerate(row)) + v for v, row in enumerate(EXPONENTS)]
    assert [KEY.decrypt(values) for values in found[0]] == [list(range(COLUMNS)), expected, expected]


def doubled(items: Sequence[int]) -> list[int]:
    return [2 * item for item in items]


@given(st.lists(st.integers(), max_size=20), st.integers(1, 6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_item_is_done_once_and_in_order(monkeypatch: pytest.MonkeyPatch, items: list[int], count: int) -> None:
    with_workers(monkeypatch, count)
    with joblib.parallel_config(backend="threading"):
        assert spread(doubled, items, LARGE) == doubled(items)


# --- where it is done --------------------------------------------------------------------------------------------


def pieces(items: Sequence[int]) -> list[tuple[int, int]]:
    """Who is sent how many at once."""
    return [(os.getpid(), threading.get_ident())] * len(items)


def test_large_work_is_done_by_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    with_workers(monkeypatch, 2)
    assert os.getpid() not in {process for process, _ in spread(pieces, [1, 2, 3, 4], LARGE)}


def test_the_users_backend_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with_workers(monkeypatch, 2)
    with joblib.parallel_config(backend="threading"):
        found = spread(pieces, [1, 2, 3, 4], LARGE)
    assert {process for process, _ in found} == {os.getpid()}
    assert threading.get_ident() not in {thread for _, thread in found}


@pytest.mark.usefixtures("_everything_is_worth_it")
def test_dasks_workers_give_the_same_products(monkeypatch: pytest.MonkeyPatch) -> None:
    vector, modulus = KEY.public.encrypt(range(COLUMNS)), mpz(KEY.public.modulus)
    matrix = ExponentMatrix.recode(EXPONENTS)
    with_workers(monkeypatch, 1)
    serial = multiply(vector, matrix, modulus)
    monkeypatch.delenv(WORKERS_VARIABLE)
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client, joblib.parallel_config(backend="dask"):
        assert multiply(vector, matrix, modulus) == serial
        assert client.cluster.scheduler.transition_counter > 0, "Dask was given nothing to do"


def test_one_worker_is_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with_workers(monkeypatch, 1)
    assert set(spread(pieces, [1, 2, 3, 4], LARGE)) == {(os.getpid(), threading.get_ident())}


@pytest.mark.parametrize(
    ("items", "cost"),
    [
        ([], LARGE),
        ([1], LARGE),
        ([1, 2, 3, 4], Cost(WORTH_SPREADING, 0, 4096)),
        ([1, 2, 3, 4], Cost(2 * WORTH_SPREADING, 0, 4096)),
        ([1, 2, 3, 4], Cost(20 * WORTH_SPREADING, 10 * WORTH_SPREADING, 4096)),
        ([1, 2, 3, 4], Cost(4 * WORTH_SPREADING, 0, 1024)),
    ],
    ids=["nothing", "one item", "cheap", "half is too little", "tables as dear as the items", "small numbers"],
)
def test_what_is_not_worth_it_is_done_here(monkeypatch: pytest.MonkeyPatch, items: list[int], cost: Cost) -> None:
    with_workers(monkeypatch, 2)
    assert set(spread(pieces, items, cost)) <= {(os.getpid(), threading.get_ident())}


def test_the_more_workers_the_sooner_and_tables_count_against_them() -> None:
    costs = [Cost(100_000, 1_000, 4096).saved(groups) for groups in (1, 2, 4, 8)]
    assert costs == [-1_000, 49_000, 74_000, 86_500]
    assert all(more > less for less, more in itertools.pairwise(costs))
    assert Cost(100_000, 1_000, 2048).saved(2) < Cost(100_000, 1_000, 4096).saved(2)


def test_a_part_of_a_program_may_choose_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    with_workers(monkeypatch, 2)
    with workers(1):
        assert {process for process, _ in spread(pieces, [1, 2], LARGE)} == {os.getpid()}
    assert os.getpid() not in {process for process, _ in spread(pieces, [1, 2], LARGE)}


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, text)
    with pytest.raises(SettingError, match="DELTAML_WORKERS"):
        spread(doubled, [1, 2], LARGE)


# --- a whole program ---------------------------------------------------------------------------------------------

PROGRAM = """
import warnings
import numpy as np
from joblib.externals.loky import reusable_executor
from deltaml_core import train
from deltaml_core.compute import Cost, spread
from tests_compute_work import doubled

rng = np.random.default_rng(1)
shards = [(rng.uniform(-1, 1, (9, 2)), rng.uniform(-1, 1, 9)) for _ in range(3)]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    train(shards, rounds=2, step=0.5, key_bits=768)
assert reusable_executor._executor is None, "a small training started workers"
assert spread(doubled, [1, 2, 3], Cost(10**7, 0, 4096)) == [2, 4, 6]
assert reusable_executor._executor is not None
print("done")
"""


def test_a_small_training_starts_no_process_and_a_program_that_started_some_ends(tmp_path: Path) -> None:
    """Every warning is an error in it, so workers leave nothing behind; the time limit only keeps a failure from hanging."""
    (tmp_path / "tests_compute_work.py").write_text("def doubled(items):\n    return [2 * item for item in items]\n")
    paths = os.pathsep.join([str(tmp_path), str(Path(compute.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, WORKERS_VARIABLE: "2"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "done", "")


ENDLESS = """
import signal
from deltaml_core.compute import Cost, spread
from tests_compute_work import never_done

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background with it ignored
spread(never_done, [1, 2], Cost(10**9, 0, 4096))
"""

NEVER_DONE = """
import threading

def never_done(items):
    print("working", flush=True)
    threading.Event().wait()
"""


def test_who_interrupts_does_not_wait_for_what_the_workers_do(tmp_path: Path) -> None:
    (tmp_path / "tests_compute_work.py").write_text(NEVER_DONE)
    paths = os.pathsep.join([str(tmp_path), str(Path(compute.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, WORKERS_VARIABLE: "2"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", ENDLESS], text=True, env=environment, **pipes) as program:  # type: ignore[call-overload]
        assert program.stdout.readline() == "working\n"
        program.send_signal(signal.SIGINT)
        _, complaints = program.communicate(timeout=60)
    assert program.returncode == -signal.SIGINT
    assert complaints.splitlines()[-1] == "KeyboardInterrupt"
