"""README says what is measured, and names what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "docs" / "tools" / "readme_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_tables_are_those_of_the_committed_measurements(tables: ModuleType) -> None:
    assert tables.written(TEXT) == TEXT, "make readme writes them"
    assert tables.speed() in TEXT
    assert tables.gas() in TEXT


def test_a_table_that_has_drifted_is_written_anew(tables: ModuleType) -> None:
    drifted = "before\n<!-- speed -->\n| old |\n<!-- /speed -->\nbetween\n<!-- gas -->\n\n<!-- /gas -->\nafter\n"
    assert tables.written(drifted) == (
        f"before\n<!-- speed -->\n{tables.speed()}\n<!-- /speed -->\nbetween\n<!-- gas -->\n{tables.gas()}\n<!-- /gas -->\nafter\n"
    )


def test_the_file_map_names_files_that_exist_and_every_package() -> None:
    block = TEXT.split("## Where to find what")[1].split("```")[1]
    named = {name for name in re.findall(r"[\w./]+", block) if name.endswith((".py", "/"))}
    below = ROOT / "deltaml_core"
    folders = (ROOT, below, ROOT / "notebooks", ROOT / "tests")
    assert [name for name in named if not any((folder / name).exists() for folder in folders)] == []
    packages = {f"{path.name}/" for path in below.iterdir() if (path / "__init__.py").exists()}
    assert packages - named == set()


def test_its_targets_of_make_exist() -> None:
    for folder, named in ((".", r"(?:`|^    )make ([a-z]+[a-z-]*)"), ("contracts", r"`make -C contracts ([a-z-]+)")):
        makefile = (ROOT / folder / "Makefile").read_text(encoding="utf-8")
        used = set(re.findall(named, TEXT, re.MULTILINE))
        assert used
        assert used <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
