"""A training with everybody seated, whose messages a benchmark delivers itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.session import Session
from deltaml_core.signatures import LocalSigner
from deltaml_core.statistics import Array, Dataset
from deltaml_core.terms import TrainingTerms
from deltaml_core.training import declared_ranges
from deltaml_core.transport.base import Role

REQUEST = "bench"

Disguise = Callable[[Party, Role], Role]
"""Who sits in an owner's place, given its seat and the role that would sit there."""


@dataclass(frozen=True)
class Table:
    """The seats.

    Attributes:
        terms: what was agreed.
        session: the roles and what carries their messages.
        owners: addresses in the order of the shards.
        buyer: the buyer's signer, for whoever wants to sit in its place.
    """

    terms: TrainingTerms
    session: Session
    owners: tuple[str, ...]
    buyer: LocalSigner


def seated(
    shards: Sequence[tuple[Array, Array]],
    validators: Sequence[int],
    key: PrivateKey,
    *,
    disguises: Mapping[int, Disguise] | None = None,
    **terms: Any,
) -> Table:
    """Seat everybody.

    Args:
        shards: `(X, y)` of every owner, without intercept column.
        validators: indices of those who measure.
        key: the buyer's.
        disguises: by owner's index, who sits in its place.
        terms: what is not the default.
    """
    datasets = [Dataset.of(X, y) for X, y in shards]
    agreed = TrainingTerms(declared_ranges(datasets), scheme=key.public.scheme, key_bits=key.public.bits, **terms)
    buyer, aggregator, *signers = (LocalSigner() for _ in range(2 + len(shards)))
    session = Session(
        REQUEST,
        agreed,
        key,
        {signer.address: dataset for signer, dataset in zip(signers, datasets, strict=True)},
        validators=[signers[index].address for index in validators],
        buyer=buyer,
        aggregator=aggregator,
        signers=signers,
    )
    document = session.aggregator.transcript.header.document
    for index, disguise in (disguises or {}).items():
        party = Party.take(REQUEST, signers[index].address, document, buyer.address, aggregator.address)
        judges = [signers[judge].address for judge in validators]
        trainers = [signer.address for signer in signers if signer.address not in judges]
        honest: Validator | Trainer
        if index in validators:
            honest = Validator(party, datasets[index], validators=judges, trainers=trainers)
        else:
            honest = Trainer(party, datasets[index], judges)
        session.transport.join(signers[index], disguise(party, honest))
    return Table(agreed, session, tuple(signer.address for signer in signers), buyer)
