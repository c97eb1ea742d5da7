"""Kinds of model that are trained as linear regression: what each makes of an owner's rows, of the step, and of the weights found.

    linear      1/2m |X w - y|**2
    ridge       the same + penalty/2 |w|**2, the intercept excepted
    logistic    log-loss whose sigmoid is the straight line 1/2 + SLOPE z (protocol.md §2, T§10), with or without a penalty

The gradient of the last is `1/m X'(1/2 + SLOPE X w - y)`. With `u = SLOPE w` that is the gradient step of linear regression on the
centred labels `y - 1/2`, `SLOPE` times as long; so owners train and measure `u`, and the buyer reads `w = u / SLOPE`. The error
everybody sees is the mean square of `y - (1/2 + SLOPE x.w)`, 1/4 for the model that knows nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from deltaml_core import models
from deltaml_core.errors import DataError, DivergentStepError, TermsError
from deltaml_core.models import AffineMap
from deltaml_core.statistics import Array, Column, Statistics

MODELS = ("linear", "ridge", "logistic")

SLOPE = 0.25
"""Of the sigmoid's tangent at 0."""
_MIDDLE = 0.5
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Objective:
    """What is minimised.

    Attributes:
        model: one of `MODELS`.
        penalty: weight of `|w|**2 / 2` beside the mean loss, not negative; scikit-learn's `alpha / m` of `Ridge`, `1 / (C m)` of
            `LogisticRegression`.
    """

    model: str = "linear"
    penalty: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            TermsError: another model, or a penalty that is none.
        """
        if self.model not in MODELS:
            raise TermsError(f"model={self.model!r} is not known; choose one of {', '.join(MODELS)}")
        penalty = self.penalty
        if isinstance(penalty, bool) or not isinstance(penalty, int | float) or not (math.isfinite(penalty) and penalty >= 0):
            raise TermsError(f"penalty must be a number of at least 0, not {penalty!r}")
        if self.model == "linear" and penalty:
            raise TermsError(f'model="linear" has no penalty, and {penalty:g} was stated: choose model="ridge"')

    @property
    def classifies(self) -> bool:
        """Whether the target is a label, 0 or 1."""
        return self.model == "logistic"

    @property
    def slope(self) -> float:
        """What the weights found are to be divided by, and the step is to be multiplied with."""
        return SLOPE if self.classifies else 1.0

    def target(self, declared: Column) -> Column:
        """The target as it is trained on.

        Raises:
            TermsError: labels that are not declared as 0 to 1.
        """
        if not self.classifies:
            return declared
        if (declared.low, declared.high) != (0, 1):
            stated = f"[{declared.low:g}, {declared.high:g}]"
            raise TermsError(f"a logistic model's target is 0 or 1: declare {declared.name!r} from 0 to 1, not {stated}")
        return replace(declared, low=-_MIDDLE, high=_MIDDLE)

    @property
    def middle(self) -> float:
        """What is subtracted from the target before it is trained on and measured."""
        return _MIDDLE if self.classifies else 0.0

    def check(self, statistics: Statistics) -> None:
        """See that rows whose target lies in the declared range can be trained on.

        Raises:
            DataError: labels other than 0 and 1: only then is the sum of squares less than the sum.
        """
        if self.classifies and abs(statistics.c - statistics.target_sum) > _ROUNDING * statistics.rows:
            raise DataError(f"the target of a logistic model is 0 or 1, and among these {statistics.rows} rows are others")

    def prepare(self, statistics: Statistics) -> Statistics:
        """Statistics of the same rows with the target as it is trained on and measured: `y - middle`."""
        ones, total = statistics.A[:, -1], statistics.target_sum
        squares = statistics.c - 2 * self.middle * total + self.middle**2 * statistics.rows
        return replace(statistics, b=statistics.b - self.middle * ones, c=squares)

    def update(self, statistics: Statistics, step: float, steps: int) -> AffineMap:
        """An owner's map for one round.

        Raises:
            DivergentStepError: the step is too long for this data; it carries the largest stable one.
        """
        try:
            return models.local_steps(self.penalised(statistics), step * self.slope, steps)
        except DivergentStepError as error:
            stable = error.largest_stable_step / self.slope
            raise DivergentStepError(f"a step of {step:g} diverges on this data; the largest stable step is {stable:.6g}", stable) from None

    def largest_stable_step(self, statistics: Statistics) -> float:
        """Beyond it descent on this data grows without bound."""
        return models.largest_stable_step(self.penalised(statistics)) / self.slope

    def read(self, weights: Array) -> Array:
        """The model's weights from what was trained."""
        return weights / self.slope

    def penalised(self, statistics: Statistics) -> Statistics:
        """Statistics whose descent heeds the penalty."""
        ridge = np.full(len(statistics.b), self.penalty / self.slope * statistics.rows)
        ridge[-1] = 0
        return replace(statistics, A=statistics.A + np.diag(ridge))
