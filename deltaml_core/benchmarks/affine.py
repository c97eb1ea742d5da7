"""An encrypted affine map, ours beside one exponentiation a product."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import gmpy2
import numpy as np
from gmpy2 import mpz

from deltaml_core import fixedpoint
from deltaml_core.benchmarks.measure import Measurement, Stopwatch, WrongResultError
from deltaml_core.schemes.base import Ciphertexts, PrivateKey
from deltaml_core.schemes.pairs import invert_all, join, split

FRACTIONAL_BITS = 32


def affine_map(key: PrivateKey, dimension: int, repetitions: int) -> Measurement:
    """CPU milliseconds of `[[M a + v]]`, d x d, every output re-randomised; M's entries are uniform in [-1, 1].

    Both ways re-randomise alike; what is prepared once for a whole run (our recoding of M, the table of random powers) is not
    counted, neither is decryption.

    Raises:
        WrongResultError: one of the two does not decrypt to `M a + v`.
    """
    public = key.public
    matrix = np.random.default_rng(dimension).uniform(-1, 1, (dimension, dimension))
    exponents = [fixedpoint.encode_array(row, FRACTIONAL_BITS) for row in matrix]
    values = [secrets.randbits(2 * FRACTIONAL_BITS) for _ in range(dimension)]
    offset = [secrets.randbits(3 * FRACTIONAL_BITS) for _ in range(dimension)]
    vector = key.encrypt(values)
    watch = Stopwatch()
    linear = watch.time("recoding", lambda: public.prepare(exponents))
    public.rerandomise(vector[:1])  # makes the table of random powers

    ours: Ciphertexts = ()
    theirs: Ciphertexts = ()
    for _ in range(repetitions):
        ours = watch.time("ours", lambda: public.affine(linear, offset, vector))
        theirs = watch.time("theirs", lambda: public.add_plain(one_power_a_product(exponents, vector, public.modulus), offset))
    expected = [sum(e * a for e, a in zip(row, values, strict=True)) + v for row, v in zip(exponents, offset, strict=True)]
    if not key.decrypt(ours) == key.decrypt(theirs) == expected:
        raise WrongResultError(f"an encrypted affine map of {dimension} x {dimension} does not decrypt to what it should")
    return Measurement(
        f"affine_map_{dimension}",
        1000 * watch.median("ours"),
        "CPU ms",
        public.bits,
        1000 * watch.median("theirs"),
        f"one encrypted {dimension} x {dimension} affine map with {FRACTIONAL_BITS} fractional bits, re-randomised, against one "
        f"gmpy2.powmod a product and one inversion a base; median of {repetitions}. "
        f"Recoding the matrix, once a run, takes {1000 * watch.total('recoding'):.0f} ms",
    )


def one_power_a_product(exponents: Sequence[Sequence[int]], vector: Ciphertexts, modulus: int) -> Ciphertexts:
    """`prod_j vector[j] ** exponents[i][j] mod modulus**2` for every row i, each power by itself."""
    n, m = mpz(modulus), mpz(modulus) ** 2
    pairs = [split(mpz(base), n) for base in vector]
    bases = [(mpz(base), join(inverse, n)) for base, inverse in zip(vector, invert_all(pairs, n), strict=True)]
    products = []
    for row in exponents:
        product = mpz(1)
        for (base, inverse), exponent in zip(bases, row, strict=True):
            product = product * gmpy2.powmod(inverse if exponent < 0 else base, abs(exponent), m) % m
        products.append(int(product))
    return tuple(products)
