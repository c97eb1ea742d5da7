"""Chapter 2: Paillier's cryptosystem with a key of twelve bits, every number on the page (P. Paillier, EUROCRYPT 1999).

    n = p q        g = n + 1        [[a]] = g**a * r**n mod n**2        a = L(c**lambda mod n**2) * mu mod n,  L(x) = (x - 1) / n

It is the arithmetic of `schemes/paillier.py` with nothing hidden and nothing fast. It protects nothing: 2537 is factored in one's head.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from functools import cached_property

import ipywidgets as widgets
import plotly.graph_objects as go

from deltaml_core.errors import PublicKeyError, TermsError
from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.palette import AMBER, TEAL
from deltaml_core.lessons.sheet import Sheet, fill, on_change, sheet_of_rows, whole_slider
from deltaml_core.views.charts import Chart
from deltaml_core.views.table import Cell, Table


@dataclass(frozen=True)
class TinyPaillier:
    """A key pair small enough for paper: python-paillier's tests use 43 * 59 = 2537 as well.

    Laws, for a and b within -n/2 < a, b, a + b, k a < n/2:
        decrypt(encrypt(a, r)) == a                             for every r coprime with n
        decrypt(encrypt(a, r) * encrypt(b, s) % n**2) == a + b
        decrypt(encrypt(a, r)**k % n**2) == k a
    """

    p: int = 43
    q: int = 59

    def __post_init__(self) -> None:
        """Refuse what is no key.

        Raises:
            PublicKeyError: p and q are equal or not prime, or n shares a factor with (p - 1)(q - 1).
        """
        if self.p == self.q or not (_is_prime(self.p) and _is_prime(self.q)):
            raise PublicKeyError(f"p and q must be two different primes, not {self.p} and {self.q}")
        if math.gcd(self.n, (self.p - 1) * (self.q - 1)) != 1:
            raise PublicKeyError(f"{self.n} shares a factor with (p - 1)(q - 1): choose primes of about the same length")

    @property
    def n(self) -> int:
        """The public key."""
        return self.p * self.q

    @property
    def n_squared(self) -> int:
        """Ciphertexts are smaller than this."""
        return self.n**2

    @property
    def g(self) -> int:
        """Its powers are simple: `(1 + n)**a = 1 + n a mod n**2`."""
        return self.n + 1

    @cached_property
    def lam(self) -> int:
        """The secret key: the least common multiple of p - 1 and q - 1."""
        return math.lcm(self.p - 1, self.q - 1)

    @cached_property
    def mu(self) -> int:
        """Its inverse mod n."""
        return pow(self.lam, -1, self.n)

    def randomness(self) -> int:
        """A number from 1 to n - 1 that has no factor in common with n."""
        while math.gcd(r := secrets.randbelow(self.n - 1) + 1, self.n) != 1:
            continue
        return r

    def encrypt(self, a: int, r: int | None = None) -> int:
        """`[[a]]` under this randomness, or new one.

        Raises:
            TermsError: a does not lie between -n/2 and n/2, or r has a factor in common with n.
        """
        if not -self.n < 2 * a < self.n:
            raise TermsError(f"{a} does not lie between {-(self.n // 2)} and {self.n // 2}")
        r = self.randomness() if r is None else r
        if math.gcd(r, self.n) != 1:
            raise TermsError(f"{r} has a factor in common with {self.n}: choose another randomness")
        return pow(self.g, a, self.n_squared) * pow(r, self.n, self.n_squared) % self.n_squared

    def decrypt(self, c: int) -> int:
        """The signed integer."""
        return self.signed((pow(c, self.lam, self.n_squared) - 1) // self.n * self.mu % self.n)

    def signed(self, a: int) -> int:
        """Above n/2 begin the negative numbers."""
        return a - self.n if 2 * a > self.n else a


def key_table(key: TinyPaillier) -> Sheet:
    """Every number of a key, who knows it, and where it comes from."""
    rows = [
        ("p, q", f"{key.p}, {key.q}", "secret", "two primes"),
        ("n", key.n, "public", "p · q"),
        ("n²", key.n_squared, "public", "n · n: ciphertexts are smaller than this"),
        ("g", key.g, "public", "n + 1"),
        ("λ", key.lam, "secret", f"least common multiple of {key.p - 1} and {key.q - 1}"),
        ("μ", key.mu, "secret", f"inverse of λ: {key.lam} · {key.mu} = 1 mod {key.n}"),
    ]
    return sheet_of_rows("A key by hand", ["name", "value", "who knows it", "where it comes from"], rows, numeric=[1], css="t-key")


class LockAndUnlock(Sheet):
    """A number locked and unlocked, step by step; number and randomness can be moved."""

    def __init__(self, key: TinyPaillier) -> None:
        """`key`: both halves."""
        self.key = key
        half = key.n // 2
        self.number = whole_slider("number a", 42, -half, half)
        self.random = whole_slider("randomness r", 17, 1, key.n - 1)
        self.table = Table("Locking and unlocking", ["step", "formula", "value"], css="t-lock")
        on_change([self.number, self.random], self.show)
        super().__init__([self.number, self.random, self.table])
        self.show()

    def show(self) -> None:
        """Work it out for the sliders as they stand."""
        key, a, r = self.key, self.number.value, self.random.value
        if math.gcd(r, key.n) != 1:
            fill(self.table, [("randomness", f"{r} has a factor in common with n", "choose another")])
            return
        c = key.encrypt(a, r)
        power = pow(c, key.lam, key.n_squared)
        rest = (power - 1) // key.n
        rows = [
            ("the number's part", f"gᵃ mod n² = {key.g}^{a}", pow(key.g, a, key.n_squared)),
            ("the randomness's part", f"rⁿ mod n² = {r}^{key.n}", pow(r, key.n, key.n_squared)),
            ("locked", "c = gᵃ · rⁿ mod n²", Cell(str(c), tone="call", numeric=True)),
            ("with the secret key", f"c^λ mod n² = {c}^{key.lam}", power),
            ("the randomness is gone", f"L = ({power} − 1) / n", rest),
            ("unlocked", f"L · μ mod n = {rest} · {key.mu}", Cell(str(rest * key.mu % key.n), numeric=True)),
            ("with its sign", "above n/2 numbers are negative", Cell(str(key.decrypt(c)), tone="good", sign="✓", numeric=True)),
        ]
        fill(self.table, rows, numeric=[2])


class Laws(Sheet):
    """What can be done to locked numbers without the secret key; a, b and k can be moved."""

    def __init__(self, key: TinyPaillier) -> None:
        """`key`: its secret half is used for the last column only."""
        self.key = key
        self.a = whole_slider("a", 120, -400, 400)
        self.b = whole_slider("b", -75, -400, 400)
        self.k = whole_slider("k", 3, -3, 3)
        self.table = Table("Three laws", ["done to ciphertexts", "value", "unlocked", "should be"], css="t-laws")
        again = widgets.Button(description="New randomness")
        again.on_click(lambda _: self.show())
        on_change([self.a, self.b, self.k], self.show)
        super().__init__([self.a, self.b, self.k, again, self.table])
        self.show()

    def results(self) -> list[tuple[str, int, int]]:
        """For each law: what was done, the ciphertext it gave, and what it should hold."""
        key, a, b, k = self.key, self.a.value, self.b.value, self.k.value
        first, second = key.encrypt(a), key.encrypt(b)
        modulus = key.n_squared
        return [
            ("[[a]] · [[b]] mod n²", first * second % modulus, a + b),
            ("[[a]] · gᵇ mod n²", first * pow(key.g, b, modulus) % modulus, a + b),
            ("[[a]]ᵏ mod n²", pow(first, k, modulus), k * a),
        ]

    def show(self) -> None:
        """Check the laws on new ciphertexts."""
        rows = []
        for done, ciphertext, expected in self.results():
            found = self.key.decrypt(ciphertext)
            holds = found == expected
            verdict = Cell(str(found), tone="good" if holds else "bad", sign="✓" if holds else "✗", numeric=True)
            rows.append((done, ciphertext, verdict, expected))
        fill(self.table, rows, numeric=[1, 2, 3])


def same_number_often(key: TinyPaillier, a: int = 42, times: int = 300) -> Sheet:
    """One number locked again and again."""
    ciphertexts = [key.encrypt(a) for _ in range(times)]
    bare = pow(key.g, a, key.n_squared)
    traces = [
        go.Scatter(x=list(range(times)), y=ciphertexts, mode="markers", name="with fresh randomness", marker={"color": TEAL, "size": 5}),
        go.Scatter(x=[0, times - 1], y=[bare, bare], mode="lines", name="without randomness", line={"color": AMBER, "width": 2.5}),
    ]
    chart = Chart(f"The number {a}, locked {times} times", "which time", "ciphertext", traces, css="t-often")
    distinct = f"{len(set(ciphertexts))} different ciphertexts of one number."
    chart.say(f"{distinct} Without randomness it would be {bare} every time: whoever guesses {a} knows.")
    return Sheet([chart])


def addition_exercise(key: TinyPaillier) -> Exercise:
    """Average three locked numbers without unlocking one of them."""
    return Exercise(
        [4 * 100 + 2 * 150 - 30],
        "powers and products of ciphertexts are multiples and sums of what they hold; the weights never met the secret key.",
        "Multiples of a locked number are powers of its ciphertext, sums are products. Unlock once, at the end.",
        tolerance=0,
    )


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))
