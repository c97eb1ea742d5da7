"""Data frames of Dask and Spark: every partition is summed where it is, with the same SQL, and only sums travel.

The workers need deltaml-core (and so DuckDB) installed. Partitions are merged in their order, so the same partitions give the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import numpy as np

from deltaml_core.errors import DataError, RequirementsError
from deltaml_core.extras import require
from deltaml_core.statistics.moments import Moments
from deltaml_core.statistics.requirements import Array
from deltaml_core.statistics.sources.base import Census, Count, Plan, Table
from deltaml_core.statistics.sources.frames import arrow_table, pandas_table

ROWS_AT_ONCE = 1 << 18
"""Rows of a Spark partition that are in a worker's memory at the same time."""

T = TypeVar("T")


class DaskTable(Table):
    """A Dask data frame; a partition is a pandas data frame on one of the workers."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def name(self) -> str:
        """What messages call it."""
        return "the Dask data frame"

    def moments(self, plan: Plan) -> Moments:
        """Sum every partition on its worker."""
        return Moments.merged(self._each(partial(_moments_of_pandas, plan=plan)))

    def census(self, plan: Plan) -> Census:
        """Count on the workers what does not fit."""
        return Census.merged(self._each(partial(_census_of_pandas, plan=plan)))

    def values(self, plan: Plan) -> Array:
        """The rows themselves, brought here."""
        return np.concatenate(self._each(partial(_values_of_pandas, plan=plan)))

    def _each(self, work: Callable[[Any], T]) -> list[T]:
        dask = require("dask", "dask")
        found: tuple[T, ...] = dask.compute(*(dask.delayed(work)(part) for part in self._frame.to_delayed()))
        return list(found)


def _moments_of_pandas(frame: Any, plan: Plan) -> Moments:
    return pandas_table(frame).moments(plan)


def _census_of_pandas(frame: Any, plan: Plan) -> Census:
    return pandas_table(frame).census(plan)


def _values_of_pandas(frame: Any, plan: Plan) -> Array:
    return pandas_table(frame).values(plan)


class SparkTable(Table):
    """A Spark data frame; its partitions reach DuckDB as Arrow batches, within Spark's Python workers."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    @property
    def name(self) -> str:
        """What messages call it."""
        return "the Spark data frame"

    def moments(self, plan: Plan) -> Moments:
        """Sum every partition on its executor."""
        return Moments.merged([Moments.of_numbers(found) for found in self._each(partial(_moments_of_arrow, plan=plan))])

    def census(self, plan: Plan) -> Census:
        """Count on the executors what does not fit."""
        parts = [
            Census(rows, tuple(Count(**count) for count in counts)) for rows, counts in self._each(partial(_census_of_arrow, plan=plan))
        ]
        return Census.merged(parts)

    def values(self, plan: Plan) -> Array:
        """The rows themselves, brought here."""
        return arrow_table(self._frame.toArrow()).values(plan)

    def _each(self, work: Callable[[Any], Any]) -> list[Any]:
        """What the work finds out about each run of rows, in the order of the partitions.

        Raises:
            RequirementsError: as the work does, on an executor.
        """
        sent = self._frame.mapInArrow(partial(_on_partition, work=work), "partition int, place int, found string").collect()
        found = [json.loads(row["found"]) for row in sorted(sent, key=lambda row: (row["partition"], row["place"]))]
        for one in found:
            if "fault" in one:
                raise RequirementsError(one["fault"])
        if not found:
            raise DataError("the Spark data frame has no rows")
        return [one["found"] for one in found]


def _on_partition(batches: Iterator[Any], work: Callable[[Any], Any]) -> Iterator[Any]:
    """Runs on an executor: the work's findings on runs of rows of one partition."""
    arrow, spark = require("pyarrow", "spark"), require("pyspark", "spark")
    partition = spark.TaskContext.get().partitionId()
    for place, run in enumerate(_runs(batches)):
        try:
            found: dict[str, Any] = {"found": work(arrow.Table.from_batches(run))}
        except RequirementsError as error:
            found = {"fault": str(error)}
        yield arrow.RecordBatch.from_pydict(
            {"partition": [partition], "place": [place], "found": [json.dumps(found)]},
            schema=arrow.schema([("partition", arrow.int32()), ("place", arrow.int32()), ("found", arrow.string())]),
        )


def _runs(batches: Iterator[Any]) -> Iterator[list[Any]]:
    run: list[Any] = []
    for batch in batches:
        run.append(batch)
        if sum(one.num_rows for one in run) >= ROWS_AT_ONCE:
            yield run
            run = []
    if run:
        yield run


def _moments_of_arrow(table: Any, plan: Plan) -> list[float]:
    return arrow_table(table).moments(plan).to_numbers()


def _census_of_arrow(table: Any, plan: Plan) -> tuple[int, list[dict[str, Any]]]:
    census = arrow_table(table).census(plan)
    return census.rows, [asdict(count) for count in census.counts]
