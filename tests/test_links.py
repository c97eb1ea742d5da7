"""Every relative link of the pages and notebooks leads to a file that exists, and its anchor to a heading there. No network."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "data").glob("*.md")),
    *sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts),
]
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+\"[^\"]*\")?\)")
_HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@cache
def prose(path: Path) -> str:
    """A page without its code."""
    if path.suffix == ".ipynb":
        text = "\n\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    return _FENCE.sub("", text)


def anchor(heading: str) -> str:
    """What a git host calls a heading."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


@cache
def anchors(path: Path) -> frozenset[str]:
    """All headings of a page; a repeated one has a number behind it."""
    seen: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(prose(path)):
        name = anchor(heading)
        count = seen[name] = seen.get(name, -1) + 1
        found.add(f"{name}-{count}" if count else name)
    return frozenset(found)


def links(path: Path) -> list[str]:
    """The targets of a page's relative links."""
    return [target for target in _LINK.findall(_CODE.sub("", prose(path))) if not _ELSEWHERE.match(target)]


def faults(path: Path) -> list[str]:
    """What is wrong with a page's links."""
    found = []
    for target in links(path):
        file, _, fragment = unquote(target).partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists():
            found.append(f"{target}: there is no such file")
        elif not there.is_relative_to(ROOT):
            found.append(f"{target}: leads out of the project")
        elif fragment and fragment not in anchors(there):
            found.append(f"{target}: there is no such heading")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    assert faults(path) == []


def test_a_broken_link_or_anchor_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "there.md").write_text("# One & two\n## `Three`\n## `Three`\n```\n# not a heading\n[no](link.md)\n```\n")
    page = tmp_path / "page.md"
    good = "[a](there.md) [b](there.md#one--two) [c](there.md#three-1) ![d](there.md) [e](https://elsewhere.example/x.md)"
    good += " `[f](no.md)` [g](#here)"
    page.write_text(f"# Here\n{good}\n[h](gone.md) [i](there.md#not-a-heading) [j](#nowhere) [k](../out.md)\n")
    (tmp_path.parent / "out.md").write_text("out")
    assert faults(page) == [
        "gone.md: there is no such file",
        "there.md#not-a-heading: there is no such heading",
        "#nowhere: there is no such heading",
        "../out.md: leads out of the project",
    ]


def test_the_chapters_link_to_the_glossary_where_a_word_is_new() -> None:
    chapters = [path for path in PAGES if path.parent.name == "00_walkthrough" and path.stem != "0_index"]
    assert len(chapters) == 8
    for path in chapters:
        assert [link for link in links(path) if "glossary.md#" in link] or path.stem.startswith("8_"), path.name
