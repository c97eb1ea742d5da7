"""Every scheme is measured on the same rounds, and its result looked at."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from deltaml_core.benchmarks import scheme_table
from deltaml_core.benchmarks.measure import WrongResultError
from deltaml_core.schemes.integers import IntegerKeyring


def test_three_lines_for_every_scheme_with_plain_as_the_baseline() -> None:
    told: list[str] = []
    table = {m.name: m for m in scheme_table(512, [4], told.append)}
    names = ["plain", "paillier", "ckks", "mpc"]
    assert list(table) == [f"scheme_{name}_4{suffix}" for name in names for suffix in ("", "_bytes", "_error")]
    assert told == [f"rounds on {name}, 4 weights" for name in names]
    assert table["scheme_plain_4"].baseline is None
    for name in names[1:]:
        assert table[f"scheme_{name}_4"].baseline == table["scheme_plain_4"].value
        assert table[f"scheme_{name}_4"].is_overhead
        assert table[f"scheme_{name}_4_error"].value < 1e-9
        assert table[f"scheme_{name}_4_bytes"].value > 4 * 32
    assert table["scheme_ckks_4_bytes"].value > table["scheme_paillier_4_bytes"].value


def test_what_is_not_installed_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None if name == "tenseal" else real(name, package))
    told: list[str] = []
    table = scheme_table(512, [4], told.append, ["plain", "ckks"])
    assert {m.name for m in table} == {"scheme_plain_4", "scheme_plain_4_bytes", "scheme_plain_4_error"}
    assert told[-1] == "ckks is left out: tenseal is not installed"


def test_a_scheme_that_computes_something_else_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: IntegerKeyring, vector: Any) -> Any:
        return np.zeros(vector.entries)

    monkeypatch.setattr(IntegerKeyring, "decrypt", wrong)
    with pytest.raises(WrongResultError, match="2 rounds on plain with 4 weights end 1 from plain arithmetic"):
        scheme_table(512, [4], names=["plain"])
