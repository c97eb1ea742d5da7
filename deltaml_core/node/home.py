"""Where a node lives: a folder with its encrypted keys, its store and its log.

wallet.json     the wallet, an eth-account keystore of version 3
keys/           a buyer's decryption keys, encrypted under the same password
store.db        messages, requests, transactions (`deltaml_core/store/`)
node.log        what happened, a JSON object a line
models/         what a buyer bought
transcripts/    an aggregator's records
"""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from deltaml_core import schemes
from deltaml_core.chain.wallet import SCRYPT_ITERATIONS, Wallet
from deltaml_core.errors import KeystoreError, NodeError
from deltaml_core.node import vault
from deltaml_core.schemes.base import PrivateKey

HOME_VARIABLE, PASSWORD_VARIABLE, PASSWORD_FILE_VARIABLE = "DELTAML_HOME", "DELTAML_PASSWORD", "DELTAML_PASSWORD_FILE"


@dataclass(frozen=True)
class Home:
    """A node's folder; only its user can read it."""

    path: Path

    @classmethod
    def at(cls, path: Path | None) -> Home:
        """The folder that was named, else the one in `DELTAML_HOME`, else `~/.deltaml`.

        Raises:
            NodeError: it cannot be made.
        """
        chosen = path or Path(os.environ.get(HOME_VARIABLE) or Path.home() / ".deltaml")
        try:
            for folder in (chosen, chosen / "keys", chosen / "models", chosen / "transcripts"):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise NodeError(f"{chosen} cannot be a node's home: {error.strerror}; name another with --home or {HOME_VARIABLE}") from error
        return cls(chosen)

    @property
    def keystore(self) -> Path:
        """The wallet's file."""
        return self.path / "wallet.json"

    @property
    def store(self) -> Path:
        """The database's file."""
        return self.path / "store.db"

    @property
    def log(self) -> Path:
        """The log's file."""
        return self.path / "node.log"

    def model(self, request: int) -> Path:
        """Where a bought model is written."""
        return self.path / "models" / f"request-{request}.json"

    def transcript(self, request: int) -> Path:
        """Where the record of a training is written."""
        return self.path / "transcripts" / f"request-{request}.jsonl"

    def wallet(self, password: str, *, iterations: int = SCRYPT_ITERATIONS) -> Wallet:
        """The wallet that lives here, made on first use.

        Raises:
            WrongPasswordError, KeystoreError: it cannot be opened.
        """
        if not self.keystore.exists():
            Wallet.create().save(self.keystore, password, iterations=iterations)
        return Wallet.load(self.keystore, password)

    def keep_key(self, key: PrivateKey, scheme: str, password: str, *, iterations: int = SCRYPT_ITERATIONS) -> Path:
        """Encrypt a decryption key into this home; one that is here already stays.

        Returns:
            Its path.
        """
        path, purpose = self._key_path(key.public.modulus, scheme)
        if not path.exists():
            vault.lock(path, purpose, key.secret(), password, iterations=iterations)
        return path

    def key(self, modulus: int, scheme: str, password: str) -> PrivateKey:
        """The decryption key of a modulus.

        Raises:
            WrongPasswordError, KeystoreError: it is not here, or cannot be opened.
        """
        path, purpose = self._key_path(modulus, scheme)
        key = schemes.private_key(scheme, vault.unlock(path, purpose, password))
        if key.public.modulus != modulus:
            raise KeystoreError(f"{path} holds the key of another modulus than it states")
        return key

    def _key_path(self, modulus: int, scheme: str) -> tuple[Path, str]:
        name = f"{modulus % (1 << 64):016x}"
        return self.path / "keys" / f"{name}.json", f"{scheme} key {modulus:x}"


def read_password(file: Path | None, prompt: str = "Password of the node's wallet: ", *, new: bool = False) -> str:
    """The password from a file, else from the environment, else from whoever sits at the terminal.

    Args:
        file: its first line is the password.
        prompt: what a person is asked.
        new: ask twice.

    Raises:
        NodeError: there is none to be had.
    """
    if file is not None:
        try:
            password = file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise NodeError(f"the password file {file} cannot be read: {error}") from error
    elif PASSWORD_VARIABLE in os.environ:
        password = os.environ[PASSWORD_VARIABLE]
    elif sys.stdin.isatty():
        password = getpass.getpass(prompt)
        if new and password != getpass.getpass("The same once more: "):
            raise NodeError("the two passwords differ: start again")
    else:
        raise NodeError(f"nobody is here to type the password: name a file with --password-file, or set {PASSWORD_VARIABLE}")
    if not password:
        raise NodeError("the password is empty: choose one")
    return password
