"""Who does what among the owners of a run in one process, and whether they are enough to hide one of them in a sum."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from numbers import Integral

from deltaml_core.errors import FewOwnersWarning, TermsError

VALIDATORS_SHARE = 0.3

FEW_OWNERS = 2


def deal_validators(chosen: Sequence[int] | None, owners: int, seed: int | None) -> set[int]:
    """Which of the owners validate.

    Args:
        chosen: their indices, or None to draw 30 % of them, at least one.
        owners: how many there are.
        seed: fixes the draw.

    Raises:
        TermsError: an unknown owner is named, or nobody is left to validate or to train.
    """
    if chosen is None:
        count = max(1, int(VALIDATORS_SHARE * owners))
        draw = random.SystemRandom() if seed is None else random.Random(seed)
        return set(draw.sample(range(owners), count))
    if not all(isinstance(index, Integral) for index in chosen):
        raise TermsError(f"validators are named by the index of their shard, a whole number, not {list(chosen)}")
    judges = {int(index) for index in chosen}
    if unknown := [index for index in chosen if not 0 <= index < owners]:
        raise TermsError(f"validators {unknown} are not among the shards 0 to {owners - 1}")
    if not judges:
        raise TermsError("no validator is left: name at least one shard, or pass validators=None to draw them")
    if len(judges) == owners:
        raise TermsError(f"all {owners} owners would validate and nobody train: leave at least one to train")
    return judges


def warn_of_few(owners: int, kind: str, *, stacklevel: int) -> None:
    """Warn that a sum over two owners tells each of them the other's part.

    Args:
        owners: how many are in the sum.
        kind: what they are, in the plural.
        stacklevel: as `warnings.warn` takes it.

    Warns:
        FewOwnersWarning: two owners.
    """
    if owners <= FEW_OWNERS:
        text = f"a sum over {owners} {kind} hides neither from the other: find more owners"
        warnings.warn(text, FewOwnersWarning, stacklevel=stacklevel)
