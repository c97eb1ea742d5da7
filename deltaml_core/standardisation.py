"""Features in units of their own spread, from means and variances of all owners' rows together that no owner's can be told from.

Owner i scales every feature to z = (x - middle) / 2**k of its declared range, so `|z| <= 1`, and sends, encrypted under the buyer's
key and packed,

    m_i    sum z    sum z**2        m_i: its rows; sums for every feature

The aggregator adds, the buyer opens the sums, and everybody is told, for all N rows,

    mean = middle + 2**k sum z / N        variance = 4**k (sum z**2 / N - (sum z / N)**2)

What is opened: the pooled number of rows, means and variances, to the buyer and then to all owners. No owner's own sums; but of two
owners each can take its own away (`FewOwnersWarning`), as can all but one together, and buyer and aggregator together open any.

Subtracting nearly equal sums loses nothing here: they are exact integers that agree with each other, and an owner's come from its mean
and its squared deviations, not from squares (Chan, Golub & LeVeque, 1983).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from deltaml_core import schemes
from deltaml_core.dealing import FEW_OWNERS, warn_of_few
from deltaml_core.errors import DataError, MessageError, RequirementsError, ScaleBudgetError, TooFewOwnersError
from deltaml_core.fixedpoint import Slots, encode
from deltaml_core.schemes.base import Ciphertexts, PrivateKey, PublicKey
from deltaml_core.statistics import Array, Column, Dataset

MAXIMUM_ROWS_BITS = 40
"""An owner has fewer rows than 2**40."""

MAXIMUM_MAGNITUDE = 1e150
"""Squares of larger values are no floats."""

_FRACTIONAL_BITS = 128
"""Of the sums: a standard deviation of 2**-32 of the declared range still has 64 bits in its square."""


@dataclass(frozen=True)
class Moments:
    """Pooled means and spreads of features.

    Attributes:
        mean: (features,), in the features' own units.
        scale: (features,), the standard deviation (divided by N, as scikit-learn's `StandardScaler`), or 1 where a feature is constant.
        rows: N, of all owners together.
    """

    mean: Array
    scale: Array
    rows: int

    def apply(self, X: npt.ArrayLike) -> Array:
        """Rows in standard units, `(X - mean) / scale`, (m, features).

        Raises:
            DataError: X has another number of columns.
        """
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != len(self.mean):
            raise DataError(f"X has shape {X.shape}, but moments are known of {len(self.mean)} features")
        return np.asarray((X - self.mean) / self.scale)

    def apply_weights(self, coef: npt.ArrayLike, intercept: npt.ArrayLike) -> tuple[Array, Array]:
        """What a linear model of standardised rows is on rows as they were: `coef / scale` and `intercept - coef / scale . mean`.

        Args:
            coef: (features,), or (outputs, features).
            intercept: a number, or (outputs,).

        Returns:
            Coefficients and intercepts of the same shapes, which predict from X what the given ones do from `apply(X)`.

        Raises:
            DataError: there is not one coefficient a feature.
        """
        coef = np.asarray(coef, dtype=np.float64)
        if coef.ndim == 0 or coef.shape[-1] != len(self.mean):
            raise DataError(f"coef has shape {coef.shape}, but moments are known of {len(self.mean)} features")
        original = coef / self.scale
        return original, np.asarray(np.asarray(intercept, dtype=np.float64) - original @ self.mean)

    def apply_columns(self, features: Sequence[Column]) -> tuple[Column, ...]:
        """The declared ranges in standard units: what lies in a range lies in it afterwards.

        Raises:
            DataError: another number of features.
        """
        low, high = (self.apply([[getattr(column, end) for column in features]])[0] for end in ("low", "high"))
        return tuple(Column(column.name, float(a), float(b)) for column, a, b in zip(features, low, high, strict=True))


@dataclass(frozen=True)
class MomentSums:
    """How one owner's sums, or the sum of all owners', share ciphertexts. The same for everybody, from public numbers.

    Attributes:
        features: as declared, at least one.
        owners: how many are added, at least two.
        capacity: bits a plaintext holds (`PublicKey.capacity`).
    """

    features: tuple[Column, ...]
    owners: int
    capacity: int

    def __post_init__(self) -> None:
        """Refuse what cannot be summed.

        Raises:
            TooFewOwnersError: the sum over one owner is its own.
            RequirementsError: no features, or a range that is not finite and in order.
            ScaleBudgetError: the key is too short.
        """
        if self.owners < FEW_OWNERS:
            raise TooFewOwnersError(f"means over {self.owners} owner(s) are its own: at least {FEW_OWNERS} have to take part")
        if not self.features:
            raise RequirementsError("there are no features to standardise")
        for column in self.features:
            if not (column.magnitude < MAXIMUM_MAGNITUDE and column.low <= column.high):
                span = f"[{column.low}, {column.high}]"
                raise RequirementsError(
                    f"the range of {column.name!r} must be in order and below {MAXIMUM_MAGNITUDE:g} in size, not {span}"
                )
        if self._width > self.capacity:
            raise ScaleBudgetError(f"a sum takes {self._width} bits, but the key holds {self.capacity}: take a longer key")

    @property
    def slots(self) -> Slots:
        """Digits of one owner take a bit more than their values, their sum the whole width."""
        return Slots(self._value_bits, self._width, self.capacity // self._width)

    @property
    def ciphertexts(self) -> int:
        """How many an owner sends."""
        return self.slots.plaintexts(self._count)

    def encrypt(self, dataset: Dataset, key: PublicKey) -> Ciphertexts:
        """An owner's part, for the aggregator.

        Raises:
            RequirementsError: its columns or values are not as declared.
        """
        X = self._checked(dataset)
        values = [encode(dataset.rows, _FRACTIONAL_BITS)]
        for column, x in zip(self.features, X.T, strict=True):
            values += [encode(total, _FRACTIONAL_BITS) for total in _sums((x - _middle(column)) / _unit(column))]
        return key.encrypt(self.slots.join_all([value + self.slots.offset for value in values]))

    def add(self, parts: dict[str, Ciphertexts], key: PublicKey) -> Ciphertexts:
        """The aggregator's part: the sum over all owners, for the buyer.

        Args:
            parts: what each owner sent, by its name.
            key: the buyer's.

        Raises:
            TooFewOwnersError: somebody's part is missing, or there is one too many.
            CiphertextError: naming the owner whose numbers are malformed.
        """
        if len(parts) != self.owners:
            raise TooFewOwnersError(f"{len(parts)} of {self.owners} owners sent their sums: all of them, and nobody else, are added")
        total = key.zeros(self.ciphertexts)
        for name, part in parts.items():
            total = key.add(total, key.check(part, self.ciphertexts, name))
        return key.rerandomise(total)

    def open(self, total: Ciphertexts, key: PrivateKey, sender: str = "aggregator") -> Moments:
        """The buyer's part: means and spreads, for everybody.

        Raises:
            MessageError: the numbers are malformed, or no sums of values within the declared ranges.
        """
        packed = key.public.check(total, self.ciphertexts, sender)
        try:
            digits = self.slots.split_all(key.decrypt(packed), self._count)
        except ValueError as error:
            raise MessageError(f"the sums cannot be unpacked: {error}", sender) from error
        count, *sums = (Fraction(digit - self.owners * self.slots.offset, 1 << _FRACTIONAL_BITS) for digit in digits)
        if count.denominator != 1 or not self.owners <= count < self.owners << MAXIMUM_ROWS_BITS:
            raise MessageError(f"the sums are of {float(count):g} rows, which {self.owners} owners cannot have", sender)
        pooled = [
            _moments(column, first / count, second / count, sender)
            for column, first, second in zip(self.features, sums[::2], sums[1::2], strict=True)
        ]
        mean, variance = np.array([mean for mean, _ in pooled]), np.array([variance for _, variance in pooled])
        return Moments(mean, _scale(mean, variance, int(count)), int(count))

    @property
    def _count(self) -> int:
        return 1 + 2 * len(self.features)

    @property
    def _value_bits(self) -> int:
        return MAXIMUM_ROWS_BITS + _FRACTIONAL_BITS + 1

    @property
    def _width(self) -> int:
        return self._value_bits + 1 + self.owners.bit_length()

    def _checked(self, dataset: Dataset) -> Array:
        names = [column.name for column in self.features]
        if missing := [name for name in names if name not in dataset.features]:
            raise RequirementsError(f"the data set has no column {', '.join(missing)}")
        X = dataset.X[:, [dataset.features.index(name) for name in names]]
        faults = [fault for column, x in zip(self.features, X.T, strict=True) if (fault := column.fault(x))]
        if faults:
            raise RequirementsError("the data set does not match the request: " + "; ".join(faults))
        return X


def secure_moments(
    datasets: Sequence[Dataset], key: PrivateKey, features: Sequence[Column], *, owners: Sequence[str] | None = None
) -> Moments:
    """Pooled means and spreads of several owners' features, every party in this process.

    Args:
        datasets: each owner's.
        key: the buyer's.
        features: with the declared ranges, which everybody knows; moments come in this order.
        owners: names for errors; by default "owner 0", "owner 1", ...

    Raises:
        TooFewOwnersError: fewer than two owners.
        RequirementsError: a data set does not hold the features within their ranges.
        ScaleBudgetError: the key is too short.

    Warns:
        FewOwnersWarning: with two owners.
    """
    names = list(owners) if owners is not None else [f"owner {index}" for index in range(len(datasets))]
    layout = MomentSums(tuple(features), len(datasets), key.public.capacity)
    warn_of_few(len(datasets), "owners", stacklevel=3)
    parts = {}
    for name, dataset in zip(names, datasets, strict=True):
        try:
            parts[name] = layout.encrypt(dataset, schemes.public_key(key.public.scheme, key.public.modulus))
        except RequirementsError as error:
            raise RequirementsError(f"{name}: {error}") from error
    return layout.open(layout.add(parts, schemes.public_key(key.public.scheme, key.public.modulus)), key)


def _middle(column: Column) -> float:
    return column.low / 2 + column.high / 2


def _unit(column: Column) -> float:
    """A power of two, by which dividing is exact, and of which no value lies further from the middle."""
    furthest = max(column.high - _middle(column), _middle(column) - column.low)
    return math.ldexp(1.0, math.frexp(furthest)[1]) if furthest else 1.0


def _sums(z: Array) -> tuple[Fraction, Fraction]:
    """`sum z` and `sum z**2`, such that the squared deviations that follow from both are right to rounding."""
    mean = z.mean()
    mean += (z - mean).mean()  # the first mean's rounding error
    deviations = z - mean
    exact = Fraction(float(mean))
    return exact * len(z), Fraction(float(deviations @ deviations)) + exact**2 * len(z)


def _moments(column: Column, first: Fraction, second: Fraction, sender: str) -> tuple[float, float]:
    """Mean and variance of a feature, from the means of z and z**2."""
    variance = second - first**2
    if abs(first) > 1 or not -Fraction(1, 1 << (_FRACTIONAL_BITS - 8)) <= variance <= 1:
        raise MessageError(f"the sums of {column.name!r} are none of values within its declared range", sender)
    unit = Fraction(_unit(column))
    return float(Fraction(_middle(column)) + unit * first), float(unit**2 * max(variance, Fraction(0)))


def _scale(mean: Array, variance: Array, rows: int) -> Array:
    """Standard deviations; 1 for a feature whose variance is no more than rounding leaves of a constant (as scikit-learn judges)."""
    rounding = np.finfo(np.float64).eps
    constant = variance <= rows * rounding * variance + (rows * mean * rounding) ** 2
    return np.where(constant, 1.0, np.sqrt(variance))
