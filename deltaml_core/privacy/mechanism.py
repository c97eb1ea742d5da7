"""The noise, and what it comes to: all of it OpenDP's (`pip install 'deltaml-core[dp]'`), none of it ours.

    mechanism      discrete Gaussian on integers: no attack through the low digits of floating-point numbers
    one release    rho-zCDP, rho = (1/scale)**2 / 2 for vectors that one row changes by at most 1 (in units of `UNIT`)
    composition    rho adds up; (epsilon, delta) follows from the sum, never by adding epsilons

`scale` is the noise's standard deviation as a multiple of what one row can change.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import PrivacyError, WeakPrivacyWarning
from deltaml_core.extras import require

Integers = npt.NDArray[np.int64]

UNIT = 2**30
"""What one row changes of a vector that is released, at most: integers in the Euclidean norm."""

LARGEST_EPSILON = 300.0
WEAK_EPSILON = 10.0
_SMALLEST_EPSILON = 1e-4
_SCALES = (0.03, 1e6)  # they reach beyond both epsilons at every delta allowed
_SMALLEST_DELTA, _LARGEST_DELTA = 1e-15, 0.01


@dataclass(frozen=True)
class Guarantee:
    """(epsilon, delta) differential privacy of one row, replaced by any other within the declared ranges.

    Attributes:
        epsilon: from 0.0001 to 300; what is published becomes at most `e**epsilon` times as likely for any other content of the row ...
        delta: ... but for this probability; from 1e-15 to 0.01, and far below one over the number of rows.
    """

    epsilon: float
    delta: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            PrivacyError: a number is out of range.
        """
        limits = {"epsilon": (_SMALLEST_EPSILON, LARGEST_EPSILON), "delta": (_SMALLEST_DELTA, _LARGEST_DELTA)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise PrivacyError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")

    def warn(self) -> None:
        """Say so when it bounds next to nothing.

        Warns:
            WeakPrivacyWarning: for an epsilon above 10.
        """
        if self.epsilon > WEAK_EPSILON:
            text = f"epsilon {self.epsilon:g} bounds next to nothing: e**epsilon is {math.exp(self.epsilon):.1g}; choose 10 or less"
            warnings.warn(text, WeakPrivacyWarning, stacklevel=3)

    def check(self, rows: int) -> None:
        """Refuse a delta at which a mechanism may show single rows and still keep it.

        Raises:
            PrivacyError: delta is not below one over the number of rows.
        """
        if self.delta * rows >= 1:
            raise PrivacyError(
                f"at delta {self.delta:g} one of {rows} rows could be published whole: choose a delta well below {1 / rows:.1g}, or offer "
                "fewer rows"
            )

    def __str__(self) -> str:
        """Both numbers."""
        return f"epsilon {self.epsilon:g} at delta {self.delta:g}"


@lru_cache(maxsize=64)
def scale_for(guarantee: Guarantee) -> float:
    """The smallest noise that keeps a guarantee for one release.

    Raises:
        MissingExtraError: OpenDP is not installed.
    """

    def kept(scale: float) -> bool:
        return _composed((scale,), guarantee.delta) <= guarantee.epsilon

    return float(_opendp().binary_search(kept, bounds=_SCALES, T=float))


@lru_cache(maxsize=1024)
def epsilon_of(scales: tuple[float, ...], delta: float) -> float:
    """What releases with these scales come to together, at this delta; 0 for none.

    Raises:
        MissingExtraError: OpenDP is not installed.
        PrivacyError: a scale is out of range.
    """
    return _composed(scales, delta) if scales else 0.0


def _composed(scales: tuple[float, ...], delta: float) -> float:
    dp = _opendp()
    together = dp.c.make_composition([_gaussian(dp, scale) for scale in scales])
    return float(dp.c.make_zCDP_to_approxDP(together).map(UNIT).epsilon(delta))


def add_noise(values: Integers, scale: float) -> Integers:
    """Release integers that one row changes by at most `UNIT`, with noise from the operating system: another one at each call.

    Raises:
        MissingExtraError: OpenDP is not installed.
    """
    released: list[int] = _gaussian(_opendp(), scale)(values.tolist())
    return np.array(released, dtype=np.int64)


def _gaussian(dp: Any, scale: float) -> Any:
    if not math.isfinite(scale) or not _SCALES[0] <= scale <= _SCALES[1]:
        raise PrivacyError(f"a noise scale of {scale!r} is none that this program has chosen: the record is damaged")
    return dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="i64"), scale=scale * UNIT)


def _opendp() -> Any:
    dp = require("opendp.prelude", "dp")
    dp.enable_features("contrib")  # mechanisms with proofs that were not vetted line by line yet; the Gaussian is among them
    return dp
