"""Secure measurement of an encrypted model, one protocol a file or folder; here the parts are picked by the terms' name."""

from __future__ import annotations

from collections.abc import Sequence

from deltaml_core.metrics.base import AggregatorPart, BuyerPart, ValidatorPart
from deltaml_core.metrics.noise import NoiseAggregator, NoiseBuyer, NoiseValidator
from deltaml_core.metrics.verifiable.aggregator import VerifiableAggregator
from deltaml_core.metrics.verifiable.buyer import VerifiableBuyer
from deltaml_core.metrics.verifiable.validator import VerifiableValidator
from deltaml_core.party import Party
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.statistics import Dataset


def validator_part(party: Party, dataset: Dataset) -> ValidatorPart:
    """What a validator does in the terms' protocol; `dataset` in the request's column order."""
    return NoiseValidator(party, dataset) if party.terms.metrics == "noise" else VerifiableValidator(party, dataset)


def buyer_part(party: Party, key: PrivateKey) -> BuyerPart:
    """What the buyer does in it."""
    return NoiseBuyer(party, key) if party.terms.metrics == "noise" else VerifiableBuyer(party, key)


def aggregator_part(party: Party, validators: Sequence[str]) -> AggregatorPart:
    """What the aggregator does in it."""
    return NoiseAggregator(party, validators) if party.terms.metrics == "noise" else VerifiableAggregator(party, validators)
