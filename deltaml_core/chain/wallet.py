"""A participant's key: made here, kept here, signing here. No node ever sees it."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import threading
from pathlib import Path
from typing import Any, cast

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress, Hash32
from hexbytes import HexBytes
from web3.types import TxParams

from deltaml_core.chain.types import Statement
from deltaml_core.errors import KeystoreError, WrongPasswordError
from deltaml_core.signatures import signing_hash, text_hash

SCRYPT_ITERATIONS = 2**18
"""Work factor of a saved key: about a second for each guessed password."""


class Wallet:
    """An account whose key signs locally.

    Showing a wallet shows its address and nothing else.

    Attributes:
        lock: held by whoever numbers and sends a transaction of this account, so that two threads never take one number.
    """

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    @classmethod
    def create(cls) -> Wallet:
        """A new wallet from the operating system's randomness."""
        return cls(Account.from_key(secrets.token_bytes(32)))

    @classmethod
    def from_key(cls, key: bytes | str) -> Wallet:
        """The wallet of a private key (32 bytes, or hexadecimal)."""
        return cls(Account.from_key(key))

    @property
    def address(self) -> ChecksumAddress:
        """The account's address."""
        return self._account.address

    def sign_transaction(self, transaction: TxParams) -> HexBytes:
        """The signed transaction, ready to be sent raw."""
        return self._account.sign_transaction(cast("dict[str, Any]", transaction)).raw_transaction

    def sign_statement(self, statement: Statement, chain_id: int, contract: str) -> bytes:
        """A validator's signature (65 bytes, EIP-712) of a statement for one contract on one chain."""
        message = encode_typed_data(full_message=statement.typed_data(chain_id, contract))
        return bytes(self._account.sign_message(message).signature)

    def sign(self, digest: bytes) -> bytes:
        """The signature of the message with this SHA-256, as `signatures.Signer` says."""
        return bytes(self._account.unsafe_sign_hash(Hash32(signing_hash(digest))).signature)

    def derive(self, purpose: bytes) -> bytes:
        """32 secret bytes that follow from the key and a purpose, and tell nobody the key: HMAC-SHA256."""
        return hmac.digest(self._account.key, b"DeltaML derived v1" + purpose, "sha256")

    def sign_text(self, text: str) -> bytes:
        """The signature (65 bytes, EIP-191) of a text that a person could read, such as a sign-in."""
        return bytes(self._account.unsafe_sign_hash(Hash32(text_hash(text.encode("utf-8")))).signature)

    def save(self, path: Path, password: str, *, iterations: int = SCRYPT_ITERATIONS) -> None:
        """Write the key as a version 3 keystore that only this user can read; never overwrites a file.

        Args:
            path: where to.
            password: what opens it again.
            iterations: scrypt's work factor, a power of two.

        Raises:
            KeystoreError: the file exists already.
        """
        text = json.dumps(Account.encrypt(self._account.key, password, kdf="scrypt", iterations=iterations))
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise KeystoreError(f"{path} exists already: a keystore is never overwritten, choose another name") from None
        with os.fdopen(descriptor, "w") as file:
            file.write(text)

    @classmethod
    def load(cls, path: Path, password: str) -> Wallet:
        """Read a version 3 keystore.

        Raises:
            WrongPasswordError: the password does not open it.
            KeystoreError: the file is missing, damaged, or something else.
        """
        keystore = _read_keystore(path)
        try:
            key = Account.decrypt(keystore, password)
        except ValueError as error:
            if "MAC mismatch" in str(error):
                raise WrongPasswordError(f"the password does not open {path}") from None
            raise KeystoreError(f"{path} is damaged: {error}") from error
        except (KeyError, TypeError, NotImplementedError) as error:
            raise KeystoreError(f"{path} is damaged or of an unknown kind: {error!r}") from error
        wallet = cls.from_key(bytes(key))
        stated = str(keystore.get("address", "")).lower().removeprefix("0x")
        if stated and stated != wallet.address.lower().removeprefix("0x"):
            raise KeystoreError(f"{path} is damaged: it states the address {stated} but holds the key of {wallet.address}")
        return wallet


def _read_keystore(path: Path) -> dict[str, Any]:
    try:
        keystore = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KeystoreError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise KeystoreError(f"{path} is not a keystore: {error}") from error
    if not isinstance(keystore, dict) or keystore.get("version") != 3:
        raise KeystoreError(f"{path} is not a version 3 keystore")
    return keystore
