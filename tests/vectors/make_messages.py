"""Writes messages.json: one message of each kind and its canonical bytes, for every implementation of the wire format.

Run it only when a kind is added or `messages.VERSION` is raised; a line that changes without either breaks the peers.
Every value follows from its field's name and type, so that others can see what the bytes should hold.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

from deltaml_core import messages
from deltaml_core.messages import Message
from deltaml_core.messages.base import Digest, HexSignature, Large

PATH = Path(__file__).with_name("messages.json")
BIG = 0x1234567890ABCDEF << 200


def kinds() -> list[type[Message]]:
    """Every kind of message, by name."""
    found, waiting = [], [Message]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            waiting.append(cls)
            found.append(cls)
    return sorted(found, key=lambda cls: cls.kind)


def value(name: str, hint: Any) -> Any:
    """What a field of this name and type holds in the vectors."""
    number = len(name)
    values: dict[Any, Any] = {
        str: f"{name}-é-1",
        Digest: f"{number:064x}",
        HexSignature: f"{number:0130x}",
        bool: True,
        int: number,
        Large: -(BIG + number),
        tuple[int, ...]: (0, 1, -number, BIG + number),
        tuple[str, ...]: (name, f'{name}\n"2"'),
    }
    return values[hint]


def sample(cls: type[Message]) -> Message:
    """The vectors' message of a kind."""
    hints = get_type_hints(cls, include_extras=True)
    return cls(**{field.name: value(field.name, hints[field.name]) for field in fields(cls)})


def main() -> None:
    """Write the file."""
    entries = []
    for cls in kinds():
        message = sample(cls)
        content = {name: [str(v) for v in held] if isinstance(held, tuple) else str(held) for name, held in asdict(message).items()}
        entries.append({"kind": cls.kind, "values": content, "bytes": messages.encode(message).decode("ascii")})
    vectors = {"version": messages.VERSION, "encoding": "ASCII text of the canonical JSON; values in decimal", "messages": entries}
    PATH.write_text(json.dumps(vectors, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
