"""Models as affine maps: what a trainer does to weights it cannot read (protocol.md §2).

A gradient step on m rows is `w <- w - (step/m)(A w - b)` (T§6.1, eq. 6.3). N steps (T§7.1, step 6) compose to one map

    w <- M w + v        M = (I - step A/m)^N        v = sum_{j<N} (I - step A/m)^j (step b/m)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deltaml_core.errors import DivergentStepError
from deltaml_core.statistics import Array, Statistics

_TOLERANCE = 1e-9  # eigenvalues are computed in floating point


@dataclass(frozen=True)
class AffineMap:
    """`w -> M w + v`.

    Attributes:
        M: (d, d).
        v: (d,).
    """

    M: Array
    v: Array

    def __repr__(self) -> str:
        """The size only: M and v are as telling as the data they come from."""
        return f"AffineMap({len(self.v)} weights)"

    def __call__(self, weights: Array) -> Array:
        """Apply it in the clear."""
        return np.asarray(self.M @ weights + self.v, dtype=np.float64)


def largest_stable_step(statistics: Statistics) -> float:
    """`2 / lambda_max(A / m)`: beyond it gradient descent on this data grows without bound."""
    return float(2 / np.linalg.eigvalsh(statistics.A / statistics.rows)[-1])


def local_steps(statistics: Statistics, step: float, steps: int) -> AffineMap:
    """`steps` gradient steps of linear regression as one map, in O(log steps) matrix products.

    Raises:
        DivergentStepError: `|M|_2 <= 1` would not hold; it carries the largest stable step.
    """
    stable = largest_stable_step(statistics)
    if step > stable * (1 + _TOLERANCE):
        raise DivergentStepError(f"a step of {step:g} diverges on this data; the largest stable step is {stable:.6g}", stable)
    one = AffineMap(np.eye(len(statistics.b)) - step * statistics.A / statistics.rows, step * statistics.b / statistics.rows)
    return power(one, steps)


def power(one: AffineMap, times: int) -> AffineMap:
    """The map applied `times` times, by squaring."""
    result = AffineMap(np.eye(len(one.v)), np.zeros(len(one.v)))
    while times:
        if times & 1:
            result = compose(one, result)
        one = compose(one, one)
        times >>= 1
    return result


def compose(second: AffineMap, first: AffineMap) -> AffineMap:
    """First `first`, then `second`."""
    return AffineMap(second.M @ first.M, second.M @ first.v + second.v)


def squared_error(statistics: Statistics, weights: Array) -> float:
    """Sum of squared residuals of a linear model."""
    return float(weights @ statistics.A @ weights - 2 * weights @ statistics.b + statistics.c)


def mean_squared_error(validators: Sequence[Statistics], weights: Array) -> float:
    """Pooled over the validators' rows."""
    return sum(squared_error(s, weights) for s in validators) / sum(s.rows for s in validators)


def federated_descent(trainers: Sequence[Statistics], weights: Array, step: float, steps: int, rounds: int) -> list[Array]:
    """The plaintext oracle of a whole training: the weights after every round, the initial ones first.

    Each round every trainer takes `steps` local steps and the results are averaged (T§7.1, steps 6 and 7).
    """
    maps = [local_steps(statistics, step, steps) for statistics in trainers]
    history = [weights]
    for _ in range(rounds):
        weights = np.mean([update(weights) for update in maps], axis=0)
        history.append(weights)
    return history
