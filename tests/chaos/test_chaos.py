"""Nodes and chain are killed with SIGKILL at a sample of the points of a run; `walk.py` takes all of them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_checks import Result, check
from chaos_market import NODES, PLAIN, Place, prepare
from chaos_plan import Point, all_points, deal, sample
from chaos_run import Nursery, Run
from kill_points import hits

SAMPLE, A_RUN = 12, 4
SEED_VARIABLE, DEFAULT_SEED = "DELTAML_CHAOS_SEED", 7


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as started:
        yield started


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return prepare(tmp_path_factory.mktemp("chaos") / "market", PLAIN)


@pytest.fixture(scope="module")
def undisturbed(market: Place, nursery: Nursery) -> tuple[Result, list[Point]]:
    """The result, and all points, of a run in which nothing is killed."""
    with Run(market.copy(market.path.with_name("undisturbed")), nursery, {}) as run:
        return check(run, None), all_points({node: hits(run.place.path / node) for node in NODES})


def test_a_run_that_is_killed_ends_in_the_undisturbed_runs_result(
    market: Place, nursery: Nursery, undisturbed: tuple[Result, list[Point]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, points = undisturbed
    seed = int(os.environ.get(SEED_VARIABLE) or DEFAULT_SEED)
    with capsys.disabled():
        print(f"\nchaos: {SEED_VARIABLE}={seed}")
    rng = random.Random(seed)
    for number, fatal in enumerate(deal(sample(points, SAMPLE, rng), A_RUN, rng)):
        with Run(market.copy(tmp_path / f"run-{number}"), nursery, fatal) as run:
            assert run.killed(), fatal
            check(run, expected)
