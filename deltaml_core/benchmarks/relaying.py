"""What an aggregator pays to take a message from its broker into its store, and to hand one from its store to the broker."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from deltaml_core.benchmarks.measure import WrongResultError
from deltaml_core.messages import Update
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Mail
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.server import HttpServer

_CHAIN_ID = 1337
_REQUEST = "bench"
_CIPHERTEXT_BITS = 4096
_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.01


def relaying(messages: int, length: int) -> tuple[float, float]:
    """CPU seconds of the aggregator for a message that comes in, and for one that goes out, the NATS server's not counted.

    The messages wait at the broker, or in the store, until all are there: then nobody else works in this process.

    Args:
        messages: how many each way.
        length: bytes of one, about.

    Raises:
        NodeError, MissingExtraError: there is no NATS server here, or no client.
        WrongResultError: a message did not arrive.
    """
    from deltaml_core.transport.nats.bridge import Bridge
    from deltaml_core.transport.nats.client import NatsTransport
    from deltaml_core.transport.nats.keys import BrokerKeys
    from deltaml_core.transport.nats.process import NatsServer

    host, owner, reader = LocalSigner(), LocalSigner(), LocalSigner()
    keys = BrokerKeys(secrets.token_bytes(32))
    with contextlib.ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="deltaml-bench-")))
        nats = closing.enter_context(NatsServer(keys, folder))
        database = Database(folder / "store.db")
        closing.callback(database.close)
        mail = Mail(database)
        everybody = frozenset({host.address, owner.address, reader.address})
        relay = Relay(mail, host.address, lambda _: everybody, registered=lambda _: None)
        bridge = Bridge(relay, mail, keys, nats.url)
        server = HttpServer(relay, _CHAIN_ID, broker=bridge)
        server.start()
        closing.callback(server.stop)
        bridge.start()
        closing.callback(bridge.stop)
        sender, waiting = (NatsTransport(server.url, signer, _CHAIN_ID) for signer in (owner, reader))
        closing.callback(sender.close)
        waiting.receive(0)
        waiting.close()
        sender.send(_said(owner, host.address, length))  # the relay has told who takes part
        bridge.stop()
        for _ in range(messages):
            sender.send(_said(owner, host.address, length))
        arrived = _Count(mail, host.address, messages)
        inwards = _spent(bridge.start, arrived.done.is_set)
        bridge.stop()
        for _ in range(messages):
            signed = SignedMessage.decode(_said(owner, reader.address, length))
            mail.keep(signed, signed.open())
        last = mail.waiting(reader.address, limit=messages)[-1].number
        outwards = _spent(bridge.start, lambda: bridge.forwarded(reader.address) >= last)
        return inwards / messages, outwards / messages


class _Count:
    """Whether so many more messages were written for somebody."""

    def __init__(self, mail: Mail, recipient: str, awaited: int) -> None:
        self.done = threading.Event()
        self._recipient, self._awaited = recipient, awaited
        mail.subscribe(self._arrived)

    def _arrived(self, recipients: Collection[str]) -> None:
        self._awaited -= self._recipient in recipients
        if self._awaited <= 0:
            self.done.set()


def _spent(begin: Callable[[], None], is_done: Callable[[], bool]) -> float:
    """CPU seconds of this process from the beginning of something to its end."""
    deadline, before = time.monotonic() + _PATIENCE_SECONDS, time.process_time()
    begin()
    while not is_done():
        if time.monotonic() > deadline:
            raise WrongResultError(f"messages were not relayed within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(_LOOK_SECONDS)
    return time.process_time() - before


def _said(sender: LocalSigner, recipient: str, length: int) -> bytes:
    weights = tuple(secrets.randbits(_CIPHERTEXT_BITS) for _ in range(max(1, 4 * length // _CIPHERTEXT_BITS)))
    message = Update(request=_REQUEST, round=1, sender=sender.address, recipient=recipient, scale=0, trainers=1, weights=weights)
    return SignedMessage.of(message, sender).encode()
