"""Which points are killed at in which run."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Sequence

from kill_points import CHAIN

Point = tuple[str, str]
"""(node, point), the point perhaps with `CHAIN` before it."""

Fatal = dict[str, list[str]]
"""The points of one run, by node."""

_CHAIN_IS_KILLED_AT = ("Journal._note", "Journal._note_block", "Eth.send_raw_transaction", "HttpTransport.send", "Mail.keep", "Mail.take")


def all_points(passed: dict[str, list[str]]) -> list[Point]:
    """Everything a walk kills at, given what each node passed in an undisturbed run: the node itself everywhere, the chain at each step."""
    nodes = [(node, name) for node, names in passed.items() for name in names]
    chain = [(node, CHAIN + name) for node, name in nodes if name.split()[1] in _CHAIN_IS_KILLED_AT]
    return nodes + chain


def sample(points: Sequence[Point], count: int, rng: random.Random) -> list[Point]:
    """So many points, spread over nodes, kinds of point, and the chain."""
    groups: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for node, name in points:
        groups[node, name.rsplit(" ", 1)[0]].append((node, name))
    chosen: list[Point] = []
    used: dict[str, int] = defaultdict(int)
    while len(chosen) < count:
        free = [group for group, left in groups.items() if left]
        rng.shuffle(free)
        group = min(free, key=lambda group: used["node " + group[0]] + 2 * used[group[1]] + 2 * used[_kind(group[1])])
        for use in ("node " + group[0], group[1], _kind(group[1])):
            used[use] += 1
        chosen.append(groups[group].pop(rng.randrange(len(groups[group]))))
    return chosen


def deal(points: Collection[Point], a_run: int, rng: random.Random) -> list[Fatal]:
    """Runs that kill at so many of these points each."""
    shuffled = sorted(points)
    rng.shuffle(shuffled)
    runs = []
    for start in range(0, len(shuffled), a_run):
        fatal: Fatal = defaultdict(list)
        for node, name in shuffled[start : start + a_run]:
            fatal[node].append(name)
        runs.append(dict(fatal))
    return runs


def _kind(what: str) -> str:
    if what.startswith(CHAIN):
        return "chain"
    return "transaction" if "Journal" in what or "Eth" in what else "send" if "Http" in what else "write"
