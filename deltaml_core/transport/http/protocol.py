"""Connections that dawdle are cut. uvicorn bounds the time between two calls only; this bounds that of a call's head and of its answer.

A body's time is bounded where it is read (`bodies.py`).
"""

from __future__ import annotations

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

HEAD_SECONDS = 10.0
"""From the connection, or the first byte of a call, to the end of its headers."""
ANSWER_SECONDS = 60.0
"""For which an answer may wait that the caller does not read."""


class ImpatientProtocol(H11Protocol):
    """uvicorn's connection, with deadlines and our form of an error; beyond uvicorn's `limit_concurrency` it is closed at once."""

    head_seconds = HEAD_SECONDS
    answer_seconds = ANSWER_SECONDS

    _head: asyncio.TimerHandle | None = None
    _answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller is there."""
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            transport.abort()
            return
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller is gone."""
        self._stop_head()
        self._stop_answer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something of a call came."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """A call was answered; if its body was not read to the end, nothing after it can be told from it."""
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()
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
        """Run the clock while a call's head is due or under way; uvicorn's own runs between calls."""
        due = self.conn.their_state is h11.IDLE and self.timeout_keep_alive_task is None and not self.transport.is_closing()
        if not due:
            self._stop_head()
        elif self._head is None:
            self._head = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_answer(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None
