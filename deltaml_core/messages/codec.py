"""The only form a message takes on a wire: canonical JSON, version 1.

Canonical means: keys in order, no white space, ASCII. Integers that may be large are lower-case hexadecimal strings. A message
that does not decode to exactly its own bytes is refused, so there is one encoding of everything and hashes are unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from deltaml_core import canonical
from deltaml_core.errors import MessageError
from deltaml_core.messages.base import KINDS, Digest, HexSignature, Large, Message

VERSION = 1
MAXIMUM_BYTES = 64 << 20
"""No honest message is longer: 5,000 ciphertexts under a 16,384-bit modulus."""

_HEXADECIMAL = re.compile(r"-?(0|[1-9a-f][0-9a-f]*)\Z")
_DIGEST = re.compile(r"([0-9a-f]{64})?\Z")
_SIGNATURE = re.compile(r"([0-9a-f]{130})?\Z")
_SMALL = 1 << 53  # what every JSON reader holds exactly


def encode(message: Message) -> bytes:
    """The canonical bytes of a message."""
    content: dict[str, Any] = {"version": VERSION, "kind": message.kind}
    for name, codec in _codecs(message.kind).items():
        content[name] = codec.write(getattr(message, name))
    return canonical.dump(content)


def decode(data: bytes, sender: str | None = None) -> Message:
    """The message that `encode` made these bytes of.

    Args:
        data: what arrived.
        sender: whom to name when it is faulty; the transport knows.

    Raises:
        MessageError: too long, not canonical JSON of this version, an unknown kind, missing, extra or mistyped fields.
    """
    if len(data) > MAXIMUM_BYTES:
        raise MessageError(f"a message of {len(data)} bytes is longer than the {MAXIMUM_BYTES} allowed", sender)
    try:
        content = canonical.load(data)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"a message is not JSON: {error}", sender) from error
    if not isinstance(content, dict):
        raise MessageError("a message must be a JSON object", sender)
    if type(content.get("version")) is not int or content["version"] != VERSION:  # true and 1.0 equal 1, but are other bytes
        raise MessageError(f"message version {content.get('version')!r} is not {VERSION}; update the older side", sender)
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise MessageError(f"there is no message kind {kind!r}", sender)
    codecs = _codecs(kind)
    if set(content) != {"version", "kind", *codecs}:
        odd = sorted(set(content) ^ {"version", "kind", *codecs})
        raise MessageError(f"{kind}: missing or unknown fields {', '.join(odd)}", sender)
    values = {}
    for name, codec in codecs.items():
        try:
            values[name] = codec.read(content[name])
        except (TypeError, ValueError) as error:
            raise MessageError(f"{kind}: field {name!r} {error}", sender) from error
    if canonical.dump(content) != data:
        raise MessageError(f"{kind}: not in canonical form", sender)
    return KINDS[kind](**values)


@dataclass(frozen=True)
class _Codec:
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise TypeError("must be text of at most 200 characters")
    return value


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be true or false")
    return value


def _read_small(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _SMALL:
        raise TypeError("must be a whole number from 0 to 2**53 - 1")
    return value


def _read_large(value: Any) -> int:
    if not isinstance(value, str) or not _HEXADECIMAL.match(value) or value == "-0":
        raise TypeError("must hold hexadecimal numbers without leading zeros")
    return int(value, 16)


def _read_digest(value: Any) -> str:
    if not isinstance(value, str) or not _DIGEST.match(value):
        raise TypeError("must be a SHA-256 in lower-case hexadecimal, or empty")
    return value


def _read_signature(value: Any) -> str:
    if not isinstance(value, str) or not _SIGNATURE.match(value):
        raise TypeError("must be a signature of 65 bytes in lower-case hexadecimal, or empty")
    return value


def _read_list(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read_list(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError("must be a list")
        return tuple(read(item) for item in value)

    return read_list


def _write_large(value: int) -> str:
    return format(value, "x")


_CODECS: dict[Any, _Codec] = {
    str: _Codec(str, _read_text),
    Digest: _Codec(str, _read_digest),
    HexSignature: _Codec(str, _read_signature),
    bool: _Codec(bool, _read_flag),
    int: _Codec(int, _read_small),
    Large: _Codec(_write_large, _read_large),
    tuple[int, ...]: _Codec(lambda values: [_write_large(v) for v in values], _read_list(_read_large)),
    tuple[str, ...]: _Codec(list, _read_list(_read_text)),
}


@cache
def _codecs(kind: str) -> dict[str, _Codec]:
    hints = get_type_hints(KINDS[kind], include_extras=True)
    return {field.name: _CODECS[hints[field.name]] for field in fields(KINDS[kind])}
