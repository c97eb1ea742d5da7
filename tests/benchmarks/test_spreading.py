"""Workers and one worker are timed on the wall's clock, and must agree."""

from __future__ import annotations

import itertools

import pytest

from deltaml_core.benchmarks.measure import WrongResultError
from deltaml_core.benchmarks.spreading import compute, in_a_process_of_its_own
from deltaml_core.schemes.paillier import PaillierPublicKey


def test_both_are_timed() -> None:
    measurement = in_a_process_of_its_own("compute_small", 256, 3, repetitions=2)
    assert (measurement.name, measurement.unit, measurement.key_bits) == ("compute_small", "wall s", 256)
    assert measurement.value > 0
    assert measurement.baseline is not None
    assert measurement.baseline > 0
    assert "3 x 3" in measurement.how


def test_what_depends_on_the_number_of_workers_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    monkeypatch.setattr(PaillierPublicKey, "combine", lambda self, linear, vector: (next(numbers),))
    with pytest.raises(WrongResultError, match="3 x 3"):
        compute("compute_small", 256, 3, repetitions=1)
