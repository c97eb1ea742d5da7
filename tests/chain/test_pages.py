"""The contract's pages say what its sources say."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deltaml_core.chain.ganache import CONTRACTS, find_node

PAGES = CONTRACTS.parent / "docs" / "contract"


def test_the_generated_pages_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([find_node(), str(CONTRACTS / "tools" / "pages.mjs"), str(tmp_path)], check=True, capture_output=True)
    for name in ("reference.md", "costs.md"):
        assert (tmp_path / name).read_text() == (PAGES / name).read_text(), "run `make -C contracts pages` and commit the pages"


def test_the_life_page_names_every_call_that_changes_something() -> None:
    reference = (PAGES / "reference.md").read_text().split("## Calls that only read")[0]
    calls = [line.removeprefix("### ") for line in reference.splitlines() if line.startswith("### ")]
    table = (PAGES / "README.md").read_text().split("## Who can call what, when")[1].split("## Every deadline")[0]
    assert len(calls) > 15
    assert [call for call in calls if f"`{call}`" not in table] == []
