"""The sums of any data, in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deltaml_core.errors import DataError
from deltaml_core.statistics.preprocessing import Preprocessing
from deltaml_core.statistics.requirements import Array, Column, Requirements
from deltaml_core.statistics.sources import numpy_table, open_source


def gram(
    source: Any, *, features: Sequence[str], target: str, preprocessing: Preprocessing | None = None
) -> tuple[Array, Array, float, int]:
    """A = X'X, b = X'y, c = y'y and m, with X's column of ones last.

    Args:
        source: as `open_source` takes it; of a pair `(X, y)`, `features` and `target` are the names.
        features: the columns of X, in order; `category=level` for a level of a category.
        target: the column y.
        preprocessing: how columns become these; by default values are taken as they are and none may be missing.

    Returns:
        A (d, d), b (d,), c, m with d = number of features + 1. Every entry is off by less than 1e-9 of `sqrt(A_ii A_jj)`.

    Raises:
        DataError: the source cannot be read, has no such columns, or values that are missing or no numbers; says how many, of which.
        TermsError: the preprocessing speaks of other columns.
        MissingExtraError: the source needs a package that is not installed.
    """
    names = [*features, target]
    if len(names) < 2 or len(set(names)) != len(names):
        raise DataError(f"a feature at least is needed, and every column needs a name of its own: {', '.join(names)}")
    prepared = preprocessing or Preprocessing()
    prepared.check(names)
    columns = tuple(Column(name, -math.inf, math.inf) for name in names)
    is_pair = isinstance(source, tuple | list) and len(source) == 2
    own, goal = _names_of_pair(names, prepared)
    table = numpy_table(source[0], source[1], own, goal) if is_pair else open_source(source)
    requirements = Requirements(columns[:-1], columns[-1], preprocessing=prepared)
    found = table.select(requirements, f"{table.name} cannot be used").statistics()
    return found.A, found.b, found.c, found.rows


def _names_of_pair(names: Sequence[str], preprocessing: Preprocessing) -> tuple[list[str], str]:
    """X's columns and y: those asked for, a category once for all its levels."""
    levels = preprocessing.level_of
    *features, target = dict.fromkeys(levels[name][0] if name in levels else name for name in names)
    return list(features), target
