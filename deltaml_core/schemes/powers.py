"""Powers to exponents that must stay secret: as long, and from the same memory, whatever the base and the exponent.

They are OpenSSL's `BN_mod_exp_mont_consttime`, called in the library that Python's own `ssl` module runs on. Where that library cannot
be reached, because it is linked into the interpreter, they are GMP's `powmod_sec`: as safe, and half as long again.
"""

from __future__ import annotations

import _ssl
import ctypes
import ssl
import weakref
from ctypes import c_char_p, c_int, c_void_p

import gmpy2
from gmpy2 import mpz

_SIGNATURES: dict[str, tuple[type[c_int] | type[c_void_p] | None, list[type[c_int] | type[c_void_p] | type[c_char_p]]]] = {
    "BN_new": (c_void_p, []),
    "BN_bin2bn": (c_void_p, [c_char_p, c_int, c_void_p]),
    "BN_bn2binpad": (c_int, [c_void_p, c_char_p, c_int]),
    "BN_clear_free": (None, [c_void_p]),
    "BN_CTX_new": (c_void_p, []),
    "BN_CTX_free": (None, [c_void_p]),
    "BN_MONT_CTX_new": (c_void_p, []),
    "BN_MONT_CTX_set": (c_int, [c_void_p, c_void_p, c_void_p]),
    "BN_MONT_CTX_free": (None, [c_void_p]),
    "BN_mod_exp_mont": (c_int, [c_void_p] * 6),
    "BN_mod_exp_mont_consttime": (c_int, [c_void_p] * 6),
}


def _libcrypto() -> ctypes.CDLL | None:
    """Python's OpenSSL: a handle of a module finds the names of the libraries it was linked with."""
    try:
        library = ctypes.CDLL(_ssl.__file__)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (AttributeError, OSError):
        return None
    return library


_OPENSSL = _libcrypto()

ARITHMETIC = "GMP" if _OPENSSL is None else ssl.OPENSSL_VERSION
"""What computes the powers here."""


class PowersModulo:
    """Powers modulo one odd number. May be used by several threads; a copy for another process makes its own tables."""

    def __init__(self, modulus: int) -> None:
        """Precompute what Montgomery's products need.

        Args:
            modulus: odd and positive.
        """
        self._modulus = mpz(modulus)
        self._openssl = None if _OPENSSL is None else _MontgomeryPowers(_OPENSSL, self._modulus)

    def __reduce__(self) -> tuple[type[PowersModulo], tuple[int]]:
        """As the modulus: what was precomputed is memory of this process."""
        return PowersModulo, (int(self._modulus),)

    def secret_power(self, base: int, exponent: int) -> mpz:
        """`base**exponent`, in the same time for all bases and all exponents of as many machine words; neither may be negative."""
        if self._openssl is None:
            return gmpy2.powmod_sec(base, exponent, self._modulus) if exponent else mpz(1) % self._modulus
        return self._openssl.power("BN_mod_exp_mont_consttime", mpz(base), mpz(exponent))

    def public_power(self, base: int, exponent: int) -> mpz:
        """`base**exponent` for an exponent that everybody may know: a little faster."""
        if self._openssl is None:
            return gmpy2.powmod(base, exponent, self._modulus)
        return self._openssl.power("BN_mod_exp_mont", mpz(base), mpz(exponent))


class _MontgomeryPowers:
    """OpenSSL's side of a modulus; its memory is cleared and freed with the object."""

    def __init__(self, library: ctypes.CDLL, modulus: mpz) -> None:
        self._library = library
        self._bytes = (modulus.bit_length() + 7) // 8
        self._modulus = self._number(modulus)
        self._montgomery = _allocated(library.BN_MONT_CTX_new())
        weakref.finalize(self, library.BN_clear_free, self._modulus)
        weakref.finalize(self, library.BN_MONT_CTX_free, self._montgomery)
        scratch = _allocated(library.BN_CTX_new())
        _allocated(library.BN_MONT_CTX_set(self._montgomery, self._modulus, scratch))
        library.BN_CTX_free(scratch)

    def power(self, function: str, base: mpz, exponent: mpz) -> mpz:
        library, text = self._library, ctypes.create_string_buffer(self._bytes)
        scratch = _allocated(library.BN_CTX_new())
        numbers = result, _, _ = _allocated(library.BN_new()), self._number(base), self._number(exponent)
        _allocated(getattr(library, function)(*numbers, self._modulus, scratch, self._montgomery))
        library.BN_bn2binpad(result, text, self._bytes)
        for number in numbers:
            library.BN_clear_free(number)
        library.BN_CTX_free(scratch)
        return mpz.from_bytes(text.raw, "big")

    def _number(self, value: mpz) -> int:
        encoded = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return _allocated(self._library.BN_bin2bn(encoded, len(encoded), None))


def _allocated(answer: int | None) -> int:
    """OpenSSL's answer: for odd moduli and numbers that are not negative nothing but missing memory makes it none, or 0."""
    if not answer:
        raise MemoryError("OpenSSL has no memory for a number")
    return answer
