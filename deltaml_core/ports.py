"""Choosing a port on the loopback interface for a server that may have to come back to it."""

from __future__ import annotations

import secrets
import socket

_LOWEST, _HIGHEST = 10_000, 32_000
"""Below those that systems give to outgoing connections (32768 and up on Linux): a client that calls a closed port from among them again
and again is one day given that very port to call from, is connected to itself, and keeps the server from coming back."""


def free_port() -> int:
    """A port that nobody listens on now."""
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
