"""What every transport shares: whom it delivers to."""

from __future__ import annotations

from typing import Protocol

from deltaml_core.messages import Message


class Role(Protocol):
    """Whoever answers messages."""

    def handle(self, message: Message) -> list[Message]:
        """The answers to a message."""
