"""The committed artifact is what the sources compile to, and fits a chain that enforces the code limit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deltaml_core.chain.ganache import CONTRACTS, find_node
from deltaml_core.chain.marketplace import ARTIFACT


def test_recompiling_gives_the_committed_artifact_below_the_code_limit(tmp_path: Path) -> None:
    compiled = tmp_path / "Marketplace.json"
    said = subprocess.run(
        [find_node(), str(CONTRACTS / "tools" / "compile.mjs"), str(compiled)], check=True, capture_output=True, text=True
    ).stdout
    assert compiled.read_text() == ARTIFACT.read_text(), "run `npm run build --prefix contracts` and commit the artifact"
    assert int(said.split("runtime code ")[1].split()[0]) < 24_576
