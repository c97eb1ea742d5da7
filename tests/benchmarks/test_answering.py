"""An owner's answers are timed with a full pool and with none, and hold the same."""

from __future__ import annotations

import pytest

from deltaml_core import schemes
from deltaml_core.benchmarks.answering import owner_answer
from deltaml_core.benchmarks.measure import WrongResultError
from deltaml_core.schemes.pool import ZeroPool


def test_both_ways_are_timed() -> None:
    measurement = owner_answer(schemes.generate("paillier", 1024), repetitions=2)
    assert (measurement.name, measurement.unit, measurement.key_bits) == ("owner_answer", "CPU ms", 1024)
    assert measurement.baseline is not None
    assert "full pool of 33 random factors" in measurement.how


def test_a_pool_that_changes_what_is_held_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    take = ZeroPool.take
    monkeypatch.setattr(ZeroPool, "take", lambda self, count: [factor + 1 for factor in take(self, count)])
    with pytest.raises(WrongResultError, match="holds something else"):
        owner_answer(schemes.generate("paillier", 1024), repetitions=1)
