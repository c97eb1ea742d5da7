"""Paillier's cryptosystem: keys, ciphertext semantics and decryption from phe, encrypted linear algebra of our own.

    [[a]] = (1 + n)**a * r**n mod n**2        P. Paillier, EUROCRYPT 1999

Sums of plaintexts are products of ciphertexts, a multiple is a power, so `[[M a + v]]` is a multi-exponentiation
(`multiexp.py`). What a role computes this way has randomness that is a function of M, which the key holder could test guesses
against; hence every result is multiplied by a fresh encryption of zero before it leaves (protocol.md §2). Those are short
powers `h**a` of a random n-th power `h = (-x**2)**n` (Damgård, Jurik & Nielsen, 2010, §4.2), from a fixed-base table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import gmpy2
import phe
from gmpy2 import mpz
from phe.paillier import generate_paillier_keypair

from deltaml_core.errors import CiphertextError, PublicKeyError, TermsError
from deltaml_core.randomness import SYSTEM, Randomness
from deltaml_core.schemes import modulus_proof
from deltaml_core.schemes.base import Ciphertexts, LinearMap, Opening
from deltaml_core.schemes.multiexp import ExponentMatrix, FixedBase, multiply

SHORT_RANDOMNESS_BITS = 2 * 128 + 64
"""Twice the security level, plus slack: the length of the exponent a in h**a."""

BATCH_BITS = 80
"""Length of the random weights under which several openings are checked as one."""

SMALLEST_KEY_BITS = 128
"""Below this not even the tests' numbers fit."""


class PaillierPublicKey:
    """Everything that can be done with encrypted integers without reading them."""

    scheme = "paillier"

    def __init__(self, modulus: int, randomness: Randomness = SYSTEM) -> None:
        """Make the modulus usable. Each participant makes its own object: `randomness` is its own.

        Raises:
            PublicKeyError: the modulus cannot be a Paillier modulus.
        """
        if modulus.bit_length() < SMALLEST_KEY_BITS or modulus % 2 == 0:
            fault = "even" if modulus % 2 == 0 else f"of {modulus.bit_length()} bits"
            raise PublicKeyError(f"a Paillier modulus is odd and has at least {SMALLEST_KEY_BITS} bits; this one is {fault}")
        self._n = mpz(modulus)
        self._n_squared = self._n * self._n
        self._randomness = randomness

    @property
    def bits(self) -> int:
        """Length of n."""
        return self.modulus.bit_length()

    @property
    def modulus(self) -> int:
        """n."""
        return int(self._n)

    @property
    def capacity(self) -> int:
        """`|a| < 2**capacity < n / 2`: beyond it sums silently wrap around."""
        return self.capacity_of(self.bits)

    @staticmethod
    def capacity_of(bits: int) -> int:
        """The capacity of a modulus of so many bits."""
        return bits - 2

    @cached_property
    def _zeros(self) -> FixedBase:
        """Of an x that this object draws once, for this modulus."""
        drawn = self._randomness.fixed(b"DeltaML short randomness v1" + self._modulus_bytes)
        return self._powers_of(mpz(drawn.randbelow(self.modulus - 2) + 2))

    @cached_property
    def _agreed_zeros(self) -> FixedBase:
        """As `_zeros`, of an x that follows from the modulus."""
        length = (self.bits + SHORT_RANDOMNESS_BITS) // 8
        digest = hashlib.shake_256(b"DeltaML base v1" + self._modulus_bytes).digest(length)
        return self._powers_of(int.from_bytes(digest) % self._n)

    @property
    def _modulus_bytes(self) -> bytes:
        return self.modulus.to_bytes((self.bits + 7) // 8)

    def _powers_of(self, x: mpz) -> FixedBase:
        h = gmpy2.powmod(-x * x % self._n_squared, self._n, self._n_squared)
        return FixedBase(h, self._n_squared, SHORT_RANDOMNESS_BITS)

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """Encrypt signed integers."""
        return self.add_plain(self.zeros(len(values)), values)

    def zeros(self, count: int) -> Ciphertexts:
        """`(1 + n)**0 * 1**n`, `count` times."""
        return (1,) * count

    def prepare(self, matrix: Sequence[Sequence[int]]) -> ExponentMatrix:
        """Recode a matrix of signed integers for `affine`."""
        return ExponentMatrix.recode(matrix)

    def affine(self, linear: LinearMap, offset: Sequence[int], vector: Ciphertexts) -> Ciphertexts:
        """`[[M a + v]]` from `[[a]]`, re-randomised."""
        return self.add_plain(self.combine(linear, vector), offset)

    def combine(self, linear: LinearMap, vector: Ciphertexts) -> Ciphertexts:
        """`[[M a]]`; its randomness is a function of M."""
        assert isinstance(linear, ExponentMatrix)
        return tuple(map(int, multiply(vector, linear, self._n_squared)))

    def scale(self, values: Ciphertexts, factors: Sequence[int]) -> Ciphertexts:
        """`[[f a]]`, entry by entry; negative factors through the inverse."""
        return tuple(int(gmpy2.powmod(value, factor, self._n_squared)) for value, factor in zip(values, factors, strict=True))

    def shift(self, values: Ciphertexts, addends: Sequence[int]) -> Ciphertexts:
        """`[[a + b]]` for known b, with the randomness of `[[a]]`."""
        return tuple(int(value * self._power_of_g(addend) % self._n_squared) for value, addend in zip(values, addends, strict=True))

    def add(self, left: Ciphertexts, right: Ciphertexts) -> Ciphertexts:
        """Entry by entry; the result's randomness is the product of the addends'."""
        return tuple(int(mpz(a) * b % self._n_squared) for a, b in zip(left, right, strict=True))

    def add_plain(self, values: Sequence[int], addends: Sequence[int]) -> Ciphertexts:
        """Add known integers and re-randomise."""
        exponents = [self._randomness.randbits(SHORT_RANDOMNESS_BITS) for _ in values]
        zeros = self._zeros.powers(exponents)
        return tuple(int(value * zero % self._n_squared) for value, zero in zip(self.shift(tuple(values), addends), zeros, strict=True))

    def rerandomise(self, values: Ciphertexts) -> Ciphertexts:
        """The same plaintexts under new randomness."""
        return self.add_plain(values, (0,) * len(values))

    def rerandomise_from(self, seed: bytes, values: Ciphertexts) -> Ciphertexts:
        """The same plaintexts under randomness that follows from a secret seed."""
        length = SHORT_RANDOMNESS_BITS // 8
        stream = hashlib.shake_256(b"DeltaML zeros v1" + seed).digest(length * len(values))
        zeros = self._agreed_zeros.powers([int.from_bytes(stream[start : start + length]) for start in range(0, len(stream), length)])
        return tuple(int(value * zero % self._n_squared) for value, zero in zip(values, zeros, strict=True))

    def check(self, values: Sequence[int], count: int, sender: str) -> Ciphertexts:
        """Refuse what is not `count` units mod n**2: a factor of n among them would break the key or the sum it enters."""
        if len(values) != count:
            raise CiphertextError(f"expected {count} ciphertexts, got {len(values)}", sender)
        product = mpz(1)
        for position, value in enumerate(values):
            if not 0 < value < self._n_squared:
                raise CiphertextError(f"ciphertext {position} of {count} is not between 1 and n**2 - 1", sender)
            product = product * value % self._n
        if gmpy2.gcd(product, self._n) != 1:
            raise CiphertextError(f"one of {count} ciphertexts is not coprime with the modulus", sender)
        return tuple(values)

    def verify(self, ciphertext: int, opening: Opening) -> bool:
        """Whether `c = (1 + n)**plaintext * r**n mod n**2`: one exponentiation."""
        if not 0 < opening.randomness < self._n:
            return False
        nth_power = gmpy2.powmod(opening.randomness, self._n, self._n_squared)
        return bool(self._power_of_g(opening.plaintext) * nth_power % self._n_squared == ciphertext)

    def verify_all(self, ciphertexts: Ciphertexts, openings: Sequence[Opening]) -> bool:
        """Whether a random combination of them holds (Bellare, Garay & Rabin, EUROCRYPT 1998).

        What is not 1 although its powers may be has small order, so it holds 0 and bends no plaintext; the weights are odd against -1.
        """
        fitting = len(ciphertexts) == len(openings) and all(0 < opening.randomness < self._n for opening in openings)
        if not fitting or any(gmpy2.gcd(opening.randomness, self._n) != 1 for opening in openings):
            return False
        if not openings:
            return True
        weights = [SYSTEM.randbits(BATCH_BITS) | 1 for _ in openings]  # nobody may foresee them, and nothing is sent that holds them
        (combined,) = self.combine(self.prepare([weights]), ciphertexts)
        randomness = multiply([opening.randomness for opening in openings], self.prepare([weights]), self._n)[0]
        plaintext = sum(weight * opening.plaintext for weight, opening in zip(weights, openings, strict=True))
        return self.verify(combined, Opening(plaintext, int(randomness)))

    def check_modulus(self, bits: int, proof: Sequence[int]) -> None:
        """Refuse a modulus of another length or without proof that it is fit."""
        modulus_proof.check(self.modulus, bits, proof)

    def _power_of_g(self, exponent: int) -> mpz:
        """`(1 + n)**exponent = 1 + n * exponent mod n**2`."""
        return 1 + self._n * (exponent % self._n)


class PaillierPrivateKey:
    """The factorisation of n. It stays in the Model Buyer's process; `repr` shows nothing of it."""

    def __init__(self, key: phe.PaillierPrivateKey, randomness: Randomness = SYSTEM) -> None:
        """Wrap phe's private key; `randomness` is what it encrypts with."""
        self._key = key
        self._randomness = randomness
        self._public = PaillierPublicKey(key.public_key.n, randomness)
        self._p_squared, self._q_squared = mpz(key.p) ** 2, mpz(key.q) ** 2
        self._n_squared = self._p_squared * self._q_squared
        self._q_inverse = gmpy2.invert(key.q, key.p)
        self._roots = [(mpz(prime), gmpy2.invert(key.public_key.n, prime - 1)) for prime in (key.p, key.q)]
        self._q_squared_inverse = gmpy2.invert(self._q_squared, self._p_squared)

    @classmethod
    def generate(cls, bits: int) -> PaillierPrivateKey:
        """A new key from the system's randomness.

        Raises:
            TermsError: an odd length, or one too short for anything.
        """
        if bits < SMALLEST_KEY_BITS or bits % 2:
            raise TermsError(f"a Paillier key has an even length of at least {SMALLEST_KEY_BITS} bits, not {bits}; 2048 is the default")
        _, key = generate_paillier_keypair(n_length=bits)
        return cls(key)

    def __repr__(self) -> str:
        """The length only."""
        return f"PaillierPrivateKey({self._public.bits} bits)"

    @property
    def public(self) -> PaillierPublicKey:
        """The key that may be shown to everybody."""
        return self._public

    def drawing_from(self, randomness: Randomness) -> PaillierPrivateKey:
        """The same key with another source of randomness."""
        return PaillierPrivateKey(self._key, randomness)

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """Encrypt with uniform randomness: an n-th power mod p**2 is an s**p, and likewise for q."""
        n = self._public.modulus
        return tuple(int((1 + n * (value % n)) * self._random_nth_power() % self._n_squared) for value in values)

    def decrypt(self, values: Ciphertexts) -> list[int]:
        """The signed integers, above n / 2 negative. In this process alone: the factors are sent to no worker."""
        n = self._public.modulus
        plaintexts = (self._key.raw_decrypt(value) for value in values)
        return [int(plaintext) - n if plaintext > n // 2 else int(plaintext) for plaintext in plaintexts]

    def open(self, values: Ciphertexts) -> list[Opening]:
        """The signed integers with their randomness, `r = c**(1/n) mod n`, each checked before it is shown.

        A fault in the computation by halves would otherwise reveal a factor of n (Boneh, DeMillo & Lipton, 1997).

        Raises:
            PublicKeyError: the check failed; nothing was shown.
        """
        openings = []
        for value, plaintext in zip(values, self.decrypt(values), strict=True):
            halves = [gmpy2.powmod(value, exponent, prime) for prime, exponent in self._roots]
            p, q = (prime for prime, _ in self._roots)
            opening = Opening(plaintext, int(halves[1] + q * ((halves[0] - halves[1]) * self._q_inverse % p)))
            if not self._holds(value, opening):
                raise PublicKeyError("an opening did not pass its own check, so it was not shown: this machine computes wrongly")
            openings.append(opening)
        return openings

    def prove_modulus(self) -> tuple[int, ...]:
        """The n-th roots of challenges (`modulus_proof.py`)."""
        return modulus_proof.prove(self._key.p, self._key.q)

    def secret(self) -> bytes:
        """p and q, each in half the modulus's bytes."""
        length = (self._public.bits + 15) // 16
        return int(self._key.p).to_bytes(length) + int(self._key.q).to_bytes(length)

    @classmethod
    def from_secret(cls, secret: bytes) -> PaillierPrivateKey:
        """The key that `secret` wrote."""
        half = len(secret) // 2
        p, q = int.from_bytes(secret[:half]), int.from_bytes(secret[half:])
        return cls(phe.PaillierPrivateKey(phe.PaillierPublicKey(p * q), p, q))

    def _holds(self, value: int, opening: Opening) -> bool:
        """`PaillierPublicKey.verify` by halves, which is four times as fast."""
        n = self._public.modulus
        return all(
            (1 + n * (opening.plaintext % n)) * gmpy2.powmod(opening.randomness, n, square) % square == value % square
            for square in (self._p_squared, self._q_squared)
        )

    def _random_nth_power(self) -> mpz:
        p, q = mpz(self._key.p), mpz(self._key.q)
        mod_p = gmpy2.powmod(self._randomness.randbelow(int(p) - 1) + 1, p, self._p_squared)
        mod_q = gmpy2.powmod(self._randomness.randbelow(int(q) - 1) + 1, q, self._q_squared)
        return mod_q + self._q_squared * ((mod_p - mod_q) * self._q_squared_inverse % self._p_squared)
