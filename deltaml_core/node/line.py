"""A participant's line to one aggregator: what it said goes out, what is for it comes in, for as long as a training needs it."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Collection

from deltaml_core.errors import ChainError, MessageError, RefusedError, TransportError
from deltaml_core.node.seat import Seat
from deltaml_core.signatures import SignedMessage
from deltaml_core.store.mail import Mail
from deltaml_core.transport.base import Transport

WAIT_SECONDS = 20.0
"""How long one question for new messages is left open."""

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 10.0
_LATER = frozenset({401, 404, 408, 429})
"""Refusals that pass: the aggregator has not read the chain yet, or is too busy."""

log = logging.getLogger(__name__)


class Line:
    """Carries messages until it is closed, in a thread each way; whatever goes wrong on the way is tried again."""

    def __init__(
        self,
        address: str,
        peer: str,
        transport: Transport,
        mail: Mail,
        seat: Callable[[str], Seat | None],
        requests: Callable[[], Collection[str]],
        fail: Callable[[BaseException], None],
        rests: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the line.

        Args:
            address: whose line it is.
            peer: the aggregator's address.
            transport: the way to it; closed with the line.
            mail: the participant's messages.
            seat: the seat at a training, None where there is none.
            requests: the trainings whose messages go out here.
            fail: told of an error that no retry mends.
            rests: told whenever what came was answered, or what was said was sent.
        """
        self._address = address
        self._peer = peer
        self._transport = transport
        self._mail = mail
        self._seat = seat
        self._requests = requests
        self._fail = fail
        self._rests = rests
        self._sending, self._handling = False, False
        self._closed = threading.Event()
        self._something_to_send = threading.Event()
        mail.subscribe(self._look)
        self._threads = [
            threading.Thread(target=self._keep_at, args=(turn,), name=f"{name} {peer}", daemon=True)
            for name, turn in (("to", self._send), ("from", self._receive))
        ]
        self.look()
        for thread in self._threads:
            thread.start()

    def look(self) -> None:
        """See what is to be sent: another training's messages go out here from now on."""
        self._something_to_send.set()

    @property
    def resting(self) -> bool:
        """Whether it waits for messages, and has none to handle or to send."""
        return not (self._handling or self._sending or self._something_to_send.is_set())

    def hang_up(self) -> None:
        """Carry nothing more, soon."""
        self._closed.set()
        self._mail.unsubscribe(self._look)
        self.look()
        self._transport.close()

    def join(self) -> None:
        """Wait until nothing is carried any more."""
        for thread in self._threads:
            thread.join()

    def _look(self, _: Collection[str]) -> None:
        self.look()

    def _keep_at(self, turn: Callable[[], None]) -> None:
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not self._closed.is_set():
                try:
                    turn()
                    pause = _FIRST_PAUSE_SECONDS
                except (TransportError, ChainError) as error:
                    if not self._closed.is_set():
                        log.info("waits %.1f s for %s: %s", pause, self._peer, error)
                        self._closed.wait(pause * (0.5 + secrets.randbelow(1000) / 2000))
                        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        except BaseException as error:  # the node ends with it: see `Node.run`
            self._fail(error)
            raise

    def _send(self) -> None:
        self._sending = False
        self._rests()
        self._something_to_send.wait()
        self._sending = True
        self._something_to_send.clear()
        try:
            for kept in self._mail.unsent(self._address, self._requests()):
                try:
                    self._transport.send(kept.body)
                except RefusedError as error:
                    if error.status in _LATER:
                        raise
                    log.warning("%s will not have a message: %s", self._peer, error, extra={"request": kept.request})
                self._mail.handed_over(kept.number)
        except TransportError:
            self._something_to_send.set()
            raise

    def _receive(self) -> None:
        self._handling = False
        self._rests()
        deliveries = self._transport.receive(WAIT_SECONDS)
        self._handling = True
        for delivery in deliveries:
            self._deliver(delivery.data)
            self._transport.acknowledge(delivery)

    def _deliver(self, data: bytes) -> None:
        try:
            signed = SignedMessage.decode(data)
            message = signed.open()
        except MessageError as error:
            log.warning("dropped what is no message: %s", error)
            return
        seat = self._seat(message.request)
        if seat is None:
            log.warning("has no part in what %s of %s is about", message.kind, message.sender, extra={"request": message.request})
            return
        seat.arrived(signed, message)
