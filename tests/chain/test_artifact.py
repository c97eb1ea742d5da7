"""The committed artifacts are what the sources compile to, and fit a chain that enforces the code limit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from deltaml_core.chain.ganache import CONTRACTS, find_node
from deltaml_core.chain.marketplace import ARTIFACT


@pytest.mark.parametrize("name", ["Marketplace", "Rules2019"])
def test_recompiling_gives_the_committed_artifact_below_the_code_limit(name: str, tmp_path: Path) -> None:
    compiled = tmp_path / f"{name}.json"
    said = subprocess.run(
        [find_node(), str(CONTRACTS / "tools" / "compile.mjs"), str(compiled), name], check=True, capture_output=True, text=True
    ).stdout
    committed = ARTIFACT.with_name(f"{name}.json")
    assert compiled.read_text() == committed.read_text(), "run `npm run build --prefix contracts` and commit the artifact"
    assert int(said.split("runtime code ")[1].split()[0]) < 24_576
