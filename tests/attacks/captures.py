"""A whole training in which the buyer and the validators keep a diary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helpers import Shard, key_pair

from deltaml_core.attacks import BuyersView, Diary
from deltaml_core.benchmarks.seats import seated as everybody_seated
from deltaml_core.party import Party
from deltaml_core.session import Session
from deltaml_core.terms import TrainingTerms
from deltaml_core.transport.base import Role

NOISE: dict[str, Any] = {"metrics": "noise", "contributions": "leave_one_out"}


@dataclass
class Captured:
    """A run and what was captured of it.

    Attributes:
        owners: addresses, in the order of the shards.
        buyers: the buyer's diary.
        validators: each validator's, by the shard's index.
    """

    terms: TrainingTerms
    session: Session
    owners: Sequence[str]
    buyers: Diary
    validators: dict[int, Diary]

    @property
    def view(self) -> BuyersView:
        return BuyersView(self.terms, key_pair(self.terms.scheme, self.terms.key_bits), list(self.buyers.received))


def seated(shards: Sequence[Shard], validators: Sequence[int], *, scheme: str = "plain", key_bits: int = 2048, **terms: Any) -> Captured:
    """Everybody at the table, nothing said yet."""
    diaries: dict[int, Diary] = {}

    def diary_of(index: int) -> Any:
        def keep(party: Party, honest: Role) -> Role:
            diaries[index] = Diary(honest)
            return diaries[index]

        return keep

    disguises = {index: diary_of(index) for index in validators}
    table = everybody_seated(shards, validators, key_pair(scheme, key_bits), disguises=disguises, **terms)
    buyers = Diary(table.session.buyer)
    table.session.transport.join(table.buyer, buyers)
    return Captured(table.terms, table.session, table.owners, buyers, diaries)


def trained(shards: Sequence[Shard], validators: Sequence[int], **terms: Any) -> Captured:
    """The same after training, before settlement."""
    captured = seated(shards, validators, **terms)
    captured.session.run()
    return captured
