"""Random factors made before they are needed: what a participant computes while it waits need not be computed while others wait for it.

A factor `h**a` of a fresh encryption of zero depends on nothing but a secret random number, so it can be made at any time. It hides
what it is multiplied to only if it is used once: two ciphertexts with the same factor would show their quotient's. Hence a factor is
handed out once, by whoever takes it out of the pool under its lock; the pool lies in memory and nowhere else, so that a process that
is started anew begins with an empty one; and a process that was forked from this one finds it empty.

Bounds: at most `MOST` factors, each a number modulo n**2: 0.6 MB at 2048 bits (0.9 MB at 3072).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable

from gmpy2 import mpz

from deltaml_core.errors import SettingError

MOST = 1024
"""Factors that a pool keeps, at most."""

POOL_VARIABLE = "DELTAML_POOL"
"""States a smaller number; 0 makes none beforehand."""


class ZeroPool:
    """Factors that nobody has used. Safe for several threads."""

    def __init__(self, make: Callable[[], mpz], size: int) -> None:
        """An empty pool.

        Args:
            make: computes one factor from new randomness of the system, never from numbers that can be drawn again.
            size: how many are made beforehand; more than `MOST`, or than `DELTAML_POOL` states, are not.

        Raises:
            SettingError: `DELTAML_POOL` is no number.
        """
        self.size = max(0, min(size, _most()))
        self._make = make
        self.forget()
        _POOLS.add(self)

    def forget(self) -> None:
        """Throw everything away. A process that was forked does so before it runs: its copies belong to its parent."""
        self._factors: deque[mpz] = deque()
        self._lock = threading.Lock()  # a new one: another thread of the parent may have held the old one

    def __len__(self) -> int:
        """How many lie here."""
        with self._lock:
            return len(self._factors)

    def take(self, count: int) -> list[mpz]:
        """Up to `count` factors, as many as there are; they are gone from here."""
        with self._lock:
            return [self._factors.popleft() for _ in range(min(count, len(self._factors)))]

    def make_one(self) -> bool:
        """Add a factor (0.2 ms at 2048 bits), unless the pool is full; whether it lacks more."""
        if len(self) >= self.size:
            return False
        factor = self._make()
        with self._lock:
            self._factors.append(factor)
            return len(self._factors) < self.size


def _most() -> int:
    text = os.environ.get(POOL_VARIABLE, str(MOST))
    if not text.isdecimal():
        raise SettingError(f"{POOL_VARIABLE} is {text!r}; it states how many random factors are made beforehand at most: 0 for none")
    return min(int(text), MOST)


_POOLS: weakref.WeakSet[ZeroPool] = weakref.WeakSet()


def _forget_all() -> None:
    for pool in _POOLS:
        pool.forget()


os.register_at_fork(after_in_child=_forget_all)
