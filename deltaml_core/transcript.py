"""The record of a run: every signed message in the order the mail room took it in, under one hash (protocol.md §10).

    h_0 = SHA-256(header)        h_i = SHA-256(h_{i-1} || SHA-256(digest_i || signature_i))

`digest_i` is SHA-256 of a message's canonical bytes, so an entry may be sealed, replaced by its digest and signature, and the hash
stays the same. The full record holds encrypted weights, single updates and solo models, all of which the key holder could decrypt:
it stays with the aggregator and goes to an auditor who is not the buyer. The public part shows the messages that everybody may
read, and seals the others.

On disk: JSON lines. First the header, then an entry each, last a line with their number and the hash, so that a file is seen to be
whole.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from eth_hash.auto import keccak

from deltaml_core import canonical
from deltaml_core.errors import TermsError, TranscriptError
from deltaml_core.messages import Message, decode, is_public
from deltaml_core.schemes.base import PublicKey
from deltaml_core.signatures import SIGNATURE_BYTES, SignedMessage
from deltaml_core.terms import RequestDocument

_VERSION = 1
_CLOSING = re.compile(rb'\{"entries":(0|[1-9][0-9]{0,14}),"hash":"([0-9a-f]{64})","seed":"([0-9a-f]{64}|)"\}')
_SEALED = re.compile(rb'\{"digest":"([0-9a-f]{64})","signature":"([0-9a-f]{%d})"\}' % (2 * SIGNATURE_BYTES))


@dataclass(frozen=True)
class Header:
    """What a run was about: all that is needed to check it.

    Attributes:
        request: identifies the request; with a contract behind it, its number there.
        document: the terms and the modulus.
        buyer, aggregator: their addresses.
        trainers, validators: likewise, in the contract's order.
        chain_id: of the chain the request stands on; None without one.
        contract: the marketplace's address there; None without one.
    """

    request: str
    document: RequestDocument
    buyer: str
    aggregator: str
    trainers: tuple[str, ...]
    validators: tuple[str, ...]
    chain_id: int | None = None
    contract: str | None = None

    @property
    def participants(self) -> frozenset[str]:
        """Everybody who may say something."""
        return frozenset({self.buyer, self.aggregator, *self.trainers, *self.validators})

    def to_json(self) -> bytes:
        """Canonical JSON, one line."""
        content = {
            "version": _VERSION,
            "request": self.request,
            "document": self.document.to_json(),
            "buyer": self.buyer,
            "aggregator": self.aggregator,
            "trainers": list(self.trainers),
            "validators": list(self.validators),
            "chain_id": self.chain_id,
            "contract": self.contract,
        }
        return canonical.dump(content)

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        """Read a header.

        Raises:
            TranscriptError: it is none, or not in canonical form.
        """
        try:
            content = canonical.load(line)
            if content.pop("version") != _VERSION:
                raise TranscriptError(f"the transcript's header is not of version {_VERSION}")
            document = RequestDocument.from_json(content.pop("document"))
            trainers, validators = tuple(content.pop("trainers")), tuple(content.pop("validators"))
            header = cls(document=document, trainers=trainers, validators=validators, **content)
            if not all(isinstance(name, str) for name in (header.request, *header.participants)):
                raise TranscriptError("the transcript's header must name request and participants by text")
            exact = header.to_json() == line
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            if isinstance(error, TranscriptError):
                raise
            reason = str(error) if isinstance(error, TermsError) else repr(error)
            raise TranscriptError(f"the transcript's header cannot be read: {reason}") from error
        if not exact:
            raise TranscriptError("the transcript's header is not in canonical form")
        return header


@dataclass(frozen=True)
class Sealed:
    """An entry of which only the digest and the signature are shown."""

    digest: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Canonical JSON, one line."""
        return canonical.dump({"digest": self.digest.hex(), "signature": self.signature.hex()})


def read_entry(line: bytes) -> SignedMessage | Sealed:
    """An entry, its message and signature unchecked.

    Raises:
        MessageError: it has neither form.
    """
    if match := _SEALED.fullmatch(line):
        return Sealed(bytes.fromhex(match[1].decode("ascii")), bytes.fromhex(match[2].decode("ascii")))
    return SignedMessage.decode(line)


def chained(previous: bytes, entry: SignedMessage | Sealed) -> bytes:
    """The hash after one more entry."""
    return hashlib.sha256(previous + hashlib.sha256(entry.digest + entry.signature).digest()).digest()


@dataclass(frozen=True)
class Closing:
    """A file's last line, which shows that it is whole.

    Attributes:
        entries: how many there are.
        hash: of them all.
        seed: the aggregator's; empty in the public part.
    """

    entries: int
    hash: bytes
    seed: bytes

    def encode(self) -> bytes:
        """Canonical JSON, one line."""
        return canonical.dump({"entries": self.entries, "hash": self.hash.hex(), "seed": self.seed.hex()})

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """Read a last line.

        Raises:
            TranscriptError: it is none.
        """
        if not (match := _CLOSING.fullmatch(line)):
            raise TranscriptError("the transcript is cut off: its last line does not state the number of its entries and their hash")
        return cls(int(match[1]), *(bytes.fromhex(match[group].decode("ascii")) for group in (2, 3)))


class Transcript:
    """Signed messages with a hash chained over them. Another thread may append while it is read.

    Attributes:
        header: what the run was about.
        entries: each message's line, signed or sealed.
        seed: what the aggregator's randomness followed from, 32 secret bytes, so that an auditor can recompute its products; empty in
            the public part. The hash does not cover it: a wrong one can only make an honest product look wrong.
    """

    def __init__(self, header: Header, entries: Sequence[bytes] = (), seed: bytes | None = None) -> None:
        """A record that begins with these entries; they are not checked, `audit` does that. By default its seed is new."""
        self.seed = secrets.token_bytes(32) if seed is None else seed
        self.header = header
        self.entries = list(entries)
        self._hashed = 0, self.first_hash
        self._hash_after: dict[bytes, bytes] = {}
        self._marked: bytes | None = None

    def append(self, message: SignedMessage) -> None:
        """Add the next message."""
        self.entries.append(message.encode())

    def blinding(self, *purpose: str | int) -> bytes:
        """The seed of the aggregator's randomness for one purpose; see `PublicKey.rerandomise_from`."""
        return hashlib.sha256(self.seed + canonical.dump(purpose)).digest()

    @property
    def first_hash(self) -> bytes:
        """Of the header alone."""
        return hashlib.sha256(self.header.to_json()).digest()

    @property
    def hash(self) -> bytes:
        """Of everything so far, 32 bytes.

        Raises:
            MessageError: a loaded entry is malformed.
        """
        count, value = self._hashed
        for line in self.entries[count:]:
            entry = read_entry(line)
            value = chained(value, entry)
            self._hash_after[entry.digest] = value
            count += 1
        self._hashed = count, value  # at once: whoever reads meanwhile computes the same from where it began
        return value

    def mark(self, digest: bytes) -> None:
        """Name the message that is handed to the role next, whatever is appended meanwhile."""
        self._marked = digest

    @property
    def marked_hash(self) -> bytes:
        """Of everything up to the marked message, it included; of everything so far when none is marked.

        Raises:
            MessageError: a loaded entry is malformed.
            TranscriptError: the marked message is not on record.
        """
        if self._marked is None:
            return self.hash
        if self._marked not in self._hash_after:
            _ = self.hash
        if self._marked not in self._hash_after:
            raise TranscriptError("the message that is answered is not on record: append it before it is handed over")
        return self._hash_after[self._marked]

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(map(len, self.entries))

    @property
    def is_public(self) -> bool:
        """Whether it is the part that everybody may read."""
        return not self.seed

    def messages(self) -> list[Message]:
        """All messages that are shown, decoded; their signatures are not checked again."""
        entries = map(read_entry, self.entries)
        return [decode(entry.message) for entry in entries if isinstance(entry, SignedMessage)]

    def public(self) -> Transcript:
        """The same record for everybody: under the same hash, with what must not be read sealed."""
        return Transcript(self.header, [_for_everybody(line) for line in self.entries], seed=b"")

    def save(self, path: Path) -> None:
        """Write the file, complete or not at all. A record with messages that are not public is readable by this user only.

        Raises:
            OSError: it cannot be written.
        """
        closing = Closing(len(self.entries), self.hash, self.seed).encode()
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644 if self.is_public else 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(line + b"\n" for line in (self.header.to_json(), *self.entries, closing))
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Transcript:
        """Read a file. Its entries are not checked: `audit` does that, and tells which of them is at fault.

        Raises:
            TranscriptError: it cannot be read, its header is none, or its end is missing.
        """
        return load_with_closing(path)[0]

    def __len__(self) -> int:
        """Number of messages."""
        return len(self.entries)


def load_with_closing(path: Path) -> tuple[Transcript, Closing]:
    """A file's transcript, and what its last line states.

    Raises:
        TranscriptError: it cannot be read, its header is none, or its end is missing.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TranscriptError(f"{path} cannot be read: {error.strerror}") from error
    if len(lines) < 3 or lines[-1]:
        raise TranscriptError(f"{path} is cut off: a transcript has a header and ends in a line with its hash")
    header, *entries, last, _ = lines
    closing = Closing.decode(last)
    return Transcript(Header.from_json(header), entries, closing.seed), closing


def _for_everybody(line: bytes) -> bytes:
    entry = read_entry(line)
    if isinstance(entry, SignedMessage) and not is_public(decode(entry.message)):
        return Sealed(entry.digest, entry.signature).encode()
    return line


def errors_digest(rows: int, values: Sequence[int], key: PublicKey) -> str:
    """How validators name to each other what one of them measured on so many rows: SHA-256, hexadecimal."""
    return hashlib.sha256(rows.to_bytes(8, "big") + ciphertexts_hash(values, key)).hexdigest()


def ciphertexts_hash(values: Sequence[int], key: PublicKey) -> bytes:
    """Keccak-256 of ciphertexts in twice the modulus's bytes each, big-endian: how the contract names encrypted numbers."""
    width = 2 * ((key.bits + 7) // 8)
    return bytes(keccak(b"".join(value.to_bytes(width, "big", signed=value < 0) for value in values)))
