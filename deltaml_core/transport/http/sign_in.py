"""Who calls: a wallet signs a text for a nonce of the server, and gets a token for ten minutes (EIP-4361, "Sign-In with Ethereum").

A client signs only a text that it made itself, for the server it meant to reach; a server accepts only the text that belongs to its
own name and chain. So a server that a participant signs in to cannot sign in elsewhere in the participant's name.

    nonce    time, randomness, and a keyed hash of both: the server remembers none until it was used
    token    32 random bytes; the server keeps their hash, in memory only
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from deltaml_core.errors import RefusedError, SignatureError
from deltaml_core.signatures import recover_text

NONCE_SECONDS = 5 * 60
TOKEN_SECONDS = 10 * 60
MAXIMUM_TOKENS = 20_000
"""More are given, and the oldest end early: their holders sign in again."""
MAXIMUM_SIGN_INS = 100_000
"""In five minutes; their nonces are remembered so that each works once."""

_STATEMENT = "Exchange messages of DeltaML trainings with this aggregator."
_STAMP, _RANDOM, _MARK = 8, 8, 16  # bytes of a nonce
_NONCE = re.compile(rf"[0-9a-f]{{{2 * (_STAMP + _RANDOM + _MARK)}}}")
_SIGNED_TEXT = re.compile(r"[^\n]+\n(?P<address>0x[0-9A-Fa-f]{40})\n.*\nNonce: (?P<nonce>[0-9a-f]+)\n[^\n]+\n[^\n]+", re.DOTALL)


class TextSigner(Protocol):
    """Whoever can sign in. `chain.wallet.Wallet` and `signatures.LocalSigner` can."""

    @property
    def address(self) -> str:
        """Of the key, checksummed."""

    def sign_text(self, text: str) -> bytes:
        """The signature (EIP-191) of a text, 65 bytes."""


@dataclass(frozen=True)
class Site:
    """Where one signs in.

    Attributes:
        url: the server's address as its clients know it.
        chain_id: the chain its trainings are on.
    """

    url: str
    chain_id: int

    def text(self, address: str, nonce: str) -> str:
        """What somebody signs to sign in here.

        Raises:
            SignatureError: the nonce has another form than this module's, so nobody should sign it.
        """
        if not _NONCE.fullmatch(nonce):
            raise SignatureError("the nonce to be signed has an unknown form")
        issued = _issued(nonce)
        try:
            begins, ends = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (issued, issued + NONCE_SECONDS))
        except (ValueError, OverflowError, OSError) as error:
            raise SignatureError("the nonce to be signed states no time") from error
        return (
            f"{urlsplit(self.url).netloc} wants you to sign in with your Ethereum account:\n{address}\n\n{_STATEMENT}\n\n"
            f"URI: {self.url}\nVersion: 1\nChain ID: {self.chain_id}\nNonce: {nonce}\nIssued At: {begins}\nExpiration Time: {ends}"
        )


@dataclass(frozen=True)
class Admission:
    """What lets a participant in at the aggregator's broker.

    Attributes:
        url: where the broker is.
        token: for whoever holds the nkey that it names.
        seconds: how long it is good for.
    """

    url: str
    token: str
    seconds: int


class Broker(Protocol):
    """An aggregator's broker, which its server lets participants in to. `transport.nats.bridge.Bridge` is one."""

    def admit(self, participant: str, nkey: str) -> Admission:
        """Vouch for an nkey of a participant who has signed in.

        Raises:
            RefusedError: no nkey (422).
        """


class Doorkeeper:
    """Gives nonces and tokens. Used from one thread."""

    def __init__(self, site: Site, clock: Callable[[], float] = time.time) -> None:
        """Nobody is signed in."""
        self._site = site
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._used: dict[str, float] = {}
        self._tokens: dict[bytes, tuple[str, float]] = {}

    def __len__(self) -> int:
        self._forget()
        return len(self._tokens)

    def nonce(self) -> str:
        """A new one, good for five minutes and one sign-in."""
        body = int(self._clock()).to_bytes(_STAMP, "big") + secrets.token_bytes(_RANDOM)
        return (body + self._mark(body)).hex()

    def sign_in(self, text: str, signature: bytes) -> str:
        """A token for whoever signed this site's text.

        Raises:
            SignatureError: the text is not this site's, its nonce was used or is too old, or somebody else signed it.
            RefusedError: too many sign in.
        """
        self._forget()
        if len(self._used) >= MAXIMUM_SIGN_INS:
            raise RefusedError("too many sign in at present: try again in some minutes", 429)
        found = _SIGNED_TEXT.fullmatch(text)
        if found is None:
            raise SignatureError("this is no text to sign in with (EIP-4361)")
        address, nonce = found["address"], found["nonce"]
        if not self._gave(nonce):
            raise SignatureError("this nonce was not given here: ask for another")
        if self._clock() >= _issued(nonce) + NONCE_SECONDS or nonce in self._used:
            raise SignatureError("this nonce was used, or is too old: ask for another")
        if text != self._site.text(address, nonce):
            raise SignatureError(f"the signed text must be for {self._site.url} and chain {self._site.chain_id}, and say nothing else")
        if recover_text(text, signature) != address:
            raise SignatureError("somebody else signed this text than it names")
        self._used[nonce] = _issued(nonce) + NONCE_SECONDS
        token = secrets.token_urlsafe(32)
        self._tokens[_hash(token)] = address, self._clock() + TOKEN_SECONDS
        return token

    def whose(self, token: str) -> str | None:
        """The address that a token was given to; None when it is none, or has ended."""
        self._forget()
        found = self._tokens.get(_hash(token))
        return found[0] if found else None

    def _forget(self) -> None:
        """Let go of what has ended: both dictionaries are in the order of giving, nearly that of ending."""
        now = self._clock()
        while self._used and next(iter(self._used.values())) <= now:
            del self._used[next(iter(self._used))]
        while self._tokens and (len(self._tokens) > MAXIMUM_TOKENS or next(iter(self._tokens.values()))[1] <= now):
            del self._tokens[next(iter(self._tokens))]

    def _gave(self, nonce: str) -> bool:
        if not _NONCE.fullmatch(nonce):
            return False
        data = bytes.fromhex(nonce)
        return hmac.compare_digest(self._mark(data[:-_MARK]), data[-_MARK:])

    def _mark(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:_MARK]


def _issued(nonce: str) -> int:
    return int(nonce[: 2 * _STAMP], 16)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
