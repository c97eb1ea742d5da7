"""The buyer's decryption keys at rest: encrypted under the password that opens its wallet.

AES-256-GCM under a key that scrypt makes of the password and a salt; the purpose is authenticated, so files cannot be swapped.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path

from Crypto.Cipher import AES

from deltaml_core.chain.wallet import SCRYPT_ITERATIONS
from deltaml_core.errors import KeystoreError, WrongPasswordError

_VERSION = 1
_BLOCK_SIZE, _PARALLEL = 8, 1
_LARGEST_ITERATIONS = 2**22


def lock(path: Path, purpose: str, secret: bytes, password: str, *, iterations: int = SCRYPT_ITERATIONS) -> None:
    """Write a secret that only its password opens, readable by this user only; never overwrites a file.

    Args:
        path: where to.
        purpose: what it is, to be named again when it is opened.
        secret: what to keep.
        password: what opens it.
        iterations: scrypt's work factor, a power of two.

    Raises:
        KeystoreError: the file exists already.
    """
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    cipher = AES.new(_stretched(password, salt, iterations), AES.MODE_GCM, nonce=nonce)
    cipher.update(purpose.encode())
    encrypted, tag = cipher.encrypt_and_digest(secret)
    parts = {"salt": salt, "nonce": nonce, "encrypted": encrypted, "tag": tag}
    content = {"version": _VERSION, "purpose": purpose, "iterations": iterations, **{name: part.hex() for name, part in parts.items()}}
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, path)
    except FileExistsError:
        raise KeystoreError(f"{path} exists already: a key is never overwritten") from None
    finally:
        unfinished.unlink(missing_ok=True)


def unlock(path: Path, purpose: str, password: str) -> bytes:
    """What `lock` wrote.

    Raises:
        WrongPasswordError: the password does not open it, or somebody changed the file.
        KeystoreError: the file is missing, damaged, or of another purpose.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, named, iterations = content["version"], content["purpose"], content["iterations"]
        salt, nonce, encrypted, tag = (bytes.fromhex(content[name]) for name in ("salt", "nonce", "encrypted", "tag"))
        known = version == _VERSION and named == purpose and 1 < iterations <= _LARGEST_ITERATIONS
    except OSError as error:
        raise KeystoreError(f"{path} cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise KeystoreError(f"{path} is no encrypted key, or damaged: {error!r}") from error
    if not known:
        raise KeystoreError(f"{path} is not the key of {purpose}, or of another version")
    try:
        cipher = AES.new(_stretched(password, salt, iterations), AES.MODE_GCM, nonce=nonce)
        cipher.update(purpose.encode())
        return cipher.decrypt_and_verify(encrypted, tag)
    except ValueError as error:
        raise WrongPasswordError(f"the password does not open {path}, or the file was changed") from error


def _stretched(password: str, salt: bytes, iterations: int) -> bytes:
    memory = 2 * 128 * _BLOCK_SIZE * iterations
    return hashlib.scrypt(password.encode(), salt=salt, n=iterations, r=_BLOCK_SIZE, p=_PARALLEL, maxmem=memory, dklen=32)
