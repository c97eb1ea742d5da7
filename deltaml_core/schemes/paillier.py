"""Paillier's cryptosystem: keys, ciphertext semantics and decryption from phe, encrypted linear algebra of our own.

    [[a]] = (1 + n)**a * r**n mod n**2        P. Paillier, EUROCRYPT 1999

Sums of plaintexts are products of ciphertexts, a multiple is a power, so `[[M a + v]]` is a multi-exponentiation
(`multiexp.py`). What a role computes this way has randomness that is a function of M, which the key holder could test guesses
against; hence every result is multiplied by a fresh encryption of zero before it leaves (protocol.md §2). Those are short
powers `h**a` of a random n-th power `h = (-x**2)**n` (Damgård, Jurik & Nielsen, 2010, §4.2), from a fixed-base table.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from functools import cached_property

import gmpy2
import phe
from gmpy2 import mpz
from phe.paillier import generate_paillier_keypair

from deltaml_core.errors import CiphertextError, PublicKeyError, TermsError
from deltaml_core.randomness import SYSTEM, Draws, Randomness
from deltaml_core.schemes import modulus_proof
from deltaml_core.schemes.base import Ciphertexts, LinearMap, Opening
from deltaml_core.schemes.levelling import LevelMatrix
from deltaml_core.schemes.multiexp import ExponentMatrix, FixedBase, multiply
from deltaml_core.schemes.pool import ZeroPool
from deltaml_core.schemes.powers import PowersModulo

_SECURITY_LEVELS = ((15360, 256), (7680, 192), (3072, 128), (0, 112))
"""Bits of security of a modulus of at least so many bits (NIST SP 800-57, part 1, table 2); for the tests' short ones that of 2048 bits."""

_SLACK_BITS = 64

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
        self._pool: ZeroPool | None = None

    def with_pool(self, size: int) -> tuple[PaillierPublicKey, ZeroPool]:
        """The same key over the same tables, whose `encrypt`, `affine`, `add_plain` and `rerandomise` take the pool's factors first."""
        table = self._zeros
        stocked = copy.copy(self)
        stocked._pool = ZeroPool(lambda: table.power(SYSTEM.randbits(self.short_randomness_bits)), size)
        return stocked, stocked._pool

    @property
    def bits(self) -> int:
        """Length of n."""
        return self.modulus.bit_length()

    @property
    def short_randomness_bits(self) -> int:
        """Length of the exponent a in h**a: twice the security level, plus slack."""
        return 2 * next(level for bits, level in _SECURITY_LEVELS if self.bits >= bits) + _SLACK_BITS

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
    def _powers(self) -> PowersModulo:
        return PowersModulo(int(self._n_squared))

    @cached_property
    def _zeros(self) -> FixedBase:
        """Of an x that this object draws once, for this modulus."""
        drawn = self._randomness.fixed(b"DeltaML short randomness v1" + self._modulus_bytes)
        return self._powers_of(mpz(drawn.randbelow(self.modulus - 2) + 2))

    @cached_property
    def _agreed_zeros(self) -> FixedBase:
        """As `_zeros`, of an x that follows from the modulus."""
        length = (self.bits + self.short_randomness_bits) // 8
        digest = hashlib.shake_256(b"DeltaML base v1" + self._modulus_bytes).digest(length)
        return self._powers_of(int.from_bytes(digest) % self._n)

    @property
    def _modulus_bytes(self) -> bytes:
        return self.modulus.to_bytes((self.bits + 7) // 8)

    def _powers_of(self, x: mpz) -> FixedBase:
        h = self._powers.public_power(-x * x % self._n_squared, self._n)
        return FixedBase(h, self._n, self.short_randomness_bits)

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """Encrypt signed integers."""
        return self.add_plain(self.zeros(len(values)), values)

    def zeros(self, count: int) -> Ciphertexts:
        """`(1 + n)**0 * 1**n`, `count` times."""
        return (1,) * count

    def prepare(self, matrix: Sequence[Sequence[int]], reference: Sequence[Sequence[int]] | None = None) -> ExponentMatrix | LevelMatrix:
        """Recode a matrix of signed integers for `affine`; with a reference so that its products take as long as that one's."""
        return ExponentMatrix.recode(matrix) if reference is None else LevelMatrix.recode(matrix, reference)

    def affine(self, linear: LinearMap, offset: Sequence[int], vector: Ciphertexts) -> Ciphertexts:
        """`[[M a + v]]` from `[[a]]`, re-randomised."""
        return self.add_plain(self.combine(linear, vector), offset)

    def combine(self, linear: LinearMap, vector: Ciphertexts) -> Ciphertexts:
        """`[[M a]]`; its randomness is a function of M."""
        if isinstance(linear, LevelMatrix):
            return tuple(map(int, linear.multiply(vector, self._n)))
        assert isinstance(linear, ExponentMatrix)
        return tuple(map(int, multiply(vector, linear, self._n)))

    def scale(self, values: Ciphertexts, factors: Sequence[int]) -> Ciphertexts:
        """`[[f a]]`, entry by entry; but for 1 and -1 in the same time for all factors of as many machine words."""
        scaled = []
        for value, factor in zip(values, factors, strict=True):
            base = gmpy2.invert(value, self._n_squared) if factor < 0 else mpz(value)
            scaled.append(int(base if abs(factor) == 1 else self._powers.secret_power(base, abs(factor))))
        return tuple(scaled)

    def shift(self, values: Ciphertexts, addends: Sequence[int]) -> Ciphertexts:
        """`[[a + b]]` for known b, with the randomness of `[[a]]`."""
        return tuple(int(value * self._power_of_g(addend) % self._n_squared) for value, addend in zip(values, addends, strict=True))

    def add(self, left: Ciphertexts, right: Ciphertexts) -> Ciphertexts:
        """Entry by entry; the result's randomness is the product of the addends'."""
        return tuple(int(mpz(a) * b % self._n_squared) for a, b in zip(left, right, strict=True))

    def add_plain(self, values: Sequence[int], addends: Sequence[int]) -> Ciphertexts:
        """Add known integers and re-randomise."""
        zeros = [] if self._pool is None else self._pool.take(len(values))
        zeros += self._zeros.powers([self._randomness.randbits(self.short_randomness_bits) for _ in values[len(zeros) :]])
        return tuple(int(value * zero % self._n_squared) for value, zero in zip(self.shift(tuple(values), addends), zeros, strict=True))

    def rerandomise(self, values: Ciphertexts) -> Ciphertexts:
        """The same plaintexts under new randomness."""
        return self.add_plain(values, (0,) * len(values))

    def rerandomise_from(self, seed: bytes, values: Ciphertexts) -> Ciphertexts:
        """The same plaintexts under randomness that follows from a secret seed."""
        length = self.short_randomness_bits // 8
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
        if not 0 < opening.randomness < self._n or gmpy2.gcd(opening.randomness, self._n) != 1:
            return False
        nth_power = self._powers.public_power(opening.randomness, self._n)
        return bool(self._power_of_g(opening.plaintext) * nth_power % self._n_squared == ciphertext)

    def verify_all(self, ciphertexts: Ciphertexts, openings: Sequence[Opening]) -> bool:
        """Whether a random combination of them holds (Bellare, Garay & Rabin, EUROCRYPT 1998).

        What is not 1 although its powers may be has small order, so it holds 0 and bends no plaintext; the weights are odd against -1.
        """
        if len(ciphertexts) != len(openings) or not all(0 < opening.randomness < self._n for opening in openings):
            return False
        if len(openings) <= 1:
            return all(map(self.verify, ciphertexts, openings))
        weights = [SYSTEM.randbits(BATCH_BITS) | 1 for _ in openings]  # nobody may foresee them, and nothing is sent that holds them
        (combined,) = self.combine(self.prepare([weights]), ciphertexts)
        randomness = mpz(1)
        for weight, opening in zip(weights, openings, strict=True):
            randomness = randomness * gmpy2.powmod(opening.randomness, weight, self._n) % self._n
        plaintext = sum(weight * opening.plaintext for weight, opening in zip(weights, openings, strict=True))
        return self.verify(combined, Opening(plaintext, int(randomness)))

    def check_modulus(self, bits: int, proof: Sequence[int]) -> None:
        """Refuse a modulus of another length or without proof that it is fit."""
        modulus_proof.check(self.modulus, bits, proof)

    def _power_of_g(self, exponent: int) -> mpz:
        """`(1 + n)**exponent = 1 + n * exponent mod n**2`."""
        return 1 + self._n * (exponent % self._n)


class PaillierPrivateKey:
    """The factorisation of n. It stays in the Model Buyer's process; `repr` shows nothing of it.

    Powers to exponents that tell the factors take as long, and the same memory, whatever the exponent (`powers.py`).
    """

    def __init__(self, key: phe.PaillierPrivateKey, randomness: Randomness = SYSTEM) -> None:
        """Wrap phe's private key; `randomness` is what it encrypts with."""
        self._key = key
        self._randomness = randomness
        self._pool: ZeroPool | None = None
        self._public = PaillierPublicKey(key.public_key.n, randomness)
        p, q = self._primes = mpz(key.p), mpz(key.q)
        self._squares = p**2, q**2
        self._powers = [PowersModulo(prime) for prime in self._primes]
        self._powers_squared = [PowersModulo(square) for square in self._squares]
        self._n_squared = mpz(key.public_key.n) ** 2
        self._factors = mpz(key.hp), mpz(key.hq)
        self._q_inverse = gmpy2.invert(q, p)
        self._roots = [gmpy2.invert(key.public_key.n, prime - 1) for prime in self._primes]
        self._q_squared_inverse = gmpy2.invert(q**2, p**2)

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
        """The same key with another source of randomness, and the same pool."""
        other = PaillierPrivateKey(self._key, randomness)
        other._pool = self._pool
        return other

    def with_pool(self, size: int) -> tuple[PaillierPrivateKey, ZeroPool]:
        """The same key, whose `encrypt` takes the pool's n-th powers first."""
        stocked = copy.copy(self)
        stocked._pool = ZeroPool(lambda: self._random_nth_power(SYSTEM), size)
        return stocked, stocked._pool

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """Encrypt with uniform randomness: an n-th power mod p**2 is an s**p, and likewise for q."""
        n = self._public.modulus
        zeros = [] if self._pool is None else self._pool.take(len(values))
        zeros += [self._random_nth_power(self._randomness) for _ in values[len(zeros) :]]
        return tuple(int((1 + n * (value % n)) * zero % self._n_squared) for value, zero in zip(values, zeros, strict=True))

    def decrypt(self, values: Ciphertexts) -> list[int]:
        """The signed integers, above n / 2 negative. In this process alone: the factors are sent to no worker."""
        return [self._signed(self._decrypt(mpz(value))) for value in values]

    def _signed(self, plaintext: mpz) -> int:
        n = self._public.modulus
        return int(plaintext) - n if plaintext > n // 2 else int(plaintext)

    def _decrypt(self, value: mpz) -> mpz:
        """`L_p(c**(p-1) mod p**2) h_p mod p`, and likewise for q (Paillier 1999, §7)."""
        return self._join(
            *(
                (powers.secret_power(value, prime - 1) - 1) // prime * factor % prime
                for prime, powers, factor in zip(self._primes, self._powers_squared, self._factors, strict=True)
            )
        )

    def _join(self, mod_p: mpz, mod_q: mpz) -> mpz:
        """The number below n with these rests."""
        p, q = self._primes
        return mod_q + q * ((mod_p - mod_q) * self._q_inverse % p)

    def open(self, values: Ciphertexts, below: int | None = None) -> list[Opening]:
        """The signed integers with their randomness, `r = c**(1/n) mod n`, each checked before it is shown.

        A fault in the computation by halves would otherwise reveal a factor of n (Boneh, DeMillo & Lipton, 1997). What r leaves of c is
        `1 + n M`: after a fault it is no such number, or M is one of n numbers by chance, and not one `below` a small bound.

        Raises:
            PublicKeyError: the check failed; nothing was shown.
        """
        return [self._open_lifted(value, below) or self._open_decrypted(value) for value in values]

    def _open_lifted(self, value: int, below: int | None) -> Opening | None:
        if below is None:
            return None
        n, randomness = self._public.modulus, self._root(value)
        quotient, rest = gmpy2.f_divmod(value * gmpy2.invert(self._nth_power(randomness), self._n_squared) % self._n_squared - 1, n)
        plaintext = self._signed(quotient)
        return Opening(plaintext, randomness) if rest == 0 and abs(plaintext) < below else None

    def _open_decrypted(self, value: int) -> Opening:
        opening = Opening(self.decrypt((value,))[0], self._root(value))
        if not self._holds(value, opening):
            raise PublicKeyError("an opening did not pass its own check, so it was not shown: this machine computes wrongly")
        return opening

    def open_zero(self, value: int) -> Opening | None:
        """Its n-th root, if it has one modulo n**2: what holds 0 needs no decryption."""
        opening = Opening(0, self._root(value))
        return opening if self._holds(value, opening) else None

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

    def _root(self, value: int) -> int:
        """`c**(1/n) mod n`, the randomness of a ciphertext, by halves."""
        return int(self._join(*(powers.secret_power(value, root) for powers, root in zip(self._powers, self._roots, strict=True))))

    def _holds(self, value: int, opening: Opening) -> bool:
        """`PaillierPublicKey.verify` by halves."""
        n = self._public.modulus
        return bool((1 + n * (opening.plaintext % n)) * self._nth_power(opening.randomness) % self._n_squared == value)

    def _nth_power(self, randomness: int) -> mpz:
        """`r**n = (r**q)**p mod p**2`, where `r**q` is needed mod p only; and likewise for q."""
        (p, q), (mod_p, mod_q) = self._primes, self._powers
        return self._lift(mod_p.secret_power(randomness, q), mod_q.secret_power(randomness, p))

    def _random_nth_power(self, draws: Draws) -> mpz:
        return self._lift(*(draws.randbelow(int(prime) - 1) + 1 for prime in self._primes))

    def _lift(self, root_p: int, root_q: int) -> mpz:
        """The number below n**2 that is `root_p**p mod p**2` and `root_q**q mod q**2`."""
        (p, q), (p_squared, q_squared) = self._primes, self._squares
        mod_p_squared, mod_q_squared = self._powers_squared
        mod_p, mod_q = mod_p_squared.secret_power(root_p, p), mod_q_squared.secret_power(root_q, q)
        return mod_q + q_squared * ((mod_p - mod_q) * self._q_squared_inverse % p_squared)
