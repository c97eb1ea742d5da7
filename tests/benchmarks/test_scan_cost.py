"""Scans are compared with DuckDB's bare query, and must agree with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deltaml_core import schemes
from deltaml_core.benchmarks import scan
from deltaml_core.benchmarks.measure import WrongResultError


def test_scans_memory_and_rounds_are_measured() -> None:
    found = {m.name: m for m in scan.scan_measurements(schemes.generate("paillier", 1024), rows=5000)}
    assert list(found) == ["scan_parquet", "scan_parquet_memory", "scan_csv", "scan_csv_memory", "rows_independence"]
    for name in ("scan_parquet", "scan_csv", "rows_independence"):
        assert found[name].is_overhead
        assert found[name].ratio is not None
        assert found[name].value > 0
    assert found["scan_parquet_memory"].value > 10
    assert "5,000 rows against 50" in found["rows_independence"].how


def test_a_scan_that_differs_from_the_bare_query_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = scan.bare_query
    monkeypatch.setattr(scan, "bare_query", lambda path: real(path).replace("sum(x1 * x2)", "sum(x1 * x2) + 1"))
    scan.write_rows(tmp_path / "rows.parquet", 1000)
    with pytest.raises(WrongResultError, match=r"the scan of rows\.parquet differs from the bare query"):
        scan._scan(tmp_path / "rows.parquet", 1000, 1024)
