"""Every example of docs/extending.md runs as it stands, alone, and is no longer than a screen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n.*?^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


def test_there_is_one_of_each_kind() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") == 5


@pytest.mark.parametrize("title", EXAMPLES)
@pytest.mark.filterwarnings("ignore::deltaml_core.errors.VisibleModelWarning", "ignore::deltaml_core.errors.InsecureKeyWarning")
def test_an_example_runs(title: str) -> None:
    example = EXAMPLES[title]
    assert "assert" in example
    assert len(example.splitlines()) < 60
    exec(compile(example, title, "exec"), {"__name__": "__main__"})
