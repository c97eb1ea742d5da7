"""The thesis's own arithmetic (T§7.1, T§7.6), written with phe as the system of 2019 did it: what ours is measured against.

    trainer      gradient = (X [[w]] - y) X / m, one encrypted product per row and weight, twice
    aggregator   averages the gradients, takes the step under encryption
    validator    one ciphertext per residual; the aggregator adds noise to each, the buyer decrypts each
    buyer        every two rounds decrypts, rounds to three decimals and re-encrypts the weights

What the last published sources of 2019 (organisation DeltaML: commons, data-owner, federated-aggregator, model-buyer) show and
this follows: weights and rows are floats that phe encodes to full precision; numbers travel as JSON with the ciphertext as a
decimal string; phe re-randomises each with a full r**n as it is written out; the noise is a whole number from 0 to 9 per row;
together with every measurement, the models that leave one trainer out of the last round are measured as well.

Nothing is slowed: phe finds gmpy2, and work of 2019 whose result nobody used is left out (every trainer repeating the
aggregator's step under encryption; models that leave one out in rounds without a measurement; one more re-encryption at the
start). Left-out models average over the trainers that remain; the 2019 code divided by all of them.

Who learns what: the buyer learns the weights and all residuals. It measures cost only; nothing else imports it.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
from phe.paillier import EncryptedNumber, generate_paillier_keypair

from deltaml_core.errors import MetricError, TermsError
from deltaml_core.statistics import Array

ROUNDS_BETWEEN_REFRESHES = 2
DECIMALS = 3
SMALLEST_KEY_BITS = 1024
"""Two rounds of float products and a measurement take about 700 bits."""

Encrypted = npt.NDArray[np.object_]
"""A vector of phe's `EncryptedNumber`."""

Rows = tuple[Array, Array]
"""`(X, y)`: X of shape (m, d), intercept column included."""


class Federation2019:
    """All parties of a 2019 training in one process. Whatever one sends to another passes through JSON.

    Attributes:
        refreshed: the weights the buyer last re-encrypted, (d,), in the clear.
        bytes: lengths of the messages sent, by the name of the message that takes their place today.
    """

    def __init__(self, trainers: Sequence[Rows], validators: Sequence[Rows], *, step: float, key_bits: int) -> None:
        """A new key, and zero weights encrypted under it.

        Args:
            trainers: the rows of each.
            validators: the rows of each.
            step: length of a gradient step.
            key_bits: length of the modulus.

        Raises:
            TermsError: an odd length, or numbers of two rounds would not fit the key.
        """
        if key_bits < SMALLEST_KEY_BITS or key_bits % 2:
            raise TermsError(f"the arithmetic of 2019 needs a key of an even length of at least {SMALLEST_KEY_BITS} bits, not {key_bits}")
        self._trainers, self._validators, self._step = trainers, validators, step
        self._public, self._private = generate_paillier_keypair(n_length=key_bits)
        self.bytes: defaultdict[str, list[int]] = defaultdict(list)
        self.refreshed: Array = np.zeros(trainers[0][0].shape[1])
        self._weights = self._send("initial-model", self._encrypt(self.refreshed))
        self._before: Encrypted = self._weights
        self._gradients: list[Encrypted] = []

    def train_round(self) -> None:
        """One gradient step on every trainer's rows, averaged."""
        received = self._send("train", self._weights)
        self._gradients = [self._send("update", gradient(X, y, received)) for X, y in self._trainers]
        self._before = self._weights
        self._weights = self._stepped(self._gradients)

    def refresh(self) -> None:
        """The buyer decrypts, rounds and re-encrypts the weights."""
        self.refreshed = np.around(self._decrypt(self._send("refresh", self._weights)), decimals=DECIMALS)
        self._weights = self._send("refreshed", self._encrypt(self.refreshed))

    def measure(self) -> float:
        """The mean squared error of the weights, pooled over the validators' rows."""
        return self._measured(self._weights)

    def measure_leaving_out(self, trainer: int) -> float:
        """The same of what the last round would have made of the weights without one of at least two trainers."""
        return self._measured(self._stepped([g for position, g in enumerate(self._gradients) if position != trainer]))

    def decrypted_weights(self) -> Array:
        """The weights, as the buyer can read them."""
        return self._decrypt(self._weights)

    def _stepped(self, gradients: Sequence[Encrypted]) -> Encrypted:
        average = reduce(add, gradients) / len(gradients)
        return np.asarray(self._before - self._step * average)

    def _measured(self, weights: Encrypted) -> float:
        received = self._send("evaluate", weights)
        residuals = np.concatenate([self._send("residuals", y - X.astype(object) @ received) for X, y in self._validators])
        noise = np.array([random.randrange(10) for _ in residuals])
        opened = self._decrypt(self._send("open-residuals", residuals + noise))
        error = float(np.mean((opened - noise) ** 2))
        revealed = np.asarray(json.loads(json.dumps(noise.tolist())))
        if float(np.mean((opened - revealed) ** 2)) != error:
            raise MetricError("the buyer finds another error than the aggregator")
        return error

    def _send(self, kind: str, numbers: Encrypted) -> Encrypted:
        data = json.dumps([{"ciphertext": str(number.ciphertext()), "exponent": number.exponent} for number in numbers])
        self.bytes[kind].append(len(data))
        return np.array([EncryptedNumber(self._public, int(number["ciphertext"]), number["exponent"]) for number in json.loads(data)])

    def _encrypt(self, values: Array) -> Encrypted:
        return np.array([self._public.encrypt(value) for value in values.tolist()])

    def _decrypt(self, numbers: Encrypted) -> Array:
        return np.array([self._private.decrypt(number) for number in numbers], dtype=np.float64)


def gradient(X: Array, y: Array, weights: Encrypted) -> Encrypted:
    """That of half the mean squared error at encrypted weights (T§6.1): `(X w - y) X / m`."""
    rows: npt.NDArray[Any] = X.astype(object)
    errors = rows @ weights - y
    return np.asarray((errors @ rows) / len(rows))
