"""What was used last, and not more: a bound for tables whose keys somebody else chooses."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The most recently used values."""

    def __init__(self, most: int) -> None:
        """`most`: how many are kept, at least 1."""
        self._most = most
        self._values: dict[K, V] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._values)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made if it is not here; the one that was used longest ago goes."""
        value = self._values.pop(key) if key in self._values else make()
        self._values[key] = value
        while len(self._values) > self._most:
            del self._values[next(iter(self._values))]
        return value
