"""How often a node looks: at the chain less often while all its requests are in training, at orders and at what is due always."""

from __future__ import annotations

import pytest
from market import Market

from deltaml_core.node.base import POLL_SECONDS, Node

POLLS = 12
LATEST_SECONDS = 2.0


@pytest.mark.parametrize(("training", "turns"), [(True, 3), (False, POLLS)])
def test_while_it_trains_a_node_obeys_and_considers_at_every_poll_and_reads_the_chain_at_every_fourth(
    market: Market, monkeypatch: pytest.MonkeyPatch, training: bool, turns: int
) -> None:
    node, done = market.aggregator(), list[str]()
    node._joined = True
    waits: list[float | None] = []

    def wait(seconds: float | None = None) -> bool:
        waits.append(seconds)
        if len(waits) == POLLS:
            node.stop()
        return True

    monkeypatch.setattr(node, "_is_training", lambda: training)
    for name in ("_obey", "_read_chain", "_consider_all"):
        method = getattr(Node, name)
        monkeypatch.setattr(node, name, lambda name=name, method=method: (done.append(name), method(node)))
    monkeypatch.setattr(node._nudged, "wait", wait)
    node._watch()
    node._close()
    assert {name: done.count(name) for name in set(done)} == {"_obey": POLLS, "_read_chain": turns, "_consider_all": POLLS}
    assert set(waits) == {POLL_SECONDS}
    longest = POLL_SECONDS * POLLS / turns
    assert longest <= LATEST_SECONDS, "what happens on the chain, as another's submission, is to be seen in time"


def test_a_node_that_is_told_looks_at_once(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """A done training tells it; the poll's pause does not delay the submission."""
    monkeypatch.setattr("deltaml_core.node.base.POLL_SECONDS", 3600.0)
    node, looked = market.aggregator(), list[int]()
    node._joined = True

    def consider() -> None:
        looked.append(len(looked))
        node.nudge() if len(looked) == 1 else node.stop()

    monkeypatch.setattr(node, "_is_training", lambda: True)
    monkeypatch.setattr(node, "_consider_all", consider)
    node._watch()
    node._close()
    assert looked == [0, 1]
