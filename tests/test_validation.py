"""Cross-validation across owners against the same on rows."""

from __future__ import annotations

import pytest
from helpers import oracle, random_shards

from deltaml_core.errors import TermsError
from deltaml_core.validation import cross_validate


def test_every_owner_is_measured_by_a_model_it_did_not_train() -> None:
    shards = random_shards(4, (12, 7, 20, 9), 3)
    found = cross_validate(shards, rounds=3, step=0.2, scheme="plain", key_bits=1024)
    assert found.folds == [[0], [1], [2], [3]]
    expected = [oracle(shards, [owner], 3, 0.2)[1][-1][1] for owner in range(4)]
    assert found.mse_by_fold == pytest.approx(expected, rel=1e-6)
    assert found.mse == pytest.approx(sum(mse * len(y) for mse, (_, y) in zip(expected, shards, strict=True)) / 48, rel=1e-6)
    assert [result.roles[owner] for owner, result in enumerate(found.results)] == ["validator"] * 4


def test_fewer_folds_put_owners_together() -> None:
    shards = random_shards(4, (12, 7, 20, 9, 8), 3)
    found = cross_validate(shards, count=2, rounds=2, step=0.2, scheme="plain", key_bits=1024)
    assert found.folds == [[0, 2, 4], [1, 3]]
    with pytest.raises(TermsError, match="name no validators"):
        cross_validate(shards, validators=[1])
    with pytest.raises(TermsError, match="2 to 5 folds"):
        cross_validate(shards, count=6)
