"""The units in which weights and errors are encrypted, so that a scheme's range is used and never left.

A weight counts in what its column can contribute to a prediction, relative to the width of the target:

    w_j = target_range / (magnitude_j * weight_gain) * hidden_j        gradient steps become D M D^-1 and D v, the trajectory is the same
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deltaml_core.errors import ScaleBudgetError
from deltaml_core.schemes.vectors import VectorScheme
from deltaml_core.statistics import Array
from deltaml_core.terms import TrainingTerms

_SMALLEST_GAIN, _LARGEST_GAIN = 2.0**-4, 2.0**10


@dataclass(frozen=True)
class Units:
    """How numbers are scaled before they are encrypted.

    Attributes:
        columns: (d,), what a hidden weight of 1 is as a weight.
        target: what a hidden residual of 1 is, in target units.
    """

    columns: Array
    target: float

    @classmethod
    def of(cls, terms: TrainingTerms, scheme: VectorScheme, weight_bound: float, target_range: float, rows: int) -> Units:
        """Units that use the scheme's range.

        Args:
            terms: of the training.
            scheme: what the numbers are encrypted with.
            weight_bound: no weight is larger, in any round.
            target_range: width of the target.
            rows: the most that a validator has.

        Raises:
            ScaleBudgetError: the terms lead to numbers beyond the scheme's range.
        """
        magnitudes = np.array([column.magnitude or 1.0 for column in terms.requirements.features] + [1.0])
        bound = weight_bound * float(magnitudes.max()) / target_range
        gain = min(_LARGEST_GAIN, 2.0 ** math.floor(math.log2(scheme.capacity / bound)))
        if gain < _SMALLEST_GAIN:
            raise ScaleBudgetError(
                f"weights may grow to {bound:.3g}, and {scheme.name} holds {scheme.capacity:.3g} beside its masks: take fewer rounds, a "
                "shorter step, or columns of similar ranges"
            )
        residual = 1 + terms.row_norm * weight_bound / target_range
        largest = 2.0 ** math.floor(math.log2(math.sqrt(scheme.result_capacity / rows) / residual))
        error_gain = min(gain, largest)
        if error_gain < _SMALLEST_GAIN:
            raise ScaleBudgetError(
                f"errors of {rows} rows may grow beyond what {scheme.name} holds: take fewer rounds, a shorter step, or scale the columns"
            )
        return cls(target_range / (magnitudes * gain), target_range / error_gain)

    def hide(self, weights: Array) -> Array:
        """Weights in hidden units."""
        return np.asarray(weights / self.columns, dtype=np.float64)

    def show(self, hidden: Array) -> Array:
        """The inverse."""
        return np.asarray(hidden * self.columns, dtype=np.float64)
