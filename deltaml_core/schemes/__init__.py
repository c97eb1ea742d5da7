"""Homomorphic schemes by name: `paillier` is the default, `plain` encrypts nothing and serves as the oracle."""

from __future__ import annotations

import warnings
from typing import TypeVar

from deltaml_core.errors import InsecureKeyWarning, TermsError
from deltaml_core.randomness import SYSTEM, Randomness
from deltaml_core.schemes.base import PrivateKey, PublicKey
from deltaml_core.schemes.paillier import PaillierPrivateKey, PaillierPublicKey
from deltaml_core.schemes.plain import PlainKey
from deltaml_core.schemes.pool import ZeroPool

SCHEMES = ("paillier", "plain")

SECURE_KEY_BITS = 2048

Key = TypeVar("Key", PublicKey, PrivateKey)


def generate(scheme: str, bits: int) -> PrivateKey:
    """A new key pair of the named scheme.

    Args:
        scheme: one of `SCHEMES`.
        bits: length of the modulus; 2048 or more outside of tests.

    Raises:
        TermsError: no scheme of that name, or a length it cannot make.
    """
    _check_name(scheme)
    return PaillierPrivateKey.generate(bits) if scheme == "paillier" else PlainKey(bits)


def public_key(scheme: str, modulus: int, randomness: Randomness = SYSTEM) -> PublicKey:
    """The public key that a modulus stands for. Every participant makes its own object, which draws from its seat's randomness."""
    _check_name(scheme)
    return PaillierPublicKey(modulus, randomness) if scheme == "paillier" else PlainKey(modulus.bit_length())


def with_pool(key: Key, size: int) -> tuple[Key, ZeroPool | None]:
    """The same key with a pool of random factors, for ciphertexts that need not come out the same when they are made again.

    Args:
        key: a participant's public key, or the buyer's private one.
        size: how many factors are made beforehand, at most.

    Returns:
        The key that takes them, and the pool, which somebody has to fill; None for a scheme that encrypts without.
    """
    return key.with_pool(size) if isinstance(key, PaillierPublicKey | PaillierPrivateKey) else (key, None)


def capacity(scheme: str, bits: int) -> int:
    """The `PublicKey.capacity` of the scheme's keys of a length, before one is made."""
    _check_name(scheme)
    return PaillierPublicKey.capacity_of(bits) if scheme == "paillier" else PlainKey(bits).capacity


def private_key(scheme: str, secret: bytes) -> PrivateKey:
    """The key pair that `PrivateKey.secret` wrote."""
    _check_name(scheme)
    return PaillierPrivateKey.from_secret(secret) if scheme == "paillier" else PlainKey(int.from_bytes(secret))


def warn_of_short_key(scheme: str, bits: int, *, stacklevel: int) -> None:
    """Warn of a key that does not protect what it encrypts.

    Warns:
        InsecureKeyWarning: a Paillier key below 2048 bits.
    """
    if scheme == "paillier" and bits < SECURE_KEY_BITS:
        warnings.warn(f"a {bits}-bit key can be broken: use {SECURE_KEY_BITS} bits", InsecureKeyWarning, stacklevel=stacklevel)


def _check_name(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise TermsError(f"scheme={scheme!r} is not known; choose one of {', '.join(SCHEMES)}")
