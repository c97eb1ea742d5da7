"""Secure measurement of an encrypted model, one protocol a file or folder; here the parts are picked by the terms' name."""

from __future__ import annotations

from collections.abc import Sequence

from deltaml_core.errors import TermsError
from deltaml_core.metrics.base import AggregatorPart, BuyerPart, ValidatorPart
from deltaml_core.metrics.noise import NoiseAggregator, NoiseBuyer, NoiseValidator
from deltaml_core.metrics.verifiable.aggregator import VerifiableAggregator
from deltaml_core.metrics.verifiable.buyer import VerifiableBuyer
from deltaml_core.metrics.verifiable.validator import VerifiableValidator
from deltaml_core.party import Party
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Selection, Statistics


def validator_part(party: Party, dataset: Selection, statistics: Statistics | None = None) -> ValidatorPart:
    """What a validator does in the terms' protocol.

    Args:
        party: its seat.
        dataset: in the request's column order; the thesis's protocol loads the rows.
        statistics: what to measure on instead of the rows.

    Raises:
        TermsError: the protocol needs rows.
    """
    if party.terms.metrics != "noise":
        return VerifiableValidator(party, dataset, statistics)
    if statistics is not None:
        raise TermsError('metrics="noise" shows the residual of every row, which noise on statistics does not hide: use "verifiable"')
    return NoiseValidator(party, dataset.load())


def buyer_part(party: Party, key: PrivateKey) -> BuyerPart:
    """What the buyer does in it."""
    return NoiseBuyer(party, key) if party.terms.metrics == "noise" else VerifiableBuyer(party, key)


def aggregator_part(party: Party, validators: Sequence[str]) -> AggregatorPart:
    """What the aggregator does in it."""
    return NoiseAggregator(party, validators) if party.terms.metrics == "noise" else VerifiableAggregator(party, validators)
