"""What every scheme offers, also those that cannot give exact integers or openings with proof: encrypted vectors of real numbers.

`schemes/base.py` is what the market's protocol is built on: exact integers, openings that everybody can check. CKKS computes
approximately, and secret sharing has no ciphertext that could be opened with proof; but all four schemes (Paillier, plain, CKKS,
secret sharing) keep the laws below. What is built on them is semi-honest: everybody is trusted to follow the protocol, and learns no
more than it says.

Laws, for a `Keyring` of a scheme, vectors x and y with entries below 1 and rows of M with `sum_j |M_ij| <= 1`:
    decrypt(encrypt(x)) ~ x
    decrypt(affine(prepare(M, v), encrypt(x))) ~ M x + v
    decrypt(add(encrypt(x), encrypt(y))) ~ x + y        likewise subtract, and shift by known numbers
    decrypt(multiply(encrypt(x), encrypt(y))) ~ x * y   entry by entry, where the scheme `multiplies`
    decrypt(inner(encrypt(x), encrypt(y))) ~ [x . y]    likewise
    decrypt(refresh(X, [mask(X), ...])) ~ decrypt(X)    and the result bears `depth` products again
to within `tolerance`, absolutely, for chains of at most `depth` products.

Who sees what: an owner holds what it encrypts and prepares; who carries out `affine` on its own map sees its map and no plaintext;
the aggregator, who adds and multiplies, sees no plaintext; `decrypt` shows a plaintext to the holder of the key, or with secret sharing
to whom the parties send their shares; `refresh` shows nobody anything while one of the masks is nobody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from deltaml_core.statistics import Array

Vector = Any
"""An encrypted vector. Each scheme has a type of its own, with the properties of `EncryptedVector`."""

Map = Any
"""An owner's affine map as its scheme prepared it."""

Mask = Any
"""What an owner gives to a refresh: random numbers that only it knows, encrypted."""


class EncryptedVector(Protocol):
    """What is visible of an encrypted vector."""

    @property
    def entries(self) -> int:
        """How many numbers it holds."""

    @property
    def depth(self) -> int:
        """How many products lie behind it since it was encrypted or refreshed."""


class VectorScheme(Protocol):
    """What everybody works with.

    Attributes:
        name: as `train(scheme=...)` calls it.
        multiplies: whether encrypted vectors can be multiplied with each other.
        depth: how many products in a row a fresh vector bears.
        capacity: entries of vectors that will be refreshed must stay below this; the engine chooses its units by it.
        result_capacity: the same for results that are only decrypted.
        tolerance: see the laws.
    """

    name: str
    multiplies: bool
    depth: int
    capacity: float
    result_capacity: float
    tolerance: float

    @property
    def sent(self) -> int:
        """Bytes that participants sent each other so far."""

    def encrypt(self, values: Array) -> Vector:
        """Encrypt a vector of numbers."""

    def prepare(self, matrix: Array, offset: Array) -> Map:
        """Precompute what the map `x -> M x + v` needs. With secret sharing this is where the owner shares it.

        Args:
            matrix: M, of any shape.
            offset: v, one number a row.

        Raises:
            ScaleBudgetError: entries too large for the scheme.
        """

    def affine(self, linear: Map, vector: Vector) -> Vector:
        """`[[M x + v]]`; one product deeper, and with fresh randomness.

        Raises:
            ScaleBudgetError: the vector bears no further product: refresh it first.
        """

    def add(self, left: Vector, right: Vector) -> Vector:
        """Entry by entry."""

    def subtract(self, left: Vector, right: Vector) -> Vector:
        """Entry by entry."""

    def shift(self, vector: Vector, known: Array) -> Vector:
        """Add known numbers."""

    def multiply(self, left: Vector, right: Vector) -> Vector:
        """Entry by entry; one product deeper.

        Raises:
            UnsupportedOperationError: the scheme cannot.
            ScaleBudgetError: one of them bears no further product.
        """

    def inner(self, left: Vector, right: Vector) -> Vector:
        """The sum of the products, one entry; one product deeper.

        Raises:
            UnsupportedOperationError: the scheme cannot.
            ScaleBudgetError: one of them bears no further product.
        """

    def blur(self, vector: Vector, width: float) -> Vector:
        """Add random numbers of about `width`, at most eight times that, to what is about to be decrypted.

        They hide low digits; with CKKS they also drown the noise, which depends on what was computed.
        """

    def mask(self, vector: Vector) -> Mask:
        """An owner's part of a refresh of this vector."""


class Keyring(Protocol):
    """What only the key's holder can do, or with secret sharing only the parties together."""

    @property
    def public(self) -> VectorScheme:
        """What may be shown to everybody."""

    def decrypt(self, vector: Vector) -> Array:
        """The numbers."""

    def publish(self, vector: Vector, width: float) -> Array:
        """The numbers for everybody's eyes; a scheme whose exact result tells of its key adds noise of about `width` once more."""

    def refresh(self, vector: Vector, masks: Sequence[Mask]) -> Vector:
        """The same numbers, fresh, shown to nobody while one of the masks (at least one, all made for this vector) is secret.

        Raises:
            TermsError: no masks.
        """

    def close(self) -> None:
        """Give back what was started; nothing can be decrypted afterwards."""


def as_vector(values: Array) -> Array:
    """A vector of finite numbers.

    Raises:
        ValueError: it is something else.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise ValueError(f"a vector of finite numbers is needed, not an array of shape {vector.shape} with values that are none")
    return vector
