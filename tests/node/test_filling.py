"""Pools are filled while a node rests, and only then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from gmpy2 import mpz

from deltaml_core.node.filling import Filler
from deltaml_core.schemes.pool import ZeroPool

PATIENCE = 20.0


class Watched:
    """A pool whose every factor is told of; `stop_after` is what the node does when it has made so many."""

    def __init__(self, size: int) -> None:
        self.made, self.last = 0, threading.Event()
        self.on_made: Callable[[int], None] = lambda made: None
        self.pool = ZeroPool(self._make, size)

    def _make(self) -> mpz:
        self.made += 1
        self.on_made(self.made)
        if self.made == self.pool.size:
            self.last.set()
        return mpz(self.made)


@contextmanager
def filler(resting: Callable[[], bool], failures: list[BaseException] | None = None) -> Iterator[Filler]:
    at_work = Filler(resting, ([] if failures is None else failures).append)
    yield at_work
    at_work.close()


def test_a_node_that_rests_fills_its_pools() -> None:
    first, second = Watched(5), Watched(7)
    with filler(lambda: True) as at_work:
        at_work.add("1", first.pool)
        at_work.add("2", second.pool)
        assert first.last.wait(PATIENCE)
        assert second.last.wait(PATIENCE)
    assert (len(first.pool), len(second.pool)) == (5, 7)


def test_it_stops_as_soon_as_something_comes_and_goes_on_when_told() -> None:
    watched, resting, third = Watched(6), threading.Event(), threading.Event()
    resting.set()

    def something_comes(made: int) -> None:
        if made == 3:
            resting.clear()
            third.set()

    watched.on_made = something_comes
    with filler(resting.is_set) as at_work:
        at_work.add("1", watched.pool)
        assert third.wait(PATIENCE)
        at_work.look()  # told too early: it still does not rest
    assert watched.made == 3
    resting.set()
    with filler(resting.is_set) as at_work:
        at_work.add("1", watched.pool)
        assert watched.last.wait(PATIENCE)


def test_what_was_taken_is_made_again_when_it_is_told_to_look() -> None:
    watched = Watched(2)
    with filler(lambda: True) as at_work:
        at_work.add("1", watched.pool)
        assert watched.last.wait(PATIENCE)
        again = threading.Event()
        watched.on_made = lambda made: again.set() if made >= 3 else None
        while not watched.pool.take(1):
            pass
        at_work.look()
        assert again.wait(PATIENCE)


def test_a_training_that_is_over_leaves_nothing() -> None:
    watched = Watched(2)
    with filler(lambda: True) as at_work:
        at_work.add("1", watched.pool)
        assert watched.last.wait(PATIENCE)
        at_work.remove("1")
        at_work.remove("2")
    assert watched.pool.take(2) == []


def test_without_a_pool_to_fill_there_is_no_thread() -> None:
    with filler(lambda: True) as at_work:
        at_work.add("1", None)
        at_work.add("2", Watched(0).pool)
        assert at_work._thread is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_ends_the_node() -> None:
    failures: list[BaseException] = []
    told = threading.Event()

    def broken() -> mpz:
        raise ZeroDivisionError

    at_work = Filler(lambda: True, lambda error: (failures.append(error), told.set()))
    at_work.add("1", ZeroPool(broken, 1))
    assert told.wait(PATIENCE)
    at_work.close()
    assert isinstance(failures[0], ZeroDivisionError)
