"""What an owner or a buyer sends and receives through, where its aggregator uses a broker.

The wallet signs in at the aggregator's server, which vouches for an nkey that was made for this connection; with it one connects to the
broker. While that connection lasts, messages go both ways also when the aggregator is away. It must answer once for a new connection to
receive, and once for the first message of a training: who takes part.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from deltaml_core.errors import MessageError, NodeError, RefusedError, TransportError
from deltaml_core.signatures import SignedMessage
from deltaml_core.transport.base import Delivery
from deltaml_core.transport.http.client import HttpTransport
from deltaml_core.transport.http.sign_in import Admission, TextSigner
from deltaml_core.transport.nats import background, naming
from deltaml_core.transport.nats.connection import BROKEN, Connection, check_url, open_connection, pack, trust_for
from deltaml_core.transport.nats.inbox import Inbox
from deltaml_core.transport.nats.keys import ConnectionKey

_LONGEST_WAIT = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE, _FIRST_TIMEOUT = 0.1, 5.0, 1.0
_SLOWEST_BYTES = 1 << 18  # a second, of a connection that is waited for
_ENDS_SOON_SECONDS = 60.0
_HEADER_BYTES = 1024  # room for a message's headers
_TOO_LARGE = 10054  # JetStream's code for a message that its stream will never take

T = TypeVar("T")


class NatsTransport:
    """One participant's way to one aggregator over its broker; safe for one thread that sends and one that receives."""

    def __init__(
        self,
        url: str,
        signer: TextSigner,
        chain_id: int,
        *,
        authority: Path | None = None,
        insecure: bool = False,
        patience: float = 30.0,
        timeout: float = 10.0,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: the aggregator's HTTP server, as it names itself; it says where the broker is.
            signer: this participant's wallet.
            chain_id: the chain of the trainings.
            authority: a PEM file of certificates to trust instead of the system's, at the server and at the broker.
            insecure: allow http:// and nats:// to other machines, where others can act as this participant.
            patience: seconds for which a call is tried again before it fails.
            timeout: seconds after which somebody who says nothing is not waited for.

        Raises:
            MissingExtraError: nats-py or nkeys is not installed.
            NodeError: as `HttpTransport`.
        """
        self._door = HttpTransport(url, signer, chain_id, authority=authority, insecure=insecure, patience=patience, timeout=timeout)
        self._address = signer.address
        self._authority, self._insecure = authority, insecure
        self._patience, self._timeout = patience, timeout
        self._key = ConnectionKey()
        self._pass: Admission | None = None
        self._pass_ends = 0.0
        self._connection: Connection | None = None
        self._listens_on: Connection | None = None
        self._connecting = threading.Lock()
        self._participants: dict[str, frozenset[str]] = {}
        self._inbox = Inbox(self._address)
        self._closed = threading.Event()

    # --- the transport ---

    def send(self, data: bytes) -> None:
        """Hand a signed message over. When this returns the broker keeps it.

        Raises:
            TransportError: nobody answered within this transport's patience.
            RefusedError: it is no message (400), another's or for nobody in its training (403), too long for the broker (413), or the
                training is not known to the aggregator, yet (404).
        """
        self._check_open()
        try:
            signed = SignedMessage.decode(data)
            message = signed.open()
        except MessageError as error:
            raise RefusedError(f"not sent: {error}", 400) from error
        if message.sender != self._address:
            raise RefusedError(f"not sent: this message is {message.sender}'s: hand over your own only", 403)
        if message.recipient not in self._participants_of(message.request):
            raise RefusedError("not sent: the recipient takes no part in this training request", 403)
        self._attempt(partial(self._hand_over, data=data, digest=signed.digest.hex()))

    def receive(self, wait: float) -> list[Delivery]:
        """The oldest messages for this participant that it has not acknowledged; empty when there are none after `wait` seconds.

        Also empty after `close`, and when that is called meanwhile.

        Raises:
            TransportError: nobody answered within this transport's patience.
            RefusedError: this participant may not receive here.
        """
        deadline = time.monotonic() + min(max(wait, 0.0), _LONGEST_WAIT)
        while not self._closed.is_set():
            try:
                connection = self._attempt(self._listen)
            except TransportError:
                if self._closed.is_set():
                    break
                raise
            found = background.run(self._inbox.wait(connection, max(0.0, deadline - time.monotonic())))
            if self._closed.is_set():
                break
            if found or time.monotonic() >= deadline:
                return found
        return []

    def acknowledge(self, delivery: Delivery) -> None:
        """This message and all before it are kept here. The relay is told; where that is lost, it is told when they come again."""
        background.run(self._inbox.take(delivery.number))

    def register(self) -> None:
        """Offer this participant's data to the aggregator, at its server (T§7.1 step 2).

        Raises:
            TransportError: nobody answered.
            RefusedError: the aggregator will not have it.
        """
        self._door.register()

    def close(self) -> None:
        """Let go of connections and end a call that waits in another thread; nothing that was sent is lost.

        It waits a moment for the relay to confirm what was acknowledged, so that it need not be delivered again.
        """
        self._closed.set()
        self._door.close()
        background.run(self._inbox.end())
        with self._connecting:
            if self._connection is not None:
                background.run(self._connection.close())

    # --- at the broker ---

    async def _hand_over(self, connection: Connection, timeout: float, data: bytes, digest: str) -> None:
        packed, headers = await asyncio.to_thread(pack, data)
        if len(packed) + _HEADER_BYTES > connection.largest:
            raise RefusedError(f"a message of {len(packed)} bytes is longer than the broker takes: raise its max_payload", 413)
        headers["Nats-Msg-Id"] = digest
        answer = await connection.request(naming.subject("up", self._address), packed, timeout + len(packed) / _SLOWEST_BYTES, headers)
        error = answer.get("error")
        if isinstance(error, dict):
            words = f"the broker does not keep it: {str(error.get('description'))[:200]}"
            if error.get("err_code") == _TOO_LARGE:
                raise RefusedError(words, 413)
            raise TransportError(words)
        if answer.get("stream") != naming.UP:
            raise TransportError("somebody else than the relay's stream took the message")

    async def _listen(self, connection: Connection, timeout: float) -> Connection:
        """Have everything that was not acknowledged delivered again, once for a connection."""
        if self._listens_on is not connection:
            answer = await self._ask(
                connection, timeout, {"listen": True}
            )  # first: the consumer of before would go on behind what it delivered
            taken = answer.get("taken")
            if type(taken) is not int or taken < 0:
                raise TransportError("the relay does not say what was taken")
            await self._inbox.take(taken)
            await connection.subscribe(naming.subject(naming.DELIVERY, self._address), partial(self._inbox.arrived, connection))
            self._listens_on = connection
        return connection

    def _participants_of(self, request: str) -> frozenset[str]:
        if request not in self._participants:

            async def ask(connection: Connection, timeout: float) -> frozenset[str]:
                answer = await self._ask(connection, timeout, {"participants": request})
                found = answer.get("participants")
                if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
                    raise TransportError("the relay's answer names no participants")
                return frozenset(found)

            self._participants[request] = self._attempt(ask)
        return self._participants[request]

    async def _ask(self, connection: Connection, timeout: float, question: dict[str, object]) -> dict[str, Any]:
        data = json.dumps(question).encode("ascii")
        answer = await connection.request(naming.subject("ask", self._address), data, timeout)
        if "error" in answer:
            status = answer.get("status")
            raise RefusedError(f"the relay refuses: {str(answer['error'])[:500]}", status if isinstance(status, int) else 0)
        return answer

    # --- connections ---

    def _attempt(self, work: Callable[[Connection, float], Coroutine[Any, Any, T]]) -> T:
        """Do something over a connection, with so many seconds for an answer, tried again while it may help.

        The first tries do not wait long: between accounts the server does not say that nobody is there to answer.
        """
        deadline, pause, timeout = time.monotonic() + self._patience, _FIRST_PAUSE, _FIRST_TIMEOUT
        while True:
            self._check_open()
            try:
                return background.run(work(self._connected(), min(timeout, self._timeout)))
            except RefusedError:
                raise
            except ssl.SSLCertVerificationError as error:
                raise TransportError("the broker shows a certificate that is not trusted here: give its authority's file") from error
            except NodeError as error:
                raise RefusedError(f"{self._door.url} names a broker that is not connected to: {error}") from error
            except (*BROKEN, TransportError) as error:
                fault = str(error) or type(error).__name__
            left = deadline - time.monotonic()
            if left <= 0 or self._closed.wait(min(left, pause * (1 + secrets.randbelow(1001) / 1000) / 2)):
                raise TransportError(f"the broker of {self._door.url} cannot be reached: {fault}")
            pause, timeout = min(2 * pause, _LONGEST_PAUSE), 2 * timeout

    def _connected(self) -> Connection:
        with self._connecting:
            if self._connection is not None:
                if self._connection.is_open:
                    return self._connection
                background.run(self._connection.close())
                self._connection = None
            given = self._admitted()
            check_url(given.url, self._insecure)
            trust = trust_for(given.url, self._authority)
            opening = open_connection(given.url, self._key, given.token, naming.inbox(self._address), trust=trust, timeout=self._timeout)
            try:
                connection = background.run(opening)
            except BROKEN as error:
                if "authorization" in str(error).lower():
                    self._pass = None
                raise
            self._check_open(connection)
            self._connection = connection
            return connection

    def _admitted(self) -> Admission:
        if self._pass is None or time.monotonic() > self._pass_ends - _ENDS_SOON_SECONDS:
            self._pass = self._door.broker_pass(self._key.public)
            self._pass_ends = time.monotonic() + self._pass.seconds
        return self._pass

    def _check_open(self, connection: Connection | None = None) -> None:
        if self._closed.is_set():
            if connection is not None:
                background.run(connection.close())
            raise TransportError("this connection was closed")
