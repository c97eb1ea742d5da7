"""One connection to a broker. Nothing of it is kept when it breaks: whoever used it opens another."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ipaddress
import json
import logging
import ssl
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from deltaml_core.errors import MessageError, NodeError, TransportError
from deltaml_core.extras import require
from deltaml_core.messages import MAXIMUM_BYTES
from deltaml_core.transport.nats import naming
from deltaml_core.transport.nats.keys import ConnectionKey

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.js import JetStreamContext

nats = require("nats", "nats")
_errors = require("nats.errors", "nats")

_Error: type[Exception] = _errors.Error
BROKEN = (_Error, OSError, TimeoutError)
"""What a broker that is away, or goes away, raises."""

_COMPRESSED_FROM = 16 << 10
_CLOSE_SECONDS = 1.0
_PING_SECONDS, _PINGS = 20, 2  # a broker that says nothing for so long is gone

T = TypeVar("T")

log = logging.getLogger(__name__)


class Connection:
    """A connection; used in the loop of `background` only."""

    def __init__(self, client: Client) -> None:
        """Made by `open_connection`."""
        self._client = client
        self.lost = asyncio.Event()
        self.ended = False  # as nats-py says it

    @property
    def streams(self) -> JetStreamContext:
        """JetStream's interfaces, for the account that has them."""
        return self._client.jetstream()

    @property
    def is_open(self) -> bool:
        """Whether it can be used."""
        return self._client.is_connected and not self.lost.is_set()

    @property
    def largest(self) -> int:
        """Bytes of the longest message that the broker takes, headers included."""
        return self._client.max_payload

    async def request(self, subject: str, data: bytes, timeout: float, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that is answered.

        Raises:
            TransportError: something else was answered.
            nats.errors.Error, TimeoutError: nobody answered.
        """
        answer = await self._unless_lost(self._client.request(subject, data, timeout=timeout, headers=headers))
        try:
            found = json.loads(answer.data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise TransportError(f"the answer to {subject} is no JSON object")
        return found

    async def publish(self, subject: str, data: bytes) -> None:
        """Send without an answer."""
        await self._client.publish(subject, data)

    async def confirmed(self, subject: str, data: bytes, timeout: float) -> None:
        """Send, and wait until it is answered, whatever that says.

        Raises:
            nats.errors.Error, TimeoutError: nobody answered.
        """
        await self._unless_lost(self._client.request(subject, data, timeout=timeout))

    async def subscribe(self, subject: str, arrived: Callable[[Msg], Awaitable[None]] | None = None) -> Subscription:
        """Have what is published on a subject handled, one after the other; without `arrived`, it is in the subscription's `messages`."""
        return await self._client.subscribe(subject, cb=arrived)

    async def _unless_lost(self, work: Coroutine[Any, Any, T]) -> T:
        """What something comes to; an answer is not waited for where the connection breaks, as nats-py would."""
        task, lost = asyncio.ensure_future(work), asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({task, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _errors.ConnectionClosedError
            return task.result()
        finally:
            task.cancel()
            lost.cancel()

    def new_inbox(self) -> str:
        """A subject nobody else uses."""
        return self._client.new_inbox()

    async def close(self) -> None:
        """End it."""
        self.lost.set()
        if self._client.is_closed and not self.ended:
            self._client._status = self._client.DISCONNECTED  # what was left half-way by an error is done from the beginning
        with contextlib.suppress(*BROKEN):  # it may have ended already; and asyncio waits for ever for a socket whose TLS failed
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._client.close()


async def open_connection(
    url: str, key: ConnectionKey, token: str, inbox: str, *, trust: ssl.SSLContext | None, timeout: float, name: str = "deltaml"
) -> Connection:
    """Connect and sign in.

    Args:
        url: of the broker, nats:// or tls://.
        key: answers the server's challenge.
        token: the pass for that key.
        inbox: the beginning of the subjects for answers.
        trust: what certificates are checked with; with it the connection is over TLS or there is none.
        timeout: seconds.
        name: shown in the server's log.

    Raises:
        TransportError: the broker does not speak TLS where it must.
        nats.errors.Error, OSError, TimeoutError: it cannot be reached, or does not let this key in.
    """
    client: Client = nats.aio.client.Client()
    connection = Connection(client)
    plaintext: list[bool] = []

    def answer(nonce: str) -> bytes:
        # nats-py goes on in the clear when the server does not offer TLS. This is called before anything is sent: look at the socket.
        writer = client._transport._io_writer  # type: ignore[union-attr]  # there is no public way to it
        if trust is not None and writer.get_extra_info("ssl_object") is None:
            plaintext.append(True)
            raise _errors.SecureConnRequiredError
        return key.answer(nonce)

    async def ended() -> None:
        connection.ended = True
        connection.lost.set()

    async def told(error: Exception) -> None:
        log.debug("%s: %s", url, error)
        if isinstance(error, _errors.UnexpectedEOF):
            connection.lost.set()

    def reads_no_more(_: asyncio.Task[None]) -> None:
        connection.lost.set()

    options: dict[str, Any] = {"tls": trust} if trust is not None else {}
    try:
        async with asyncio.timeout(timeout):
            await client.connect(
                url,
                name=name,
                user_jwt_cb=lambda: token.encode(),
                signature_cb=answer,
                inbox_prefix=inbox,
                error_cb=told,
                closed_cb=ended,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=max(1, int(timeout)),
                ping_interval=_PING_SECONDS,
                max_outstanding_pings=_PINGS,
                **options,
            )
    except BaseException as error:
        await connection.close()
        if plaintext:
            raise TransportError(f"{url} does not speak TLS: nothing was sent to it. Switch TLS on at the broker") from error
        raise
    # nats-py calls `closed_cb` when it has sent what was left and closed the socket: where the broker died meanwhile, that fails or
    # waits, and nobody is called. Reading ends in any case.
    client._reading_task.add_done_callback(reads_no_more)  # type: ignore[union-attr]  # there is no public way to it
    return connection


def check_url(url: str, insecure: bool) -> None:
    """Whether a participant may connect there.

    Raises:
        NodeError: no broker's URL, or in the clear to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise NodeError(f"{url!r} is no broker's URL: {error}") from error
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in ("nats", "tls") or not host or more:
        raise NodeError(f"{url!r} is no broker's URL: give tls://name, with a port where it needs one")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if parts.scheme == "nats" and not (loopback or insecure):
        raise NodeError(f"{url} is in the clear, and others on the way could act as this participant: use tls://")


def trust_for(url: str, authority: Path | None) -> ssl.SSLContext | None:
    """What a broker's certificate is checked with; None where it has none.

    Raises:
        NodeError: the authority's file cannot be read.
    """
    if urlsplit(url).scheme != "tls":
        return None
    try:
        return ssl.create_default_context(cafile=None if authority is None else str(authority))
    except (OSError, ssl.SSLError) as error:
        raise NodeError(f"{authority} holds no certificates in PEM form: {error}") from error


def pack(data: bytes) -> tuple[bytes, dict[str, str]]:
    """What travels, and its headers."""
    if len(data) < _COMPRESSED_FROM:
        return data, {}
    return gzip.compress(data, compresslevel=1), {naming.ENCODING: "gzip"}


def unpack(data: bytes, headers: dict[str, str] | None) -> bytes:
    """What `pack` was given.

    Raises:
        MessageError: it expands beyond any message, or not at all.
    """
    if (headers or {}).get(naming.ENCODING) != "gzip":
        return data
    expanding = zlib.decompressobj(wbits=31)
    try:
        found = expanding.decompress(data, MAXIMUM_BYTES + 1)
    except zlib.error as error:
        raise MessageError(f"what is said to be gzip is not: {error}") from error
    if len(found) > MAXIMUM_BYTES or not expanding.eof:
        raise MessageError("what is compressed ends too early, or is longer than any message")
    return found
