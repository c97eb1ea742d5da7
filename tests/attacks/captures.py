"""A whole training in which chosen seats keep a diary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helpers import Shard, key_pair

from deltaml_core.attacks import BuyersView, Diary
from deltaml_core.owner import Validator
from deltaml_core.party import Party
from deltaml_core.signatures import LocalSigner
from deltaml_core.statistics import Dataset
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import Session, declared_ranges

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
    owners: list[str]
    buyers: Diary
    validators: dict[int, Diary]

    @property
    def view(self) -> BuyersView:
        return BuyersView(self.terms, key_pair(self.terms.scheme, self.terms.key_bits), list(self.buyers.received))


def seated(shards: Sequence[Shard], validators: Sequence[int], **terms: Any) -> Captured:
    """Everybody at the table, nothing said yet."""
    datasets = [Dataset.of(X, y) for X, y in shards]
    agreed = TrainingTerms(declared_ranges(datasets), **{"scheme": "plain", **terms})
    buyer, aggregator, *signers = (LocalSigner() for _ in range(2 + len(shards)))
    session = Session(
        "request-1",
        agreed,
        key_pair(agreed.scheme, agreed.key_bits),
        {signer.address: dataset for signer, dataset in zip(signers, datasets, strict=True)},
        validators=[signers[index].address for index in validators],
        buyer=buyer,
        aggregator=aggregator,
        signers=signers,
    )
    captured = Captured(agreed, session, [signer.address for signer in signers], Diary(session.buyer), {})
    session.transport.join(buyer, captured.buyers)
    for index in validators:
        seat = Party.take(
            "request-1", signers[index].address, session.aggregator.transcript.header.document, buyer.address, aggregator.address
        )
        captured.validators[index] = Diary(Validator(seat, datasets[index]))
        session.transport.join(signers[index], captured.validators[index])
    return captured


def trained(shards: Sequence[Shard], validators: Sequence[int], **terms: Any) -> Captured:
    """The same after training, before settlement."""
    captured = seated(shards, validators, **terms)
    captured.session.run()
    return captured
