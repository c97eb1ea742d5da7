"""How often a data set may be measured."""

from __future__ import annotations

import pytest

from deltaml_core.errors import ReleasesSpentError
from deltaml_core.releases import KNOWN_OF_A_TRAINING, TOTAL_RELEASES, Releases


def test_at_known_weights_no_more_numbers_than_there_are_weights() -> None:
    releases = Releases()
    for _ in range(3):
        releases.spend(1, known=True, weights=3)
    with pytest.raises(ReleasesSpentError, match="at models its buyers know; more than 3 times would tell its 3 statistics"):
        releases.spend(1, known=True, weights=3)
    releases.spend(1, known=False, weights=3)
    assert (releases.known, releases.total) == (3, 4)


def test_in_all_no_more_than_the_limit() -> None:
    releases = Releases(limit=10)
    releases.spend(10, known=False, weights=3)
    with pytest.raises(ReleasesSpentError, match="10 errors of this data set were opened, and 10 is its limit"):
        releases.spend(1, known=False, weights=3)


def test_a_refusal_counts_nothing() -> None:
    releases = Releases(known=2, total=TOTAL_RELEASES - 1)
    with pytest.raises(ReleasesSpentError, match="is its limit"):
        releases.spend(2, known=True, weights=9)
    with pytest.raises(ReleasesSpentError, match="would tell its 2 statistics"):
        releases.spend(1, known=True, weights=2)
    assert releases == Releases(known=2, total=TOTAL_RELEASES - 1)


def test_whether_numbers_may_be_opened_is_told_without_counting_them() -> None:
    releases = Releases(known=2)
    assert releases.fault(1, known=True, weights=3) is None
    assert "measured 2 times" in (releases.fault(KNOWN_OF_A_TRAINING, known=True, weights=3) or "")
    assert releases == Releases(known=2)
