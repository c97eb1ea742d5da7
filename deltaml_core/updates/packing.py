"""How a trainer's update becomes a few large integers, whose sums an aggregator forms without reading them.

A clipped update u (`|u|_2 <= C`) is rounded to `v = round(u * 2**F)`, so `|v_j| <= C * 2**F`. Every v_j becomes the digit
`v_j + offset`, positive, since signed digits would borrow from their neighbours. Weighted sums over trainers are sums digit by
digit: no digit carries as long as a slot holds `log2(sum of weights)` bits more than a single digit takes.

Law, for trainers of weights w_i:
    mean(sum_i w_i * pack(u_i), sum_i w_i) = sum_i w_i round(u_i * 2**F) / (2**F sum_i w_i)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from deltaml_core.errors import LocalTrainingError, MessageError, ScaleBudgetError
from deltaml_core.fixedpoint import Slots, encode, encode_array
from deltaml_core.statistics import Array

_NORM_SLACK = 1e-9
"""Relative: norms are computed in floating point."""


@dataclass(frozen=True)
class UpdatePacking:
    """The layout all participants of a training share.

    Attributes:
        parameters: numbers in an update, at least 1.
        clip_norm: C, the longest update in Euclidean norm, positive.
        fractional_bits: F.
        total_weight: the weights of all trainers together; those of a round are never more.
        capacity: bits a plaintext holds (`PublicKey.capacity`).
    """

    parameters: int
    clip_norm: float
    fractional_bits: int
    total_weight: int
    capacity: int

    @cached_property
    def bound(self) -> int:
        """No honest trainer's integer is larger in size."""
        return encode(self.clip_norm, self.fractional_bits) + 1

    @cached_property
    def slots(self) -> Slots:
        """Digits of one trainer take `value_bits + 1` bits, their weighted sum the whole width.

        Raises:
            ScaleBudgetError: not even one sum fits a plaintext.
        """
        value_bits = self.bound.bit_length()
        width = value_bits + 1 + self.total_weight.bit_length()
        if width > self.capacity:
            raise ScaleBudgetError(
                f"a sum of updates takes {width} bits, but the key holds {self.capacity}: take a longer key, fewer fractional bits "
                f"than {self.fractional_bits}, or a clip_norm below {self.clip_norm:g}"
            )
        return Slots(value_bits, width, self.capacity // width)

    @property
    def ciphertexts(self) -> int:
        """How many an update takes."""
        return self.slots.plaintexts(self.parameters)

    def clip(self, update: Array) -> Array:
        """The update, shortened to norm C where it is longer, (parameters,). What is not finite stays so, for `pack` to refuse."""
        largest = float(np.abs(update).max())
        if largest == 0 or not math.isfinite(largest):
            return update
        direction = update / largest  # its squares do not overflow, however large the update
        norm = float(np.linalg.norm(direction))
        return update if largest * norm <= self.clip_norm else direction * (self.clip_norm / norm)

    def pack(self, update: Array, owner: str = "this owner") -> list[int]:
        """The plaintexts of an update that `clip` made, (parameters,).

        Raises:
            LocalTrainingError: an entry is not finite.
        """
        if not np.isfinite(update).all():
            raise LocalTrainingError(owner, "its update holds numbers that are not finite; lower the learning rate")
        offset = self.slots.offset
        return self.slots.join_all([value + offset for value in encode_array(update, self.fractional_bits)])

    def mean(self, sums: Sequence[int], weight: int, sender: str) -> Array:
        """The weighted mean of packed updates, from their decrypted weighted sum.

        Args:
            sums: the plaintexts.
            weight: of those in the sum, at least 1 and at most `total_weight`.
            sender: who brought them.

        Raises:
            MessageError: they are longer than a sum of clipped updates can be. Whose update did it, nobody can tell: only the sum was
                opened.
        """
        try:
            digits = self.slots.split_all(sums, self.parameters)
        except ValueError as error:
            raise MessageError(f"the sum of updates cannot be unpacked: {error}", sender) from error
        values = [digit - weight * self.slots.offset for digit in digits]
        if any(abs(value) > weight * self.bound for value in values):
            raise MessageError(f"a sum of updates exceeds what updates of norm {self.clip_norm:g} can add up to", sender)
        mean = np.array(values, dtype=np.float64) / (weight * float(1 << self.fractional_bits))
        rounding = np.sqrt(self.parameters) / (1 << self.fractional_bits)
        if np.linalg.norm(mean) > self.clip_norm * (1 + _NORM_SLACK) + rounding:
            raise MessageError(f"the mean update has norm {np.linalg.norm(mean):.6g}, above the {self.clip_norm:g} agreed on", sender)
        return mean
