"""The one JSON form of everything that is hashed or signed, and a reader for what others sent.

Canonical means: keys in order, no white space, ASCII, no NaN.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAXIMUM_DEPTH = 16
"""Nothing honest is nested deeper."""

_STRUCTURE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def dump(content: Any) -> bytes:
    """The canonical bytes.

    Raises:
        ValueError: it holds NaN or an infinity.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def load(data: bytes | str) -> Any:
    """Read JSON from others; whether it is canonical is for the caller to compare.

    Deep nesting is refused before Python's reader sees it: that one only counts on the recursion limit, which some packages raise
    (py_ecc, which web3 imports, to 100,000), and then ends the process.

    Raises:
        ValueError: no JSON, or nested deeper than `MAXIMUM_DEPTH`.
    """
    text = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    if text.count(b"[") + text.count(b"{") > MAXIMUM_DEPTH:
        depth = 0
        for part in _STRUCTURE.finditer(text):
            depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(part[0], 0)
            if depth > MAXIMUM_DEPTH:
                raise ValueError(f"it is nested deeper than {MAXIMUM_DEPTH} levels")
    return json.loads(data)
