"""Optional packages: imported where they are used, with one clear message when they are missing."""

from __future__ import annotations

import importlib
from types import ModuleType

from deltaml_core.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package's module.

    Args:
        module: its name, dots included.
        extra: the extra of `deltaml-core` that installs it.

    Raises:
        MissingExtraError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise  # the package is there, but something it needs is not: its own message says what
        raise MissingExtraError(f"{module} is not installed: pip install 'deltaml-core[{extra}]'") from error
