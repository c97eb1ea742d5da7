"""What a stopwatch tells of an owner's rows: counted in multiplications, which are what takes the time, and the same on every machine."""

from __future__ import annotations

import pytest
from helpers import key_pair

from deltaml_core.attacks.timing import SPREADS, correlation, watch
from deltaml_core.schemes.paillier import PaillierPublicKey

PUBLIC = key_pair("paillier", 512).public
assert isinstance(PUBLIC, PaillierPublicKey)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_idle_work_the_time_tells_how_widely_an_owners_features_spread(seed: int) -> None:
    seen = watch(PUBLIC, SPREADS, 1, level=False, seed=seed)
    assert correlation(seen, counted=True) > 0.9
    assert seen[-1].multiplications > 1.15 * seen[0].multiplications


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_it_every_answer_takes_as_many_multiplications(seed: int) -> None:
    seen = watch(PUBLIC, SPREADS, 1, level=True, seed=seed)
    assert len({one.multiplications for one in seen}) == 1
    assert correlation(seen, counted=True) == 0
    bare = watch(PUBLIC, SPREADS, 1, level=False, seed=seed)
    assert all(hidden.multiplications >= shown.multiplications for hidden, shown in zip(seen, bare, strict=True))
