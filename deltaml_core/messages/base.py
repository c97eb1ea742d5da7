"""What every message names, and the register of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

Large = Annotated[int, "hexadecimal on the wire"]

Digest = Annotated[str, "SHA-256 in hexadecimal, or empty"]

HexSignature = Annotated[str, "a wallet's signature, 65 bytes in hexadecimal, or empty"]


@dataclass(frozen=True, kw_only=True)
class Message:
    """What every message names.

    Attributes:
        request: identifies the training request.
        round: the round it belongs to; 0 before the first.
        sender: who says it.
        recipient: who it is meant for.
        answers: SHA-256 of the canonical bytes of the message it answers, hexadecimal; empty for none. Roles leave it to the transport.
    """

    kind: ClassVar[str]
    request: str
    round: int
    sender: str
    recipient: str
    answers: Digest = ""


KINDS: dict[str, type[Message]] = {}
_PUBLIC: set[str] = set()
_M = TypeVar("_M", bound=type[Message])


def kind(name: str, *, public: bool = False) -> Callable[[_M], _M]:
    """Register a message kind; `public` ones hold nothing that only some may read, and are shown in the public part of a transcript."""

    def register(message: _M) -> _M:
        message.kind = name
        KINDS[name] = message
        if public:
            _PUBLIC.add(name)
        return message

    return register


def is_public(message: Message) -> bool:
    """Whether everybody may read a message."""
    return message.kind in _PUBLIC
