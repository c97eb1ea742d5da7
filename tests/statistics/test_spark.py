"""Spark for real, on a local cluster of two workers; only where pyspark is installed (the extra `spark`, and a Java)."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shelves import MAKERS

from deltaml_core.errors import RequirementsError
from deltaml_core.statistics import Column, Day, Preprocessing, Requirements, open_source
from deltaml_core.statistics.sources import cluster

pyspark_sql = importlib.import_module("pyspark.sql")

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")

COLUMNS: dict[str, list[Any]] = {
    "height": [150.0 + index % 50 if index % 7 else None for index in range(1000)],
    "sex": ["fm"[index % 2] for index in range(1000)],
    "visit": [f"2020-01-{1 + index % 28:02d}" for index in range(1000)],
    "price": [1e6 + index**0.5 for index in range(1000)],
}
PREPARED = Preprocessing.of(missing="drop", categories={"sex": ["f", "m"]}, days={"visit": Day("2020-01-01")}, units={"height": 0.01})
FEATURES = (Column("height", 1, 2), Column("sex=f", 0, 1), Column("visit", 0, 30))
WANTED = Requirements(FEATURES, Column("price", 0, 1e7), preprocessing=PREPARED)


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    root = str(Path(__file__).parents[2])
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])  # the executors import deltaml_core
    builder = pyspark_sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


def _frame(spark: Any) -> Any:
    rows = list(zip(*COLUMNS.values(), strict=True))
    return spark.createDataFrame(rows, list(COLUMNS)).repartition(3)


def test_the_cluster_comes_to_what_duckdb_comes_to(spark: Any, tmp_path: Path) -> None:
    ours = open_source(_frame(spark)).select(WANTED).statistics()
    theirs = open_source(MAKERS["Parquet"](COLUMNS, tmp_path)).select(WANTED).statistics()
    assert ours.rows == theirs.rows
    norms = np.sqrt(np.diag(theirs.A))
    assert np.all(np.abs(ours.A - theirs.A) <= 1e-9 * np.outer(norms, norms))
    assert np.allclose(ours.b, theirs.b, rtol=1e-9)
    assert ours.c == pytest.approx(theirs.c, rel=1e-9)


def test_partitions_are_taken_in_runs_of_rows(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [type("Batch", (), {"num_rows": rows})() for rows in (5, 5, 1, 9, 2)]
    monkeypatch.setattr(cluster, "ROWS_AT_ONCE", 10)
    assert [[batch.num_rows for batch in run] for run in cluster._runs(iter(batches))] == [[5, 5], [1, 9], [2]]


def test_rows_can_be_loaded(spark: Any) -> None:
    loaded = open_source(_frame(spark)).select(WANTED).load()
    assert loaded.rows == sum(value is not None for value in COLUMNS["height"])


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Requirements((Column("height", 1, 2),), WANTED.target), "column 'height' has 143 missing or infinite values among 1000 rows"),
        (Requirements((Column("sex", 0, 1),), WANTED.target), "1000 of 1000 values of 'sex' are not numbers: 'f' for one"),
        (Requirements((Column("width", 0, 1),), WANTED.target), "there is no column 'width'"),
        (Requirements(FEATURES, Column("price", 0, 10), preprocessing=PREPARED), "857 of 1000 values of 'price' lie outside [0, 10]"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_same_words(spark: Any, wanted: Requirements, why: str) -> None:
    with pytest.raises(RequirementsError, match=re.escape(why)):
        open_source(_frame(spark)).select(wanted)
