"""The Model Buyer (T§7.1): owns the key and the model, decrypts what the protocol asks it to.

Who learns what: with `metrics="noise"` it sees the weights at every refresh and the validators' residuals at every measurement,
as in the thesis; only its goodwill protects the validators then (`NoiseMetricWarning`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.errors import MessageError, TermsError
from deltaml_core.messages import FinalModel, InitialModel, Message, OpenResiduals, Refresh, Refreshed, RevealNoise
from deltaml_core.metrics.noise import NoiseBuyer
from deltaml_core.party import Party
from deltaml_core.schedule import Kind, final_scale, weight_slots
from deltaml_core.schemes.base import Ciphertexts, PrivateKey
from deltaml_core.statistics import Array
from deltaml_core.terms import TrainingTerms


def initial_weights(terms: TrainingTerms, key: PrivateKey) -> Ciphertexts:
    """Encrypted zeros, from which the thesis starts; their hash goes into the request."""
    return key.encrypt([0] * terms.weights)


class ModelBuyer:
    """The role that pays for a model.

    Attributes:
        model: the final weights, (d,), intercept last; None until they were delivered.
    """

    def __init__(self, party: Party, key: PrivateKey, initial: Ciphertexts) -> None:
        """Take the buyer's seat.

        Args:
            party: the seat.
            key: it never leaves this object.
            initial: the encrypted weights to start from; `initial_weights` makes them.

        Raises:
            TermsError: the key is not of the length the terms state.
            ScaleBudgetError: the key is too small for the terms.
        """
        if key.public.bits != party.terms.key_bits:
            raise TermsError(f"the terms state a key of {party.terms.key_bits} bits, but it has {key.public.bits}")
        self._party = party
        self._key = key
        self._aggregator = ""
        self._metrics = NoiseBuyer(party, key)
        self._refreshes = {(step.round, step.scale) for step in party.steps if step.kind is Kind.REFRESH}
        self._initial = initial
        self._final_scale = final_scale(party.steps)
        self.model: Array | None = None

    def start(self, aggregator: str) -> Message:
        """Hand over the encrypted initial weights; nobody but this aggregator has anything decrypted."""
        self._aggregator = aggregator
        return self._party.say(InitialModel, aggregator, 0, weights=self._initial)

    def handle(self, message: Message) -> list[Message]:
        """Answer a message.

        Raises:
            MessageError: it is not due, its numbers are malformed, or it misreports a metric.
        """
        self._party.admit(message, self._aggregator)
        match message:
            case OpenResiduals():
                return self._metrics.open(message)
            case RevealNoise():
                return self._metrics.confirm(message)
            case Refresh():
                return [self._refresh(message)]
            case FinalModel():
                self.model = self._receive(message)
                return []
        raise self._party.unexpected(message)

    def _refresh(self, asked: Refresh) -> Refreshed:
        terms = self._party.terms
        if (asked.round, asked.scale) not in self._refreshes:
            raise self._party.unexpected(asked, f"a refresh at {asked.scale} bits is not on the schedule")
        slots = weight_slots(terms, self._party.key.capacity, asked.scale)
        count = slots.plaintexts(terms.weights)
        plaintexts = self._key.decrypt(self._party.key.check(asked.packed, count, asked.sender))
        try:
            digits = slots.split_all(plaintexts, terms.weights)
        except ValueError as error:
            raise MessageError("what it sent to be refreshed does not hold weights", asked.sender) from error
        drop = asked.scale - terms.base_scale
        rounded = [fixedpoint.round_shift(digit - slots.offset, drop) for digit in digits]
        return self._party.say(Refreshed, asked.sender, asked.round, weights=self._key.encrypt(self._bounded(rounded, asked.sender)))

    def _receive(self, delivered: FinalModel) -> Array:
        if delivered.scale != self._final_scale:
            raise self._party.unexpected(delivered, f"the final weights have {self._final_scale} fractional bits, not {delivered.scale}")
        values = self._key.decrypt(self._party.key.check(delivered.weights, self._party.terms.weights, delivered.sender))
        return np.asarray(fixedpoint.decode_array(values, delivered.scale))

    def _bounded(self, weights: Sequence[int], sender: str) -> Sequence[int]:
        bound = fixedpoint.encode(self._party.terms.weight_bound * (1 + 1e-6), self._party.terms.base_scale)
        if any(abs(weight) > bound for weight in weights):
            raise MessageError("the weights it sent to be refreshed are larger than the terms allow: an update was not honest", sender)
        return weights
