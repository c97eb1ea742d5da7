"""The broker's accounts and the passes into them: NATS' JSON Web Tokens, version 2, signed with nkeys (Ed25519).

    operator      trusted by the server; vouches for the accounts
    relay         the account with the streams; the aggregator's own
    participants  the account of all others, without JetStream
    system        which the server needs for itself; nobody gets a pass

All four keys follow from one secret of the aggregator's, so nothing has to be kept, and a configuration written again is the same. A
pass is for an nkey that its holder made for this connection and for as long as it needs it: nothing has to be revoked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any, Protocol

from deltaml_core.errors import RefusedError
from deltaml_core.extras import require
from deltaml_core.transport.nats import naming

nkeys = require("nkeys", "nats")

PASS_SECONDS = 24 * 3600
_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT_LIMITS = {**_UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": 0}
_STREAM_LIMITS = {"mem_storage": 0, "disk_storage": -1, "streams": 3, "consumer": -1}  # one more than there are: looking at one counts
_SUBSCRIPTIONS = 8
_NO_DEFAULTS: dict[str, Any] = {"default_permissions": {"pub": {}, "sub": {}}}


class Deriving(Protocol):
    """Whoever has secrets that follow from a key. `chain.wallet.Wallet` has."""

    def derive(self, purpose: bytes) -> bytes:
        """32 secret bytes that follow from the key and a purpose."""


class ConnectionKey:
    """An nkey for one participant's connections, in this process only. Showing it shows its public part."""

    def __init__(self) -> None:
        """A new one."""
        self._pair = _pair(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)

    def __repr__(self) -> str:
        return f"ConnectionKey({self.public})"

    @property
    def public(self) -> str:
        """As NATS writes it: U and 55 letters and digits."""
        return _name(self._pair)

    def answer(self, nonce: str) -> bytes:
        """The signature of the server's challenge, base64."""
        return base64.b64encode(self._pair.sign(nonce.encode()))


class BrokerKeys:
    """The keys of one aggregator's broker."""

    def __init__(self, secret: bytes) -> None:
        """Derive them: HMAC-SHA256 of 32 secret bytes and each key's name."""

        def derived(name: str, prefix: int) -> Any:
            return _pair(hmac.digest(secret, b"DeltaML broker v1 " + name.encode(), "sha256"), prefix)

        self._operator = derived("operator", nkeys.PREFIX_BYTE_OPERATOR)
        self._system = derived("system", nkeys.PREFIX_BYTE_ACCOUNT)
        self._relay = derived("relay", nkeys.PREFIX_BYTE_ACCOUNT)
        self._participants = derived("participants", nkeys.PREFIX_BYTE_ACCOUNT)

    @classmethod
    def of(cls, wallet: Deriving) -> BrokerKeys:
        """The keys of the broker of this wallet's aggregator."""
        return cls(wallet.derive(b"broker"))

    def configuration(self) -> dict[str, str]:
        """What the server is told: the operator's token, each account's public key, and as `<account>_account` its token."""
        relay = _name(self._relay)
        kinds = dict.fromkeys(naming.SERVICES, "service") | {naming.DELIVERY: "stream"}
        exports = [{"name": kind, "subject": naming.everybodys(kind), "type": form} for kind, form in kinds.items()]
        imports = [{**export, "account": relay} for export in exports]
        accounts: dict[str, tuple[Any, dict[str, Any]]] = {
            "system": (self._system, {"limits": _ACCOUNT_LIMITS}),
            "relay": (self._relay, {"limits": {**_ACCOUNT_LIMITS, **_STREAM_LIMITS}, "exports": exports}),
            "participants": (self._participants, {"limits": _ACCOUNT_LIMITS, "imports": imports}),
        }
        told = {"operator": self._token(self._operator, _name(self._operator), "deltaml", {"type": "operator"})}
        for name, (pair, claims) in accounts.items():
            told[name] = _name(pair)
            told[f"{name}_account"] = self._token(self._operator, told[name], name, {"type": "account", **claims, **_NO_DEFAULTS})
        return told

    def admit(self, participant: str, nkey: str) -> str:
        """A pass for a participant, good for `PASS_SECONDS`.

        Args:
            participant: the address of the wallet that vouches for the nkey.
            nkey: the public part of what it will connect with.

        Raises:
            RefusedError: no public nkey of a user (422).
        """
        _check_public(nkey)
        allowed = naming.permissions(participant)
        claims = {"pub": {"allow": allowed["publish"]}, "sub": {"allow": allowed["subscribe"]}, **_UNLIMITED, "subs": _SUBSCRIPTIONS}
        return self._token(self._participants, nkey, participant, {"type": "user", **claims}, PASS_SECONDS)

    def admit_relay(self, nkey: str) -> str:
        """A pass into the account with the streams, for the aggregator itself."""
        return self._token(self._relay, nkey, naming.RELAY, {"type": "user", "pub": {}, "sub": {}, **_UNLIMITED}, PASS_SECONDS)

    def _token(self, issuer: Any, subject: str, name: str, claims: dict[str, Any], seconds: int | None = None) -> str:
        now = int(time.time()) if seconds is not None else 0  # so that a configuration is the same whenever it is written
        body: dict[str, Any] = {"iat": now, "iss": _name(issuer), "sub": subject, "name": name, "nats": {**claims, "version": 2}}
        if seconds is not None:
            body["exp"] = now + seconds
        body["jti"] = base64.b32encode(hashlib.sha256(_json(body)).digest()).decode().rstrip("=")
        text = f"{_base64(_json(_HEADER))}.{_base64(_json(body))}"
        return f"{text}.{_base64(issuer.sign(text.encode()))}"


def _pair(seed: bytes, prefix: int) -> Any:
    return nkeys.from_seed(nkeys.encode_seed(seed, prefix))


def _name(pair: Any) -> str:
    return str(pair.public_key.decode())


def _check_public(nkey: str) -> None:
    try:
        raw = base64.b32decode(nkey)
    except ValueError:
        raw = b""
    if len(raw) != 35 or raw[0] != nkeys.PREFIX_BYTE_USER or nkeys.crc16(raw[:-2]).to_bytes(2, "little") != raw[-2:]:
        raise RefusedError("this is no public nkey of a user: U and 55 letters and digits, with its checksum", 422)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode("ascii")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
