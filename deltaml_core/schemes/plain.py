"""No encryption at all: the exact integers a Paillier run would hold, in the clear.

The oracle of the tests and a fast way to try terms out. It wraps around where Paillier would, at a modulus of the same length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deltaml_core.errors import CiphertextError, PublicKeyError
from deltaml_core.randomness import Randomness
from deltaml_core.schemes.base import Ciphertexts, LinearMap, Opening


@dataclass(frozen=True)
class PlainMatrix:
    """A matrix of integers."""

    rows: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return len(self.rows), len(self.rows[0])


class PlainKey:
    """Public and private key at once."""

    scheme = "plain"

    def __init__(self, bits: int) -> None:
        """`bits`: the length of the modulus."""
        self._bits = bits

    @property
    def public(self) -> PlainKey:
        """Itself: there is nothing to hide."""
        return self

    def drawing_from(self, randomness: Randomness) -> PlainKey:
        """Itself: it draws nothing."""
        return self

    @property
    def bits(self) -> int:
        """Length of the modulus."""
        return self._bits

    @property
    def modulus(self) -> int:
        """A number of `bits` bits; nothing is computed with it."""
        return (1 << self._bits) - 1

    @property
    def capacity(self) -> int:
        """As Paillier's at this length."""
        return self._bits - 2

    def encrypt(self, values: Sequence[int]) -> Ciphertexts:
        """The values themselves."""
        return self._reduced(values)

    def zeros(self, count: int) -> Ciphertexts:
        """Zeros."""
        return (0,) * count

    def decrypt(self, values: Ciphertexts) -> list[int]:
        """The values themselves."""
        return list(values)

    def open(self, values: Ciphertexts, below: int | None = None) -> list[Opening]:
        """The values themselves."""
        return [Opening(value, 1) for value in values]

    def open_zero(self, value: int) -> Opening | None:
        """The value itself, if it is 0."""
        return None if value else Opening(0, 1)

    def verify(self, ciphertext: int, opening: Opening) -> bool:
        """Whether they are the same."""
        return ciphertext == opening.plaintext

    def verify_all(self, ciphertexts: Ciphertexts, openings: Sequence[Opening]) -> bool:
        """Whether they are the same."""
        return list(ciphertexts) == [opening.plaintext for opening in openings]

    def prove_modulus(self) -> tuple[int, ...]:
        """Nothing to prove."""
        return ()

    def check_modulus(self, bits: int, proof: Sequence[int]) -> None:
        """The length alone."""
        if bits != self._bits:
            raise PublicKeyError(f"the modulus has {self._bits} bits, but the terms state {bits}")

    def prepare(self, matrix: Sequence[Sequence[int]], reference: Sequence[Sequence[int]] | None = None) -> PlainMatrix:
        """The matrix itself."""
        return PlainMatrix(tuple(tuple(row) for row in matrix))

    def affine(self, linear: LinearMap, offset: Sequence[int], vector: Ciphertexts) -> Ciphertexts:
        """`M a + v`."""
        return self.add_plain(self.combine(linear, vector), offset)

    def combine(self, linear: LinearMap, vector: Ciphertexts) -> Ciphertexts:
        """`M a`."""
        assert isinstance(linear, PlainMatrix)
        return self._reduced([sum(e * a for e, a in zip(row, vector, strict=True)) for row in linear.rows])

    def scale(self, values: Ciphertexts, factors: Sequence[int]) -> Ciphertexts:
        """Entry by entry."""
        return self._reduced([a * f for a, f in zip(values, factors, strict=True)])

    def shift(self, values: Ciphertexts, addends: Sequence[int]) -> Ciphertexts:
        """Entry by entry."""
        return self.add_plain(values, addends)

    def add(self, left: Ciphertexts, right: Ciphertexts) -> Ciphertexts:
        """Entry by entry."""
        return self._reduced([a + b for a, b in zip(left, right, strict=True)])

    def add_plain(self, values: Ciphertexts, addends: Sequence[int]) -> Ciphertexts:
        """Entry by entry."""
        return self._reduced([a + b for a, b in zip(values, addends, strict=True)])

    def rerandomise(self, values: Ciphertexts) -> Ciphertexts:
        """The values themselves."""
        return values

    def rerandomise_from(self, seed: bytes, values: Ciphertexts) -> Ciphertexts:
        """The values themselves."""
        return values

    def check(self, values: Sequence[int], count: int, sender: str) -> Ciphertexts:
        """Count and range."""
        if len(values) != count:
            raise CiphertextError(f"expected {count} values, got {len(values)}", sender)
        for position, value in enumerate(values):
            if abs(value) > self.modulus // 2:
                raise CiphertextError(f"value {position} exceeds the modulus of {self.bits} bits", sender)
        return tuple(values)

    def secret(self) -> bytes:
        """The length: there is nothing to hide."""
        return self.bits.to_bytes(4)

    def _reduced(self, values: Iterable[int]) -> Ciphertexts:
        half, modulus = self.modulus // 2, self.modulus
        return tuple((value + half) % modulus - half for value in values)
