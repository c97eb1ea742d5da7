"""What an additively homomorphic scheme offers to the roles: linear algebra on integers nobody but the key holder can read.

Ciphertexts are integers here, so that every role, message and transport handles them alike. Each scheme is one file of
this folder with two classes that satisfy the protocols below; `schemes.generate` makes a pair by name.

Laws, for a key pair `(public, private)` and integers within `public.capacity` bits, results included:
    private.decrypt(public.encrypt(a)) == a
    private.decrypt(public.add([[a]], [[b]])) == a + b
    private.decrypt(public.affine(M, v, [[a]])) == M a + v
    public.rerandomise([[a]]) decrypts to a, and without the key is as unpredictable as a fresh encryption
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deltaml_core.randomness import Randomness

Ciphertexts = tuple[int, ...]


@dataclass(frozen=True)
class Opening:
    """What a ciphertext holds, with proof (protocol.md §7).

    Attributes:
        plaintext: the signed integer.
        randomness: r with `c = (1 + n)**plaintext * r**n mod n**2`; 1 where nothing is encrypted.
    """

    plaintext: int
    randomness: int


class LinearMap(Protocol):
    """An integer matrix prepared for repeated products with encrypted vectors."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""


class PublicKey(Protocol):
    """What everybody but the key holder works with. Every result that leaves its owner must come from a method marked *fresh*."""

    scheme: str

    @property
    def bits(self) -> int:
        """Length of the key as the terms state it."""

    @property
    def modulus(self) -> int:
        """The number that identifies the key on the wire and on chain."""

    @property
    def capacity(self) -> int:
        """Integers strictly between -2**capacity and 2**capacity are held without wrapping around."""

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """Encrypt signed integers. *Fresh.*"""

    def zeros(self, count: int) -> Ciphertexts:
        """Zeros that everybody recognises as such: without randomness. Not fresh."""

    def prepare(self, matrix: Sequence[Sequence[int]], reference: Sequence[Sequence[int]] | None = None) -> LinearMap:
        """Precompute what a matrix of signed integers needs for `affine`.

        Args:
            matrix: (rows, columns) signed integers.
            reference: for a secret matrix, a public one of the same shape: products take as long as with that, whatever the secret is.
        """

    def affine(self, linear: LinearMap, offset: Sequence[int], vector: Ciphertexts) -> Ciphertexts:
        """`[[M a + v]]` from `[[a]]`. *Fresh.*"""

    def combine(self, linear: LinearMap, vector: Ciphertexts) -> Ciphertexts:
        """`[[M a]]`. Not fresh."""

    def scale(self, values: Ciphertexts, factors: Sequence[int]) -> Ciphertexts:
        """`[[f a]]`, entry by entry. Not fresh."""

    def shift(self, values: Ciphertexts, addends: Sequence[int]) -> Ciphertexts:
        """`[[a + b]]` for known b. Not fresh."""

    def add(self, left: Ciphertexts, right: Ciphertexts) -> Ciphertexts:
        """Entry by entry. Not fresh."""

    def add_plain(self, values: Ciphertexts, addends: Sequence[int]) -> Ciphertexts:
        """Add known integers. *Fresh.*"""

    def rerandomise(self, values: Ciphertexts) -> Ciphertexts:
        """The same plaintexts under new randomness. *Fresh.*"""

    def rerandomise_from(self, seed: bytes, values: Ciphertexts) -> Ciphertexts:
        """The same plaintexts under randomness that follows from a secret seed: who is shown the seed can check what was done.

        *Fresh* for everybody else, if a seed is used for one purpose only and never again.
        """

    def check(self, values: Sequence[int], count: int, sender: str) -> Ciphertexts:
        """Validate numbers that arrived: their count, range and that they are units.

        Raises:
            CiphertextError: naming the sender, the position and the fault.
        """

    def verify(self, ciphertext: int, opening: Opening) -> bool:
        """Whether the ciphertext holds what the opening says."""

    def verify_all(self, ciphertexts: Ciphertexts, openings: Sequence[Opening]) -> bool:
        """Whether all of them hold, for the price of one, where plaintexts are checked for their range as well.

        A wrong one passes with probability about 1 / p for the smallest factor p of the modulus (2**-79 for an honest one), and
        then it is off by a multiple of n / p, which is beyond any range.
        """

    def check_modulus(self, bits: int, proof: Sequence[int]) -> None:
        """Refuse a modulus of another length or without proof that it is fit (protocol.md §0).

        Raises:
            PublicKeyError: saying what is wrong with it.
        """


class PrivateKey(Protocol):
    """What the Model Buyer alone holds."""

    @property
    def public(self) -> PublicKey:
        """The key that may be shown to everybody."""

    def drawing_from(self, randomness: Randomness) -> PrivateKey:
        """The same key, its randomness and its public key's from there."""

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """Encrypt signed integers with full fresh randomness, faster than the public key can."""

    def decrypt(self, values: Ciphertexts) -> list[int]:
        """The signed integers."""

    def open(self, values: Ciphertexts, below: int | None = None) -> list[Opening]:
        """The signed integers with proof.

        Only for what is meant to be public, and only of ciphertexts that somebody else re-randomised last (protocol.md §7).

        Args:
            values: the ciphertexts.
            below: where every magnitude should be less than this, far below the modulus, that is check enough, and faster.
        """

    def open_zero(self, value: int) -> Opening | None:
        """As `open`, of one that should hold 0; None when it holds anything else, of which nothing is shown."""

    def prove_modulus(self) -> tuple[int, ...]:
        """What `check_modulus` asks for."""

    def secret(self) -> bytes:
        """The key itself, for its holder's vault and nothing else; `schemes.private_key` reads it."""
