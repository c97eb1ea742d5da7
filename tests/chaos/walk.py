"""`make chaos`: kills each node, and the chain, at every point of a run, a few points a run, and checks every run.

    python tests/chaos/walk.py [--seed N] [--a-run N] [--only TEXT]

First a run of two rounds, then one whose scale runs out, so that a refresh is walked through as well. A point that is not reached,
because other kills changed the course, is tried again in later runs, at last alone.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from chaos_checks import check
from chaos_market import NODES, PLAIN, REFRESHED, Kind, prepare
from chaos_plan import all_points, deal
from chaos_run import Nursery, Run, Unfinished
from kill_points import hits

_ATTEMPTS = 4


def walk(kind: Kind, nursery: Nursery, folder: Path, a_run: int, rng: random.Random, only: str) -> bool:
    """Whether every run ended as it must, and all points but those that come by chance were reached."""
    market = prepare(folder / "market", kind)
    with Run(market.copy(folder / "undisturbed"), nursery, {}) as run:
        expected = check(run, None)
        passed = {node: hits(run.place.path / node) for node in NODES}
    points = {(node, name) for node, name in all_points(passed) if only in f"{node} {name}"}
    left, wrong, played, began = set(points), 0, 0, time.monotonic()
    print(f"{kind.name}: {len(points)} points", flush=True)
    for attempt in range(_ATTEMPTS):
        for fatal in deal(left, 1 if attempt == _ATTEMPTS - 1 else a_run, rng):
            place = market.copy(folder / f"run-{played}")
            played += 1
            try:
                with Run(place, nursery, fatal) as run:
                    left -= run.killed()
                    check(run, expected)
                shutil.rmtree(place.path)
            except (AssertionError, Unfinished) as error:
                wrong += 1
                print(f"WRONG in {place.path}, killed at {fatal}: {error}\n{_where(error)}", flush=True)
            took = time.monotonic() - began
            print(f"{kind.name}: {len(points) - len(left)} of {len(points)} points, {played} runs, {took:.0f} s, {wrong} wrong", flush=True)
    for node, name in sorted(left):
        print(f"{kind.name}: not reached: {node} {name}")
    return not wrong and len(left) <= len(points) // 50


def _where(error: BaseException) -> str:
    """The lines that led to it."""
    return "".join(traceback.format_tb(error.__traceback__)[-2:])


def main() -> int:
    """Walk through both kinds of run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the order of the points")
    parser.add_argument("--a-run", type=int, default=16, help="points in one run (default 16)")
    parser.add_argument("--only", default="", metavar="TEXT", help="points with this text in their names")
    parser.add_argument("--kinds", nargs="+", choices=("plain", "refreshed"), default=["plain", "refreshed"], help="of run (default both)")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}", flush=True)
    rng = random.Random(chosen.seed)
    folder = Path(tempfile.mkdtemp(prefix="deltaml-chaos-"))
    kinds = [kind for kind in (PLAIN, REFRESHED) if kind.name in chosen.kinds]
    with Nursery() as nursery:
        good = [walk(kind, nursery, folder / kind.name, chosen.a_run, rng, chosen.only) for kind in kinds]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
