"""The record of a run: every message in the order the aggregator saw it, under one hash (protocol.md §10)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from eth_hash.auto import keccak

from deltaml_core.messages import Message, decode, encode
from deltaml_core.schemes.base import PublicKey


class Transcript:
    """Messages as their canonical bytes, with a hash chained over them: `h <- SHA-256(h || SHA-256(message))`."""

    def __init__(self) -> None:
        """An empty record."""
        self.entries: list[bytes] = []
        self._hash = bytes(32)

    def append(self, message: Message) -> None:
        """Add the next message."""
        data = encode(message)
        self.entries.append(data)
        self._hash = hashlib.sha256(self._hash + hashlib.sha256(data).digest()).digest()

    @property
    def hash(self) -> bytes:
        """Of everything so far, 32 bytes."""
        return self._hash

    @property
    def size(self) -> int:
        """Bytes of all messages."""
        return sum(map(len, self.entries))

    def messages(self) -> list[Message]:
        """All messages, decoded."""
        return [decode(data) for data in self.entries]

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.entries)


def modulus_hash(key: PublicKey) -> bytes:
    """Keccak-256 of the modulus in as many bytes as its length needs, big-endian: how the contract names a key."""
    return bytes(keccak(key.modulus.to_bytes((key.bits + 7) // 8, "big")))


def ciphertexts_hash(values: Sequence[int], key: PublicKey) -> bytes:
    """Keccak-256 of ciphertexts in twice the modulus's bytes each, big-endian: how the contract names encrypted numbers."""
    width = 2 * ((key.bits + 7) // 8)
    return bytes(keccak(b"".join(value.to_bytes(width, "big", signed=value < 0) for value in values)))
