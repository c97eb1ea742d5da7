"""The Model Buyer (T§7.1): owns the key and the model, decrypts what the protocol asks it to, and proves that it did.

Who learns what: until the contract has settled it sees masked values, squared errors and coalitions' errors, and no weight. (With
`metrics="noise"` it sees the weights at every refresh and the validators' residuals at every measurement, as in the thesis; only
its goodwill protects the validators then: `NoiseMetricWarning`.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.errors import MessageError, TermsError
from deltaml_core.messages import FinalModel, InitialModel, Message, OwnerDropped
from deltaml_core.metrics import buyer_part
from deltaml_core.party import Party
from deltaml_core.refresh import BuyerRefresh
from deltaml_core.schedule import final_scale
from deltaml_core.schemes.base import Ciphertexts, PrivateKey
from deltaml_core.statistics import Array
from deltaml_core.terms import TrainingTerms
from deltaml_core.transcript import ciphertexts_hash


def initial_weights(terms: TrainingTerms, key: PrivateKey) -> Ciphertexts:
    """Zeros, from which the thesis starts, in the one form every owner recognises; their hash goes into the request.

    Anything else would have to be proven short: from weights a mask's length above the terms' bounds, the masked errors that a
    validator sends would show the buyer the validator's statistics.
    """
    return key.public.zeros(terms.weights)


class ModelBuyer:
    """The role that pays for a model.

    Attributes:
        model: the final weights, (d,), intercept last; None until they were delivered.
    """

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, party: Party, key: PrivateKey, initial: Ciphertexts, validators: Sequence[str]) -> None:
        """Take the buyer's seat.

        Args:
            party: the seat.
            key: it never leaves this object, which draws from the seat's randomness with it.
            initial: the weights to start from; `initial_weights` makes them, and owners accept no others.
            validators: who measures.

        Raises:
            TermsError: the key is not of the length the terms state.
            ScaleBudgetError: the key is too small for the terms.
        """
        if key.public.bits != party.terms.key_bits:
            raise TermsError(f"the terms state a key of {party.terms.key_bits} bits, but it has {key.public.bits}")
        self._party = party
        self._key = key.drawing_from(party.randomness)
        self._initial = initial
        self._validators = frozenset(validators)
        self._final_scale = final_scale(party.steps)
        self._metrics = buyer_part(party, self._key)
        self._refresh = BuyerRefresh(party, self._key)
        self._dropped: set[str] = set()
        self._settled: bytes | None = None
        self.model: Array | None = None

    def start(self) -> Message:
        """Hand over the initial weights."""
        return self._party.say(InitialModel, self._party.aggregator, 0, weights=self._initial)

    def settled(self, weights_hash: bytes) -> None:
        """Learn from the contract that it has settled, and on which encrypted weights; only those are decrypted."""
        self._settled = weights_hash

    def handle(self, message: Message) -> list[Message]:
        """Answer a message.

        Raises:
            MessageError: it is not due, its numbers are malformed, or it misreports a metric.
        """
        if isinstance(message, FinalModel):
            self._party.admit(message, {message.sender})  # anybody may serve it: the hash says whether it is the one
            self.model = self._receive(message)
            return []
        if message.sender in self._dropped:
            raise self._party.gone(message, message.sender)
        if isinstance(message, self._metrics.kinds):
            self._party.admit(message, {self._party.aggregator, *self._validators})
            return self._metrics.handle(message)
        self._party.admit(message, {self._party.aggregator})
        if isinstance(message, self._refresh.kinds):
            return self._refresh.handle(message)
        if isinstance(message, OwnerDropped):
            return self._drop(message)
        raise self._party.unexpected(message)

    def _drop(self, message: OwnerDropped) -> list[Message]:
        """Take it on the aggregator's word; without a validator what the result rests on is measured once more."""
        if message.owner in self._dropped:
            raise self._party.unexpected(message, f"{message.owner} was dropped before")
        if message.owner in self._validators:
            self._metrics.drop_validator()
        self._dropped.add(message.owner)
        return []

    def _receive(self, delivered: FinalModel) -> Array:
        if self._settled is None:
            raise self._party.unexpected(delivered, "the contract has not settled yet")
        weights = self._party.key.check(delivered.weights, self._party.terms.weights, delivered.sender)
        if ciphertexts_hash(weights, self._party.key) != self._settled or delivered.scale != self._final_scale:
            raise MessageError("the model it delivers is not the one the validators signed for", delivered.sender)
        trained = np.asarray(fixedpoint.decode_array(self._key.decrypt(weights), delivered.scale))
        return self._party.terms.objective.read(trained)
