"""Homomorphic schemes by name: `paillier` is the default, `plain` encrypts nothing and serves as the oracle."""

from __future__ import annotations

from deltaml_core.errors import TermsError
from deltaml_core.randomness import SYSTEM, Randomness
from deltaml_core.schemes.base import PrivateKey, PublicKey
from deltaml_core.schemes.paillier import PaillierPrivateKey, PaillierPublicKey
from deltaml_core.schemes.plain import PlainKey

SCHEMES = ("paillier", "plain")


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


def capacity(scheme: str, bits: int) -> int:
    """The `PublicKey.capacity` of the scheme's keys of a length, before one is made."""
    _check_name(scheme)
    return PaillierPublicKey.capacity_of(bits) if scheme == "paillier" else PlainKey(bits).capacity


def private_key(scheme: str, secret: bytes) -> PrivateKey:
    """The key pair that `PrivateKey.secret` wrote."""
    _check_name(scheme)
    return PaillierPrivateKey.from_secret(secret) if scheme == "paillier" else PlainKey(int.from_bytes(secret))


def _check_name(scheme: str) -> None:
    if scheme not in SCHEMES:
        raise TermsError(f"there is no scheme {scheme!r}; choose one of {', '.join(SCHEMES)}")
