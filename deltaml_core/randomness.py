"""Where a seat's random numbers come from: from the system, or from a secret that repeats them for a seat that is rebuilt.

A node that was killed is rebuilt from the messages it had handled, and must find the masks and secrets it had: none may be drawn
anew once it may have been seen. So its seat draws from `Replayable`: the numbers drawn while a message is handled follow from
the seat's secret and that message.

    key       SHAKE-256("DeltaML randomness v1" | secret | use | purpose), 32 bytes; `use` is one byte
    draw i    SHAKE-256(key | i), i = 0, 1, ... as eight bytes, highest first; as many bytes as hold the bits, surplus low bits dropped

Who learns what: with the secret, everything the seat ever drew; without it nothing, however many numbers are seen. It belongs in
the seat's own store, encrypted, and is never sent.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Protocol

from deltaml_core.errors import RandomnessError

SECRET_BYTES = 32


class Draws(Protocol):
    """Uniform random numbers, one after the other."""

    def randbits(self, bits: int) -> int:
        """Uniform in `[0, 2**bits)`."""

    def randbelow(self, limit: int) -> int:
        """Uniform in `[0, limit)`, for a positive limit."""


class Randomness(Draws, Protocol):
    """A seat's random numbers."""

    def fixed(self, purpose: bytes) -> Draws:
        """For what a seat draws once in its life, whenever it first needs it: numbers apart from the other ones."""


class _System:
    """The operating system's, new in every life."""

    def randbits(self, bits: int) -> int:
        return secrets.randbits(bits)

    def randbelow(self, limit: int) -> int:
        return secrets.randbelow(limit)

    def fixed(self, purpose: bytes) -> Draws:
        return self


SYSTEM: Randomness = _System()
"""Numbers nobody can repeat, what every seat draws unless it is told otherwise."""


class Replayable:
    """Numbers that the holder of a secret can draw once more.

    Between two `begin`s they follow from the secret, the purpose and their order. The object is one life of a seat: a replay
    starts with a new one of the same secret.
    """

    def __init__(self, secret: bytes) -> None:
        """`secret`: 32 bytes from `secrets`, one a seat.

        Raises:
            RandomnessError: it has another length.
        """
        if len(secret) != SECRET_BYTES:
            raise RandomnessError(f"a seat's secret has {SECRET_BYTES} bytes, not {len(secret)}: draw it with secrets.token_bytes")
        self._secret = secret
        self._begun: set[bytes] = set()
        self._current: Draws | None = None

    def __repr__(self) -> str:
        """Nothing of the secret."""
        return "Replayable()"

    def begin(self, purpose: bytes) -> None:
        """Draw for this purpose from now on; it is the digest of the message that is to be handled.

        Raises:
            RandomnessError: the purpose was begun before: the same masks over other numbers would tell their difference.
        """
        if purpose in self._begun:
            raise RandomnessError("random numbers for this purpose were drawn before; a replay starts from a new Replayable")
        self._begun.add(purpose)
        self._current = _Stream(self._secret, b"m", purpose)

    def fixed(self, purpose: bytes) -> Draws:
        """The same numbers at each call, whatever was begun."""
        return _Stream(self._secret, b"f", purpose)

    def randbits(self, bits: int) -> int:
        """Uniform in `[0, 2**bits)`.

        Raises:
            RandomnessError: nothing was begun.
        """
        return self._under_way.randbits(bits)

    def randbelow(self, limit: int) -> int:
        """Uniform in `[0, limit)`.

        Raises:
            RandomnessError: nothing was begun.
        """
        return self._under_way.randbelow(limit)

    @property
    def _under_way(self) -> Draws:
        if self._current is None:
            raise RandomnessError("no purpose was begun: call begin with the digest of the message before it is handled")
        return self._current


class _Stream:
    """The numbers of one purpose."""

    def __init__(self, secret: bytes, use: bytes, purpose: bytes) -> None:
        self._key = hashlib.shake_256(b"DeltaML randomness v1" + secret + use + purpose).digest(32)
        self._drawn = 0

    def randbits(self, bits: int) -> int:
        length = (bits + 7) // 8
        block = hashlib.shake_256(self._key + self._drawn.to_bytes(8)).digest(length)
        self._drawn += 1
        return int.from_bytes(block) >> (8 * length - bits)

    def randbelow(self, limit: int) -> int:
        """By rejection: the next number of the limit's length that is below it."""
        if limit <= 0:
            raise ValueError("a limit is positive")
        bits = (limit - 1).bit_length()
        while (number := self.randbits(bits)) >= limit:
            pass
        return number
