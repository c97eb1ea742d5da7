"""An extra that is missing is asked for by name; the tests of each that CI installs lie beside what uses it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deltaml_core.errors import MissingExtraError
from deltaml_core.extras import require
from deltaml_core.updates import TorchModel

EXTRAS = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_without_torch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        def find_spec(self, name: str, *_: Any) -> None:
            if name.split(".")[0] == "torch":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=r"pip install 'deltaml-core\[torch\]'") as caught:
        TorchModel(object(), loss=lambda outputs, targets: None, optimiser=lambda parameters: None)
    assert isinstance(caught.value, ImportError)


def test_every_extra_is_declared_and_pinned() -> None:
    assert set(EXTRAS) == {"ckks", "dask", "dp", "mpc", "nats", "spark", "torch", "dev"}
    assert all("==" in requirement for requirements in EXTRAS.values() for requirement in requirements)


def test_a_package_whose_own_needs_are_missing_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_there.py").write_text("import not_there_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        require("half_there", "torch")
