"""Counts for Prometheus: how much, never who or what."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as Event

from deltaml_core.messages import Message


class Metrics:
    """One server's counts."""

    def __init__(self, polls: Callable[[], int], tokens: Callable[[], int]) -> None:
        """All at zero; two are looked up when somebody asks."""
        self._registry = CollectorRegistry()
        self._requests = Counter("deltaml_http_requests", "Answered calls", ["route", "status"], registry=self._registry)
        self._messages = Counter("deltaml_messages", "New messages passed on", ["kind"], registry=self._registry)
        self._bytes = Counter("deltaml_message_bytes", "Their bytes", ["kind"], registry=self._registry)
        Gauge("deltaml_waiting_polls", "Calls that wait for messages", registry=self._registry).set_function(polls)
        Gauge("deltaml_tokens", "Participants signed in", registry=self._registry).set_function(tokens)

    def passed_on(self, message: Message, size: int) -> None:
        """Count a message."""
        self._messages.labels(message.kind).inc()
        self._bytes.labels(message.kind).inc(size)

    def answered(self, route: str, status: int) -> None:
        """Count a call."""
        self._requests.labels(route, str(status)).inc()

    def text(self) -> bytes:
        """In the form that Prometheus reads."""
        return generate_latest(self._registry)


class CountingCalls:
    """The application behind it, with every answer counted under its route's template: a stranger's paths make no new series."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        """Count what this application answers."""
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counted(event: Event) -> None:
            if event["type"] == "http.response.start":
                self._metrics.answered(getattr(scope.get("route"), "path", "none"), event["status"])
            await send(event)

        await self._app(scope, receive, counted)
