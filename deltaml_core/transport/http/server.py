"""The thread of an aggregator's process that serves its relay."""

from __future__ import annotations

import resource
import socket
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from deltaml_core.errors import NodeError
from deltaml_core.transport.http.app import application
from deltaml_core.transport.http.protocol import ImpatientProtocol
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.sign_in import Broker, Doorkeeper, Site

BETWEEN_CALLS_SECONDS = 20
"""For which a connection may lie idle between two calls."""
_STOP_SECONDS = 5
_FILES_WANTED = 16_384
_FILES_KEPT = 200  # for the store, the chain, the logs


@dataclass(frozen=True)
class Certificate:
    """The files of a TLS certificate, PEM: its chain and its key."""

    chain: Path
    key: Path


class HttpServer:
    """One aggregator's server, on a socket of its own.

    Attributes:
        url: where its clients find it.
    """

    def __init__(
        self,
        relay: Relay,
        chain_id: int,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        url: str | None = None,
        certificate: Certificate | None = None,
        protocol: type[ImpatientProtocol] = ImpatientProtocol,
        broker: Broker | None = None,
    ) -> None:
        """Take the port; nobody is answered before `start`.

        Args:
            relay: passes messages on.
            chain_id: the chain its trainings are on.
            host: of the interface to listen at.
            port: 0 for any that is free.
            url: what clients call this server, when that is another address than it listens at, for example a reverse proxy's.
                They sign in to this address, so it must be the one they use.
            certificate: for https; without, http, for the loopback or behind a proxy that adds TLS.
            protocol: of a connection.
            broker: which participants that ask for it are let in to.

        Raises:
            NodeError: the port is taken, the host is not this machine's, or the certificate cannot be read.
        """
        self._relay = relay
        try:
            self._socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)
        except OSError as error:
            raise NodeError(f"cannot listen at {host} port {port} ({error.strerror}): choose another port, or end what uses it") from error
        shown = f"[{host}]" if ":" in host else host
        own = f"{'https' if certificate else 'http'}://{shown}:{self._socket.getsockname()[1]}"
        self.url = (url or own).rstrip("/")
        site = Site(self.url, chain_id)
        config = uvicorn.Config(
            application(relay, site, Doorkeeper(site), broker),
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_room_for_connections(),
            timeout_keep_alive=BETWEEN_CALLS_SECONDS,
            timeout_graceful_shutdown=_STOP_SECONDS,
            ssl_certfile=certificate.chain if certificate else None,
            ssl_keyfile=certificate.key if certificate else None,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            self._socket.close()
            raise NodeError(f"the certificate {certificate} cannot be read: {error}") from error
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http-server", daemon=True)

    def start(self) -> None:
        """Answer from now on; callers that were there before waited for this."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what is under way, end waiting calls, and give the port back."""
        self._server.should_exit = True
        self._relay.end_polls()
        if self._thread.ident is not None:
            self._thread.join()
        self._socket.close()


def _room_for_connections() -> int:
    """How many connections this process can hold, once it was allowed as many files as it may be without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(16, (wanted if soft == resource.RLIM_INFINITY else soft) - _FILES_KEPT)
