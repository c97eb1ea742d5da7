"""What goes between a client and a computing party: a line of JSON that says what to do, and shares as bytes.

    length of the line (4 bytes) | length of the bytes (8 bytes) | line | bytes         all integers unsigned, highest byte first

The first thing a client sends is a greeting with the token both sides were given.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from deltaml_core.errors import ComputingPartyError

HEAD = struct.Struct(">IQ")
MAXIMUM_LINE = 1 << 16
MAXIMUM_BYTES = 1 << 32


def pack(content: dict[str, Any], payload: bytes = b"") -> bytes:
    """A frame."""
    line = json.dumps(content, separators=(",", ":")).encode()
    return HEAD.pack(len(line), len(payload)) + line + payload


def lengths(head: bytes) -> tuple[int, int]:
    """Of line and bytes.

    Raises:
        ComputingPartyError: longer than anything that is sent.
    """
    line, payload = HEAD.unpack(head)
    if line > MAXIMUM_LINE or payload > MAXIMUM_BYTES:
        raise ComputingPartyError("what arrived is no frame of a computation on shares: does something else listen on that port?")
    return line, payload


def read(line: bytes) -> dict[str, Any]:
    """The line of a frame.

    Raises:
        ComputingPartyError: it is not a JSON object.
    """
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ComputingPartyError(f"what arrived is no frame of a computation on shares: {error}") from error
    if not isinstance(content, dict):
        raise ComputingPartyError("what arrived is no frame of a computation on shares: its line is no object")
    return content
