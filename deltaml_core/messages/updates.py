"""What is said where the model is visible and updates are encrypted (`deltaml_core/updates`)."""

from __future__ import annotations

from dataclasses import dataclass

from deltaml_core.messages.base import Message, kind
from deltaml_core.schemes.base import Ciphertexts


@kind("global-model")
@dataclass(frozen=True, kw_only=True)
class GlobalModel(Message):
    """Buyer to owner: the model after `round` rounds. A trainer answers with its update, a validator with its metric.

    Attributes:
        parameters: float64 numbers as the integers of their 64 bits (IEEE 754), in the order of the model's parameters.
    """

    parameters: tuple[int, ...]


@kind("encrypted-update")
@dataclass(frozen=True, kw_only=True)
class EncryptedUpdate(Message):
    """Trainer to aggregator: what its local training adds to the model, clipped, in fixed point, packed."""

    packed: Ciphertexts


@kind("encrypted-metric")
@dataclass(frozen=True, kw_only=True)
class EncryptedMetric(Message):
    """Validator to aggregator: the model's metric on its rows (accuracy or a mean error) times their number, one ciphertext."""

    metric: Ciphertexts


@kind("round-sums")
@dataclass(frozen=True, kw_only=True)
class RoundSums(Message):
    """Aggregator to buyer: the sums over everybody who answered; empty ciphertexts where nobody was asked.

    Attributes:
        trainers: whose updates are in the sum, each times its weight.
        updates: the sum.
        validators: whose metrics are in theirs.
        metrics: theirs.
    """

    trainers: tuple[str, ...]
    updates: Ciphertexts
    validators: tuple[str, ...]
    metrics: Ciphertexts
