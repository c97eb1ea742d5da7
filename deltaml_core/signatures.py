r"""Who said it: every message travels with a signature by its sender's wallet key (protocol.md §10).

    digest     SHA-256 of the message's canonical bytes
    signature  ECDSA over secp256k1 of keccak256("\x19Ethereum Signed Message:\n83" "DeltaML message v1\n" hex(digest))

That is EIP-191's personal message, which every wallet can sign, under a prefix of our own: such a signature is neither one of a
transaction nor one of a statement for the contract (EIP-712). Because it covers the digest alone, who shows a digest with its
signature proves who said something without showing what: the public part of a transcript does.

A participant's name is the address of its key. One message under one key has one signature that is accepted: the low s (EIP-2).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol, Self

from coincurve import PrivateKey
from eth_keys.constants import SECPK1_N
from eth_keys.datatypes import PublicKey, Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from deltaml_core.errors import MessageError, SignatureError
from deltaml_core.messages import Message, decode, encode

SIGNATURE_BYTES = 65
"""r and s in 32 bytes each, and the parity of the point, 27 or 28."""

_PREFIX = b"DeltaML message v1\n"
_OPENING, _BETWEEN, _CLOSING = b'{"message":', b',"signature":"', b'"}'
_TAIL = len(_BETWEEN) + 2 * SIGNATURE_BYTES + len(_CLOSING)
_HEXADECIMAL = re.compile(rb"[0-9a-f]{%d}" % (2 * SIGNATURE_BYTES))


class Signer(Protocol):
    """Whoever holds a key. `chain.wallet.Wallet` is one."""

    @property
    def address(self) -> str:
        """Of the key, checksummed."""

    def sign(self, digest: bytes) -> bytes:
        """The signature of the message with this SHA-256: ECDSA of `signing_hash(digest)`, 65 bytes."""


class LocalSigner:
    """A key for one process and one training, never stored. Showing it shows the address only."""

    def __init__(self) -> None:
        """A new key from the system's randomness."""
        self._key = PrivateKey(secrets.token_bytes(32))
        self._address = _address_of(self._key.public_key.format(compressed=False)[1:])

    def __repr__(self) -> str:
        return f"LocalSigner({self._address})"

    @property
    def address(self) -> str:
        """Of the key, checksummed."""
        return self._address

    def sign(self, digest: bytes) -> bytes:
        """The signature of the message with this SHA-256."""
        return self._sign(signing_hash(digest))

    def sign_text(self, text: str) -> bytes:
        """The signature of a text that a person could read (EIP-191), 65 bytes."""
        return self._sign(text_hash(text.encode("utf-8")))

    def _sign(self, hashed: bytes) -> bytes:
        signature = self._key.sign_recoverable(hashed, hasher=None)
        return signature[:-1] + bytes([signature[-1] + 27])


def message_digest(message: bytes) -> bytes:
    """How a message is named: SHA-256 of its canonical bytes."""
    return hashlib.sha256(message).digest()


def signing_hash(digest: bytes) -> bytes:
    """The 32 bytes that a key signs for the message of this digest."""
    return text_hash(_PREFIX + digest.hex().encode("ascii"))


def text_hash(text: bytes) -> bytes:
    """The 32 bytes that a key signs for a text: EIP-191's personal message."""
    return bytes(keccak(b"\x19Ethereum Signed Message:\n%d" % len(text) + text))


def recover(digest: bytes, signature: bytes) -> str:
    """The address whose key signed the message of this digest.

    Raises:
        SignatureError: no signature in its one accepted form.
    """
    return _recover(signing_hash(digest), signature)


def recover_text(text: str, signature: bytes) -> str:
    """The address whose key signed this text.

    Raises:
        SignatureError: no signature in its one accepted form, or no text that can be signed.
    """
    try:
        return _recover(text_hash(text.encode("utf-8")), signature)
    except UnicodeEncodeError as error:
        raise SignatureError("a signed text must be Unicode") from error


def _recover(hashed: bytes, signature: bytes) -> str:
    if len(signature) != SIGNATURE_BYTES or signature[-1] not in (27, 28):
        raise SignatureError(f"a signature has {SIGNATURE_BYTES} bytes and ends in 27 or 28")
    if int.from_bytes(signature[32:64], "big") > SECPK1_N // 2:
        raise SignatureError("a signature has the lower of the two possible s")
    try:
        parsed = Signature(signature[:-1] + bytes([signature[-1] - 27]))
        return _address_of(parsed.recover_public_key_from_msg_hash(hashed).to_bytes())
    except (BadSignature, ValidationError) as error:
        raise SignatureError(f"no key has made this signature: {error}") from error


@lru_cache(maxsize=1024)
def _address_of(public_key: bytes) -> str:
    return PublicKey(public_key).to_checksum_address()


@dataclass(frozen=True)
class SignedMessage:
    """What travels.

    Attributes:
        message: canonical bytes.
        signature: of their digest, 65 bytes.
    """

    message: bytes
    signature: bytes

    @classmethod
    def of(cls, message: Message, signer: Signer) -> Self:
        """Sign a message.

        Raises:
            SignatureError: the key is not its sender's.
        """
        if signer.address != message.sender:
            raise SignatureError(f"{message.kind}: the key of {signer.address} cannot sign for another", message.sender)
        data = encode(message)
        return cls(data, signer.sign(message_digest(data)))

    @classmethod
    def decode(cls, data: bytes, sender: str | None = None) -> Self:
        """Read an envelope; neither its message nor its signature is checked.

        Args:
            data: what `encode` made.
            sender: whom to name when it is faulty.

        Raises:
            MessageError: no envelope.
        """
        head, tail = data[:-_TAIL], data[-_TAIL:]
        signature = tail[len(_BETWEEN) : -len(_CLOSING)]
        if not (head.startswith(_OPENING) and tail.startswith(_BETWEEN) and tail.endswith(_CLOSING) and _HEXADECIMAL.fullmatch(signature)):
            raise MessageError("this is not a signed message in canonical form", sender)
        return cls(head[len(_OPENING) :], bytes.fromhex(signature.decode("ascii")))

    def encode(self) -> bytes:
        """The envelope, canonical JSON: `{"message":{...},"signature":"<hexadecimal>"}`."""
        return _OPENING + self.message + _BETWEEN + self.signature.hex().encode("ascii") + _CLOSING

    @cached_property
    def digest(self) -> bytes:
        """How the message is named."""
        return message_digest(self.message)

    def open(self) -> Message:
        """The message, decoded and known to be its sender's.

        Raises:
            MessageError: it does not decode; the error names who signed it.
            SignatureError: the signature is malformed, or another's than the sender's whom it names.
        """
        signed_by = recover(self.digest, self.signature)
        message = decode(self.message, signed_by)
        if message.sender != signed_by:
            raise SignatureError(f"{message.kind}: its signature is not {message.sender}'s", message.sender)
        return message
