"""Being paid for useless data, under the contribution rule as the code of 2019 had it (T§7.5).

    who attacks     a Data Owner whose data harm: labels shuffled, or made up
    what it holds   nothing it should not
    what it does    it accepts the request and trains; the rule does the rest
    what it learns  nothing; it is paid

The thesis asks by how much the error rises when an owner is left out. The code subtracted the other way round, so the owner whose
absence lowered the error most earned most, and one that everybody needed earned nothing. `contributions.py` has the sign right, and
counts every coalition.
"""

from __future__ import annotations

from collections.abc import Iterable

from deltaml_core.attacks.captured import AttackFailed, of_kind
from deltaml_core.contributions import Coalition, shares
from deltaml_core.measurement import Metric
from deltaml_core.messages import Message, MetricAnnounced, Subject


def shares_of_2019(received: Iterable[Message]) -> dict[str, float]:
    """Each trainer's share by `MSE(all) - MSE(all without it)`, from what a validator was told of the coalitions' errors.

    Raises:
        AttackFailed: it was not told of everybody's, or of a coalition without each.
    """
    errors: dict[Coalition, Metric] = {
        told.coalition: Metric(told.squared_error, told.scale, told.rows)
        for told in of_kind(MetricAnnounced, received)
        if told.subject == Subject.COALITION
    }
    everybody: Coalition = max(errors, key=len, default=())
    without = {trainer: tuple(other for other in everybody if other != trainer) for trainer in everybody}
    if not everybody or not errors.keys() >= set(without.values()):
        raise AttackFailed("the coalitions' errors were not announced: there is no left-out model to subtract from")
    gains = [errors[everybody].units - errors[without[trainer]].units for trainer in everybody]
    return dict(zip(everybody, shares(gains), strict=True))
