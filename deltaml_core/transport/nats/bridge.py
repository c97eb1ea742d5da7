"""The aggregator's side: what comes in over the broker goes to the relay's store, what waits there goes out to whoever listens.

A message is acknowledged to the broker when the store has it, and one that was delivered when its recipient says that its store has it.
Whatever breaks, the next session begins with all that was not acknowledged, in its order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from deltaml_core.errors import TransportError
from deltaml_core.store.mail import Mail
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.server import HttpServer
from deltaml_core.transport.http.sign_in import Admission
from deltaml_core.transport.nats import background
from deltaml_core.transport.nats.connection import BROKEN, check_url, open_connection, trust_for
from deltaml_core.transport.nats.keys import PASS_SECONDS, BrokerKeys, ConnectionKey
from deltaml_core.transport.nats.session import Session

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_TIMEOUT = 10.0

log = logging.getLogger(__name__)


class Bridge:
    """Between one aggregator's store and its broker."""

    def __init__(
        self,
        relay: Relay,
        mail: Mail,
        keys: BrokerKeys,
        url: str,
        *,
        authority: Path | None = None,
        insecure: bool = False,
        replicas: int = 1,
    ) -> None:
        """Not connected yet.

        Args:
            relay: says who takes part, and keeps what comes in.
            mail: the same store.
            keys: of the broker.
            url: where it is reached, also by participants.
            authority: a PEM file of certificates to trust instead of the system's.
            insecure: allow nats:// to another machine.
            replicas: servers of a cluster that keep each message.

        Raises:
            NodeError: no broker's URL, or in the clear to another machine.
        """
        check_url(url, insecure)
        self.url = url
        self._relay, self._mail, self._keys = relay, mail, keys
        self._trust = trust_for(url, authority)
        self._replicas = replicas
        self._stopping: asyncio.Event | None = None
        self._life: Any = None
        self._session: Session | None = None

    def admit(self, participant: str, nkey: str) -> Admission:
        """Where the broker is, and a pass for it.

        Raises:
            RefusedError: no public nkey of a user (422).
        """
        return Admission(self.url, self._keys.admit(participant, nkey), PASS_SECONDS)

    def start(self) -> None:
        """Carry messages from now on, whenever the broker is there."""
        self._life = background.spawn(self._live())

    def stop(self) -> None:
        """Carry nothing more, and wait until nothing is carried."""
        if self._life is not None:
            background.run(self._stop())
            self._life.result()

    def forwarded(self, participant: str) -> int:
        """The place of the newest message of the store that this connection has handed to the broker for somebody; 0 for none."""
        return self._session.forwarded.get(participant, 0) if self._session is not None else 0

    def beside(self, server: HttpServer) -> BrokeredServer:
        """This bridge and the server that lets participants in to it, as one."""
        return BrokeredServer(server, self)

    async def _stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    async def _live(self) -> None:
        self._stopping, pause = asyncio.Event(), _FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                key = ConnectionKey()
                token = self._keys.admit_relay(key.public)
                connection = await open_connection(self.url, key, token, "_INBOX_relay", trust=self._trust, timeout=_TIMEOUT, name="relay")
                try:
                    self._session = Session(connection, self._relay, self._mail, self._replicas)
                    await self._session.run(self._stopping)
                    pause = _FIRST_PAUSE
                finally:
                    await connection.close()
            except (*BROKEN, TransportError) as error:
                log.warning("the broker %s is away: %s", self.url, str(error) or type(error).__name__)
            await _within(pause, self._stopping.wait())
            pause = min(2 * pause, _LONGEST_PAUSE)


class BrokeredServer:
    """An aggregator's server and its bridge: both work with one relay, whose threads end with the server."""

    def __init__(self, server: HttpServer, bridge: Bridge) -> None:
        """Made by `Bridge.beside`."""
        self._server, self._bridge = server, bridge

    @property
    def url(self) -> str:
        """Where the server's clients find it."""
        return self._server.url

    def start(self) -> None:
        """Let participants in."""
        self._server.start()
        self._bridge.start()

    def stop(self) -> None:
        """Let nobody in any more."""
        self._bridge.stop()
        self._server.stop()


async def _within(seconds: float, work: Coroutine[Any, Any, Any]) -> None:
    """Wait for something, but not longer."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return
