"""An owner offers itself to an aggregator of its choice (T§7.1 step 2), as soon as that one can be reached."""

from __future__ import annotations

import logging
import threading

from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.errors import ChainError, NodeError, RefusedError, TransportError
from deltaml_core.node.lines import Connect, url_of
from deltaml_core.transport.base import Transport

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 60.0

log = logging.getLogger(__name__)


class Registration:
    """Tries in a thread of its own until it is done, refused or stopped."""

    def __init__(self, marketplace: Marketplace, connect: Connect, aggregator: str) -> None:
        """With the aggregator of this address; `start` begins."""
        self._marketplace = marketplace
        self._connect = connect
        self._aggregator = aggregator
        self._stopping = threading.Event()
        self._transport: Transport | None = None
        self._thread = threading.Thread(target=self._try, name=f"registration with {aggregator}", daemon=True)

    def start(self) -> None:
        """Begin to try."""
        self._thread.start()

    def stop(self) -> None:
        """Try no longer, and wait until it has ended."""
        self._stopping.set()
        if self._transport is not None:
            self._transport.close()
        if self._thread.ident is not None:
            self._thread.join()

    def _try(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                self._transport = self._connect(self._aggregator, url_of(self._marketplace, self._aggregator))
                self._transport.register()
                log.info("registered with aggregator %s", self._aggregator)
                return
            except RefusedError as error:
                log.warning("aggregator %s refused to register this owner: %s", self._aggregator, error)
                return
            except (ChainError, NodeError, TransportError) as error:
                log.debug("not registered with aggregator %s yet: %s", self._aggregator, error)
            finally:
                if self._transport is not None:
                    self._transport.close()
            self._stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
