"""What a caller sends, bounded in length before and after expansion, and in the time it may take."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from fastapi import Request

from deltaml_core.errors import RefusedError
from deltaml_core.messages import MAXIMUM_BYTES

SMALL = 64 << 10
"""Bytes of anything but a message."""
LARGE = MAXIMUM_BYTES + 1024
"""Bytes of a signed message."""
GRACE_SECONDS = 15.0
"""What everybody gets for a body, besides a second for each `SLOWEST` bytes."""
SLOWEST = 32 << 10

_GZIP = 31  # zlib's window bits for it


async def read(request: Request, maximum: int) -> bytes:
    """The body as it was before `Content-Encoding: gzip`.

    Raises:
        RefusedError: it is too long (413), too slow (408), in another encoding (415), or damaged (400).
    """
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise RefusedError("a body is sent as it is, or with Content-Encoding gzip", 415)
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdecimal() and (len(announced) > 15 or int(announced) > maximum):
        raise _too_long(maximum)
    body, raw = bytearray(), 0
    expander = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
    async for chunk in _chunks(request):
        raw += len(chunk)
        body += _expanded(expander, chunk, maximum + 1 - len(body)) if expander else chunk
        if max(raw, len(body)) > maximum:
            raise _too_long(maximum)
    if expander and not expander.eof:
        raise RefusedError("the gzip data ends too early", 400)
    return bytes(body)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream, received = request.stream(), 0
    begun = asyncio.get_running_loop().time()
    while True:
        try:
            async with asyncio.timeout_at(begun + GRACE_SECONDS + received / SLOWEST):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise RefusedError(f"the body came slower than {SLOWEST} bytes a second", 408) from None
        if chunk is None:
            return
        received += len(chunk)
        yield chunk


def _expanded(expander: zlib._Decompress, chunk: bytes, room: int) -> bytes:
    try:
        found = expander.decompress(chunk, room)
    except zlib.error as error:
        raise RefusedError(f"the body is not gzip data: {error}", 400) from error
    if expander.unused_data:
        raise RefusedError("something follows the gzip data", 400)
    return found


def _too_long(maximum: int) -> RefusedError:
    return RefusedError(f"the body is longer than the {maximum} bytes allowed", 413)
