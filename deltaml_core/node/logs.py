"""A node's log: a line a person can read in the terminal, a JSON object a line in the file. Neither holds a secret or a ciphertext."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time
from pathlib import Path

LEVELS = ("debug", "info", "warning", "error")
_FILE_BYTES, _FILES = 10 << 20, 5
_FIELDS = ("request", "round", "kind", "peer", "transaction")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        content = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "where": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in _FIELDS if hasattr(record, name)},
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        request = f"request {record.request}: " if hasattr(record, "request") else ""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {level}{request}{record.getMessage()}"


def set_up(path: Path, level: str) -> None:
    """Log what the package says at `level` and above to the terminal, and at debug and above to a file that is rotated."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(_Line())
    terminal.setLevel(level.upper())
    file = logging.handlers.RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8", delay=True)
    file.setFormatter(_Json())
    package = logging.getLogger("deltaml_core")
    package.handlers = [terminal, file]
    package.setLevel(logging.DEBUG)
    package.propagate = False


def tear_down() -> None:
    """Close what `set_up` opened."""
    package = logging.getLogger("deltaml_core")
    for handler in package.handlers:
        handler.close()
    package.handlers = []
    package.propagate = True
