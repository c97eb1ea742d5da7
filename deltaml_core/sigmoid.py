"""Polynomials in place of the logistic function, for schemes that add and multiply only (T§10).

    sigma(z) = 1 / (1 + exp(-z)) ~ 1/2 + a z + b z**3        least squares over [-8, 8]

The cubic's coefficients are those of M. Kim, Y. Song, S. Wang, Y. Xia & X. Jiang, "Secure Logistic Regression Based on Homomorphic
Encryption: Design and Evaluation", JMIR Medical Informatics 6(2):e19, 2018, who write it as `0.5 + 1.20096 (z/8) - 0.81562 (z/8)**3`.
It rises up to |z| = 5.6 and stays within 0.12 of sigma over the interval; beyond the interval it is worthless.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deltaml_core.statistics import Array

SIGMOIDS = ("linear", "cubic")


@dataclass(frozen=True)
class CubicSigmoid:
    """`1/2 + slope * z + cube * z**3`.

    Attributes:
        slope: a.
        cube: b, negative.
        interval: it approximates sigma for `|z| <= interval`.
    """

    slope: float
    cube: float
    interval: float

    def __call__(self, z: Array) -> Array:
        """In the clear."""
        return np.asarray(0.5 + z * (self.slope + self.cube * z * z), dtype=np.float64)


CUBIC = CubicSigmoid(slope=1.20096 / 8, cube=-0.81562 / 8**3, interval=8.0)


def sigma(z: Array) -> Array:
    """The logistic function itself."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(z) / 2)), dtype=np.float64)


def least_squares_cubic(interval: float, points: int = 200_001) -> CubicSigmoid:
    """The cubic nearest to sigma over `[-interval, interval]`: where `CUBIC`'s numbers come from.

    Args:
        interval: positive.
        points: of the quadrature; the defaults give six digits.
    """
    z = np.linspace(-interval, interval, points)
    odd = np.column_stack([z, z**3])
    slope, cube = np.linalg.lstsq(odd, sigma(z) - 0.5, rcond=None)[0]
    return CubicSigmoid(float(slope), float(cube), interval)
