"""Every kind of source, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shelves import MAKERS, Columns


@pytest.fixture(params=list(MAKERS))
def source_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Columns], Any]:
    """Turns columns into a source of one kind."""
    return lambda columns: MAKERS[request.param](columns, tmp_path)
