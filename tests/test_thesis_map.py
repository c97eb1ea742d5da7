"""The thesis map points to what exists: every file, and every test in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "thesis-map.md").read_text(encoding="utf-8")
_FOLDERS = "tests|contracts|deltaml_core|notebooks|data|docs"
POINTERS = sorted(set(re.findall(rf"`((?:{_FOLDERS})/[\w./-]+)(?:::(\w+))?`", TEXT)))
ROWS = [re.split(r"\s*\|\s*", line)[1:-1] for line in TEXT.splitlines() if line.startswith("|") and not re.match(r"\|[-|]+$", line)]


@pytest.mark.parametrize(("path", "name"), POINTERS)
def test_what_it_points_to_is_there(path: str, name: str) -> None:
    file = ROOT / path
    assert file.exists()
    if name:
        keyword = "function" if path.endswith(".sol") else "def"
        assert re.search(rf"^\s*{keyword} {name}\(", file.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_every_line_says_where_it_lives_or_that_it_does_not_yet() -> None:
    assert len(ROWS) > 50
    for what, where, shown in (row for row in ROWS if row[0] not in ("what", "limitation")):
        assert where, what
        assert "not yet" in where or "stands" in where or "::" in shown or "`tests/" in shown, what


def test_it_covers_every_section_that_the_code_cites() -> None:
    cited = {
        section
        for path in (ROOT / "deltaml_core").rglob("*.py")
        for section in re.findall(r"T§(\d+(?:\.\d+)*)", path.read_text(encoding="utf-8"))
    }
    assert {section for section in cited if f"T§{section}" not in TEXT} == set()
