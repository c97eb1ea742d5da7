"""CKKS through TenSEAL's binding of Microsoft SEAL: approximate arithmetic on vectors, ciphertexts multiplied with each other.

J. H. Cheon, A. Kim, M. Kim & Y. Song, "Homomorphic Encryption for Arithmetic of Approximate Numbers", ASIACRYPT 2017. A vector of d
numbers fills all slots again and again with period D, the power of two that holds it, so that rotations go round within it. A product
with an owner's matrix is the diagonal method with baby and giant steps (S. Halevi & V. Shoup, CRYPTO 2014): about 2 sqrt(D) rotations.

What CKKS needs that exact schemes do not:
- Every product uses up a prime of the modulus. `depth` says how many, and a further one is refused: at the last prime numbers overflow
  without a sign, so it is never reached.
- The noise of a result is a function of the matrices it went through. Whoever holds the key would read them in it; so what is decrypted
  is masked (`mask`: Gaussian over every coefficient of the polynomial, 2**39 times as wide as what it hides) or blurred (`blur`).
- A decryption that others see tells of the key (B. Li & D. Micciancio, EUROCRYPT 2021): `publish` adds noise once more.

A mask's 120 bits are more than a float holds, so the holder reads what is masked three times, each time what the readings before left
over, and encrypts all three readings; the mask comes off as the very polynomial that was added. A refresh so costs no precision.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import ScaleBudgetError, TermsError
from deltaml_core.extras import require
from deltaml_core.schemes.vectors import as_vector
from deltaml_core.statistics import Array

DEGREE = 16384
SLOTS = DEGREE // 2
PRIME_BITS = 60
LARGEST_MODULUS_BITS = 438
"""For 128-bit security at degree 16384 with ternary secrets (Homomorphic Encryption Security Standard, 2018, table 1)."""

PRIMES = {2: 5, 4: 7}
"""Number of primes of 60 bits by depth: one a product, two that results keep, one for switching keys. 300 and 420 bits of modulus."""

SCALE = 2.0**PRIME_BITS
MAXIMUM_MASKS = 64
_MASK_DEVIATIONS = (2.0**113, 2.0**67, 2.0**21)
"""Of the coefficients of a mask's three parts: each is wide against the steps a float leaves in the one before it."""
_READINGS = 3
_CACHED_DIAGONALS = 32
_LARGEST_ENTRY = 2.0**24

Complex = npt.NDArray[np.complex128]


@dataclass(frozen=True)
class CkksVector:
    """A ciphertext, `depth` primes below the top."""

    ciphertext: Any
    entries: int
    depth: int


@dataclass
class CkksMap:
    """An owner's map: its diagonals, and their encodings by level where few."""

    matrix: Array
    offset: Array
    encoded: dict[int, list[Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The size only."""
        return f"CkksMap({self.matrix.shape[0]} x {self.matrix.shape[1]})"


class CkksVectors:
    """`VectorScheme` over CKKS: what everybody holds, all keys but the secret one. The docstrings of the protocol hold."""

    name = "ckks"
    multiplies = True
    tolerance = 2.0**-36
    capacity = 2.0**14
    result_capacity = 2.0**56

    def __init__(self, seal: ModuleType, context: Any, keys: tuple[Any, Any, Any], dimension: int, depth: int) -> None:
        """`keys`: the public, the relinearisation and the Galois keys, these for rotations by powers of two below the period."""
        self.seal, self.depth, self.sent = seal, depth, 0
        self.period = period_of(dimension)
        public, self._relinearisation, self._rotations = keys
        self._encoder, self._evaluator = seal.CKKSEncoder(context), seal.Evaluator(context)
        self._encryptor = seal.Encryptor(context, public)
        self._levels: list[Any] = []
        self._last_primes: list[float] = []
        level = context.first_context_data()
        while level is not None:
            self._levels.append(level.parms_id())
            self._last_primes.append(float(level.parms().coeff_modulus()[-1].value()))
            level = level.next_context_data()

    def encrypt(self, values: Array) -> CkksVector:
        """At the top level."""
        numbers = as_vector(values)
        ciphertext = self.encrypt_plaintexts([self.encode(self._spread(numbers), 0)])
        self._count(ciphertext)
        return CkksVector(ciphertext, len(numbers), 0)

    def prepare(self, matrix: Array, offset: Array) -> CkksMap:
        """Padded to the period."""
        matrix, offset = np.atleast_2d(np.asarray(matrix, dtype=np.float64)), as_vector(offset)
        if max(matrix.shape) > self.period:
            raise ScaleBudgetError(f"a map of {matrix.shape} does not fit a key for {self.period} numbers: make the key for more")
        if np.abs(matrix).max() > _LARGEST_ENTRY or np.abs(offset).max() > self.result_capacity:
            raise ScaleBudgetError(f"CKKS bears maps with entries below {_LARGEST_ENTRY:g}: bring the columns to similar ranges")
        return CkksMap(matrix, offset)

    def affine(self, linear: CkksMap, vector: CkksVector) -> CkksVector:
        """Baby steps of one, giant ones by Horner's rule; then one prime less, and a fresh encryption of zero."""
        self._check_depth(vector)
        self._count(vector.ciphertext)
        small = 1 << (self.period.bit_length() // 2)
        large = self.period // small
        rotated = [vector.ciphertext]
        for _ in range(1, small):
            rotated.append(self._rotated(rotated[-1], 1))
        diagonals = self._diagonals(linear, vector.depth, small)
        total = None
        for giant in reversed(range(large)):
            part = self._sum_of_products(rotated, diagonals(giant))
            if total is not None:
                total = self._rotated(total, small)
            total = part if total is None else total if part is None else self._sum(total, part)
        result = self.encrypt_zero(vector.depth + 1)
        if total is not None:
            self._evaluator.rescale_to_next_inplace(total)
            self._evaluator.add_inplace(result, total)
        self._evaluator.add_plain_inplace(result, self.encode(self._spread(linear.offset), vector.depth + 1))
        self._count(result)
        return CkksVector(result, len(linear.offset), vector.depth + 1)

    def add(self, left: CkksVector, right: CkksVector) -> CkksVector:
        """At the deeper level."""
        depth = max(left.depth, right.depth)
        return CkksVector(self._sum(self.lowered(left, depth), self.lowered(right, depth)), left.entries, depth)

    def subtract(self, left: CkksVector, right: CkksVector) -> CkksVector:
        """At the deeper level."""
        depth, result = max(left.depth, right.depth), self.seal.Ciphertext()
        self._evaluator.sub(self.lowered(left, depth), self.lowered(right, depth), result)
        return CkksVector(result, left.entries, depth)

    def shift(self, vector: CkksVector, known: Array) -> CkksVector:
        """Add known numbers."""
        return CkksVector(self.with_plaintext(vector.ciphertext, self.encode(self._spread(as_vector(known)), vector.depth)), *_of(vector))

    def multiply(self, left: CkksVector, right: CkksVector) -> CkksVector:
        """Relinearised, and one prime less."""
        self._check_depth(left, right)
        depth, result = max(left.depth, right.depth), self.seal.Ciphertext()
        self._evaluator.multiply(self.lowered(left, depth), self.lowered(right, depth), result)
        self._evaluator.relinearize_inplace(result, self._relinearisation)
        self._evaluator.rescale_to_next_inplace(result)
        result.scale = SCALE  # the primes differ from 2**60 by less than one part in 10**11
        return CkksVector(result, left.entries, depth + 1)

    def inner(self, left: CkksVector, right: CkksVector) -> CkksVector:
        """The sum goes round the period, so every slot holds it."""
        product = self.multiply(left, right)
        total, step = product.ciphertext, 1
        while step < self.period:
            total = self._sum(total, self._rotated(total, step))
            step *= 2
        return CkksVector(total, 1, product.depth)

    def blur(self, vector: CkksVector, width: float) -> CkksVector:
        """Gaussian of this standard deviation in every slot, real and imaginary part; nobody but who adds it knows it."""
        noise = self.encode(width * complex_normal(SLOTS), vector.depth)
        result = self.encrypt_zero(vector.depth)
        self._evaluator.add_plain_inplace(result, noise)
        self._count(result)
        return CkksVector(self._sum(vector.ciphertext, result), *_of(vector))

    def mask(self, vector: CkksVector) -> CkksVector:
        """A Gaussian polynomial, encrypted at the top level: the same one can be added below and taken off above."""
        widths = [deviation / SCALE * math.sqrt(SLOTS) for deviation in _MASK_DEVIATIONS]
        result = self.encrypt_plaintexts([self.encode(width * complex_normal(SLOTS), 0) for width in widths])
        self._count(result)
        return CkksVector(result, vector.entries, 0)

    # --- what the holder of the key uses as well ---

    def encode(self, values: Any, depth: int, scale: float = SCALE) -> Any:
        """A plaintext at a level."""
        plaintext = self.seal.Plaintext()
        self._encoder.encode(values.tolist(), self._levels[depth], scale, plaintext)
        return plaintext

    def decode(self, plaintext: Any) -> Complex:
        """All slots."""
        return np.array(self._encoder.decode_complex(plaintext), dtype=np.complex128)

    def encrypt_zero(self, depth: int) -> Any:
        """With fresh randomness, at a level."""
        ciphertext = self.seal.Ciphertext()
        self._encryptor.encrypt_zero(self._levels[depth], ciphertext)
        ciphertext.scale = SCALE
        return ciphertext

    def encrypt_plaintexts(self, plaintexts: Sequence[Any]) -> Any:
        """Their sum, at the top level."""
        ciphertext = self.encrypt_zero(0)
        for plaintext in plaintexts:
            self._evaluator.add_plain_inplace(ciphertext, plaintext)
        return ciphertext

    def with_plaintext(self, ciphertext: Any, plaintext: Any, *, subtract: bool = False) -> Any:
        """The ciphertext plus or minus a plaintext of its level."""
        result = self.seal.Ciphertext()
        (self._evaluator.sub_plain if subtract else self._evaluator.add_plain)(ciphertext, plaintext, result)
        return result

    def lowered(self, vector: CkksVector, depth: int) -> Any:
        """The ciphertext at a deeper level; it holds the same polynomial."""
        if vector.depth == depth:
            return vector.ciphertext
        result = self.seal.Ciphertext()
        self._evaluator.mod_switch_to(vector.ciphertext, self._levels[depth], result)
        return result

    def count(self, ciphertext: Any) -> None:
        """Note that it was sent."""
        self._count(ciphertext)

    def _count(self, ciphertext: Any) -> None:
        self.sent += 8 * ciphertext.size() * ciphertext.coeff_modulus_size() * DEGREE

    def _spread(self, values: Array) -> Array:
        if len(values) > self.period:
            raise ScaleBudgetError(f"{len(values)} numbers do not fit a key for {self.period}: make the key for more")
        return np.tile(np.pad(values, (0, self.period - len(values))), SLOTS // self.period)

    def _diagonals(self, linear: CkksMap, depth: int, small: int) -> Any:
        """The plaintexts of a giant step; encoded once a level where they are few, else when they are needed."""

        def of(giant: int) -> list[Any]:
            square = np.zeros((self.period, self.period))
            square[: linear.matrix.shape[0], : linear.matrix.shape[1]] = linear.matrix
            place = np.arange(self.period)
            plaintexts = []
            for k in range(giant * small, (giant + 1) * small):
                diagonal = np.roll(square[place, (place + k) % self.period], giant * small)
                tiled = np.tile(diagonal, SLOTS // self.period)
                plaintexts.append(self.encode(tiled, depth, self._last_primes[depth]) if diagonal.any() else None)
            return plaintexts

        if self.period > _CACHED_DIAGONALS:
            return of
        if depth not in linear.encoded:
            linear.encoded[depth] = [of(giant) for giant in range(self.period // small)]
        return linear.encoded[depth].__getitem__

    def _sum_of_products(self, ciphertexts: Sequence[Any], plaintexts: Sequence[Any]) -> Any:
        total = None
        for ciphertext, plaintext in zip(ciphertexts, plaintexts, strict=True):
            if plaintext is None:  # a diagonal of zeros
                continue
            product = self.seal.Ciphertext()
            self._evaluator.multiply_plain(ciphertext, plaintext, product)
            if total is None:
                total = product
            else:
                self._evaluator.add_inplace(total, product)
        return total

    def _sum(self, left: Any, right: Any) -> Any:
        result = self.seal.Ciphertext()
        self._evaluator.add(left, right, result)
        return result

    def _rotated(self, ciphertext: Any, steps: int) -> Any:
        result = self.seal.Ciphertext()
        self._evaluator.rotate_vector(ciphertext, steps, self._rotations, result)
        return result

    def _check_depth(self, *vectors: CkksVector) -> None:
        if any(vector.depth >= self.depth for vector in vectors):
            raise ScaleBudgetError(f"{self.depth} products in a row are what these parameters bear: refresh the vector first")


class CkksKeyring:
    """The secret key, and what can be done with it."""

    def __init__(self, public: CkksVectors, decryptor: Any) -> None:
        """`public`: of the same key."""
        self._public, self._decryptor = public, decryptor

    def __repr__(self) -> str:
        """Nothing of the key."""
        return f"CkksKeyring({self._public.period} numbers, depth {self._public.depth})"

    @property
    def public(self) -> CkksVectors:
        """What may be shown to everybody."""
        return self._public

    def decrypt(self, vector: CkksVector) -> Array:
        """For the holder's own eyes only: the noise tells of the key."""
        self._public.count(vector.ciphertext)
        return self._read(vector.ciphertext).real[: vector.entries].copy()

    def publish(self, vector: CkksVector, width: float) -> Array:
        """With Gaussian noise of this standard deviation."""
        source = secrets.SystemRandom()
        return self.decrypt(vector) + [source.gauss(0, width) for _ in range(vector.entries)]

    def refresh(self, vector: CkksVector, masks: Sequence[CkksVector]) -> CkksVector:
        """The aggregator adds the masks, the holder reads and encrypts, the aggregator takes the masks off."""
        public = self._public
        if not 0 < len(masks) <= MAXIMUM_MASKS:
            raise TermsError(f"a refresh takes 1 to {MAXIMUM_MASKS} masks, not {len(masks)}")
        masked = vector
        for mask in masks:
            masked = public.add(masked, mask)
        public.count(masked.ciphertext)
        rest, readings = masked.ciphertext, []
        for _ in range(_READINGS):
            reading = self._read(rest)
            rest = public.with_plaintext(rest, public.encode(reading, masked.depth), subtract=True)
            readings.append(public.encode(reading, 0))
        result = CkksVector(public.encrypt_plaintexts(readings), vector.entries, 0)
        public.count(result.ciphertext)
        for mask in masks:
            result = public.subtract(result, mask)
        return CkksVector(result.ciphertext, vector.entries, 0)

    def close(self) -> None:
        """Nothing was started."""

    def _read(self, ciphertext: Any) -> Complex:
        plaintext = self._public.seal.Plaintext()
        self._decryptor.decrypt(ciphertext, plaintext)
        return self._public.decode(plaintext)


def generate(dimension: int, depth: int = 2) -> CkksKeyring:
    """A new key from SEAL's generator, which draws from the operating system.

    Args:
        dimension: the most numbers in a vector, 1 to 8192.
        depth: products in a row, one of `PRIMES`.

    Raises:
        MissingExtraError: TenSEAL is not installed.
        ScaleBudgetError: no parameters of 128-bit security for that are in the table.
    """
    if depth not in PRIMES:
        raise ScaleBudgetError(f"no parameters bear {depth} products in a row; there are some for {', '.join(map(str, PRIMES))}")
    if not 1 <= dimension <= SLOTS:
        raise ScaleBudgetError(f"a CKKS vector holds 1 to {SLOTS} numbers, not {dimension}")
    seal = require("tenseal.sealapi", "ckks")
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    parameters.set_poly_modulus_degree(DEGREE)
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, [PRIME_BITS] * PRIMES[depth]))
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
    if not context.parameters_set():
        raise ScaleBudgetError(f"SEAL refuses the parameters: {context.parameters_error_message()}")
    generator = seal.KeyGenerator(context)
    public, relinearisation, rotations = seal.PublicKey(), seal.RelinKeys(), seal.GaloisKeys()
    generator.create_public_key(public)
    generator.create_relin_keys(relinearisation)
    steps = [1 << bit for bit in range(max(1, period_of(dimension).bit_length() - 1))]
    generator.create_galois_keys([pow(3, step, 2 * DEGREE) for step in steps], rotations)
    vectors = CkksVectors(seal, context, (public, relinearisation, rotations), dimension, depth)
    return CkksKeyring(vectors, seal.Decryptor(context, generator.secret_key()))


def period_of(dimension: int) -> int:
    """The power of two, at least 2, that holds so many numbers."""
    return 1 << max(1, (dimension - 1).bit_length())


def complex_normal(count: int) -> Complex:
    """Independent standard normal real and imaginary parts, from the operating system's randomness (G. Box & M. Muller, 1958)."""
    first, second = np.frombuffer(os.urandom(16 * count), dtype=np.uint64).reshape(2, count)
    radius = np.sqrt(-2 * np.log((first + 1.0) / 2.0**64))
    return np.asarray(radius * np.exp(2j * np.pi * (second / 2.0**64)), dtype=np.complex128)


def _of(vector: CkksVector) -> tuple[int, int]:
    return vector.entries, vector.depth
