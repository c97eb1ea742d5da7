"""Connections that dawdle are cut. uvicorn bounds the time between two calls only; this bounds that of a call's head and of its answer.

A body's time is bounded where it is read (`bodies.py`).
"""

from __future__ import annotations

import asyncio
import json
import socket

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a call, to the end of its headers; and for a body that is answered without being read."""
MOST_UNREAD = 1 << 20
"""Bytes of such a body that are let pass before the connection is closed."""
ANSWER_SECONDS = 60.0
"""For which an answer may wait that the caller does not read."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's connection, with deadlines and our form of an error; beyond uvicorn's `limit_concurrency` it is closed at once."""

    head_seconds = HEAD_SECONDS
    answer_seconds = ANSWER_SECONDS

    _head: asyncio.TimerHandle | None = None
    _answer: asyncio.TimerHandle | None = None
    _passed = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller is there."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            transport.abort()
            return
        # asyncio does so only for sockets that name their protocol: without, an answer's body waits 40 ms for its head's acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone."""
        self._stop_head()
        self._stop_answer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something of a call came."""
        self._passed = self._passed + len(data) if self._nobody_reads() else 0
        if self._passed > MOST_UNREAD:
            self.transport.close()
            return
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """A call was answered; what is still to come of its body is let pass, for closing now could lose the caller the answer."""
        super().on_response_complete()
        self._watch_head()

    def pause_writing(self) -> None:
        """The caller does not read."""
        super().pause_writing()
        self._stop_answer()
        self._answer = self.loop.call_later(self.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._stop_answer()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        body = json.dumps({"error": msg}).encode("ascii")
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=400, headers=headers, reason=STATUS_PHRASES[400]), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch_head(self) -> None:
        """Run the clock while a call's head, or a body that nobody reads, is due or under way; uvicorn's own runs between calls."""
        due = self.conn.their_state is h11.IDLE or self._nobody_reads()
        if not due or self.timeout_keep_alive_task is not None or self.transport.is_closing():
            self._stop_head()
        elif self._head is None:
            self._head = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _nobody_reads(self) -> bool:
        """Whether what comes is the rest of a call that is answered."""
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_answer(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None
