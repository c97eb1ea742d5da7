"""Chapter 2: CKKS in one picture: many numbers in one ciphertext, and a little noise in each (Cheon, Kim, Kim & Song, ASIACRYPT 2017).

Eight numbers are the values of a polynomial m of degree below 16 at eight roots of X**16 + 1, scaled and rounded. A ciphertext is

    (c0, c1) = (-a s + e + m, a)   mod (q, X**16 + 1)        a uniform, s and e small

and `c0 + c1 s = m + e`. Sums of ciphertexts are sums in every slot; the product with a known polynomial is one in every slot. The
noise e stays: results are right to some digits, as with floating point. A real one has thousands of slots; sixteen coefficients
protect nothing.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from deltaml_core.lessons.palette import AMBER, TEAL
from deltaml_core.lessons.sheet import Sheet
from deltaml_core.statistics import Array
from deltaml_core.views.charts import Chart

DEGREE = 16
SLOTS = DEGREE // 2
SCALE = 1 << 20
MODULUS = 1 << 60
_NOISE = 3

Polynomial = npt.NDArray[np.object_]
"""Coefficients, lowest first: Python integers, which do not overflow."""

_ROOTS = np.exp(1j * np.pi * (2 * np.arange(SLOTS) + 1) / DEGREE)
_EVALUATE = np.vander(_ROOTS, DEGREE, increasing=True)
"""(slots, degree): coefficients to values at half of the roots; the other half's are their conjugates."""


@dataclass(frozen=True)
class Ciphertext:
    """`c0 + c1 s = m + e`, with m at this scale."""

    c0: Polynomial
    c1: Polynomial
    scale: int


class TinyCkks:
    """A secret key and what can be done with it and without it."""

    def __init__(self) -> None:
        self._secret = _small(1)

    def encrypt(self, values: Array) -> Ciphertext:
        """Eight reals under new randomness."""
        a = np.array([secrets.randbelow(MODULUS) for _ in range(DEGREE)], dtype=object)
        return Ciphertext((encode(values) + _small(_NOISE) - product(a, self._secret)) % MODULUS, a, SCALE)

    def decrypt(self, ciphertext: Ciphertext) -> Array:
        """The eight reals, nearly."""
        noisy = (ciphertext.c0 + product(ciphertext.c1, self._secret)) % MODULUS
        return decode(np.where(noisy > MODULUS // 2, noisy - MODULUS, noisy), ciphertext.scale)


def add(left: Ciphertext, right: Ciphertext) -> Ciphertext:
    """The sum in every slot; both at one scale."""
    return Ciphertext((left.c0 + right.c0) % MODULUS, (left.c1 + right.c1) % MODULUS, left.scale)


def multiply(ciphertext: Ciphertext, values: Array) -> Ciphertext:
    """The product with eight known reals, slot by slot; scales multiply."""
    m = encode(values)
    return Ciphertext(product(ciphertext.c0, m) % MODULUS, product(ciphertext.c1, m) % MODULUS, ciphertext.scale * SCALE)


def encode(values: Array) -> Polynomial:
    """The integer polynomial that has about these values, scaled, at the roots."""
    coefficients = 2 * np.real(_EVALUATE.conj().T @ np.asarray(values, dtype=np.float64)) / DEGREE
    return np.array([round(coefficient * SCALE) for coefficient in coefficients], dtype=object)


def decode(polynomial: Polynomial, scale: int) -> Array:
    """Its values at the roots."""
    return np.asarray(np.real(_EVALUATE @ (polynomial / scale).astype(np.float64)), dtype=np.float64)


def product(left: Polynomial, right: Polynomial) -> Polynomial:
    """In Z[X] mod X**16 + 1: what passes the end comes back with its sign turned."""
    whole = np.convolve(left, right)
    folded = whole[:DEGREE].copy()
    folded[: len(whole) - DEGREE] -= whole[DEGREE:]
    return folded


def ckks_chart() -> Sheet:
    """Eight numbers, times eight known ones, plus eight more, in one ciphertext."""
    key = TinyCkks()
    draw = np.random.default_rng(5)
    x, y, factors = (draw.uniform(-2, 2, SLOTS) for _ in range(3))
    result = key.decrypt(add(multiply(key.encrypt(x), factors), multiply(key.encrypt(y), np.ones(SLOTS))))
    true = x * factors + y
    slots = [f"slot {slot + 1}" for slot in range(SLOTS)]
    traces = [
        go.Bar(x=slots, y=true, name="in the clear", marker={"color": TEAL}),
        go.Scatter(x=slots, y=result, mode="markers", name="decrypted", marker={"color": AMBER, "size": 11, "symbol": "diamond"}),
    ]
    traces[1].customdata = result - true
    traces[1].hovertemplate = "%{y:.8f}<br>off by %{customdata:.1e}<extra></extra>"
    chart = Chart("CKKS: a · x + y in every slot of one ciphertext", "", "value", traces, css="t-ckks", height=320)
    chart.say(f"One ciphertext of two polynomials, {SLOTS} results, each off by at most {np.abs(result - true).max():.0e}.")
    return Sheet([chart])


def _small(bound: int) -> Polynomial:
    return np.array([secrets.randbelow(2 * bound + 1) - bound for _ in range(DEGREE)], dtype=object)
