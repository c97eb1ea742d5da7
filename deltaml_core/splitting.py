"""Who gets which rows: rows dealt to owners, a test part at each owner, owners who validate in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import DataError, TermsError
from deltaml_core.statistics import Array, Dataset


def deal(rows: int, owners: int) -> npt.NDArray[np.int64]:
    """The owner of each of so many rows, (rows,): row i belongs to owner `i % owners`, so that sorted rows are spread evenly.

    Raises:
        TermsError: fewer than two owners.
    """
    if owners < 2:
        raise TermsError(f"{owners} owner(s) cannot train and validate: at least 2 are needed")
    return np.arange(rows) % owners


def by_owner(X: Array, y: Array, groups: npt.ArrayLike) -> tuple[list[tuple[Array, Array]], list[object]]:
    """Each owner's rows, and what the owners are called, in order of their first row.

    Args:
        X: (m, d - 1).
        y: (m,).
        groups: (m,), who each row belongs to.

    Raises:
        DataError: groups of another length, of nobody, or of kinds that cannot be told apart.
    """
    named = np.asarray(groups)
    if named.shape != (len(y),):
        raise DataError(f"groups names the owner of every row: it has the shape {named.shape} where there are {len(y)} rows")
    if named.dtype.kind == "f" and np.isnan(named).any():
        raise DataError(f"groups names nobody for {int(np.isnan(named).sum())} of {len(y)} rows: every row belongs to an owner")
    try:
        names, first, owner = np.unique(named, return_index=True, return_inverse=True)
    except TypeError as error:
        raise DataError(f"groups must name owners all in one way, as text or as numbers: {error}") from error
    order = np.argsort(first)
    return [(X[owner == index], y[owner == index]) for index in order], [names[index] for index in order]


def hold_out(dataset: Dataset, share: float, seed: int | None) -> tuple[Dataset, Dataset]:
    """What an owner trains or validates with, and what it tests with once, after training (T§5.1.2); rows drawn at random.

    Args:
        dataset: of at least two rows.
        share: of the rows to hold out, above 0 and below 1; at least one is held out, and one is kept.
        seed: fixes the draw.

    Raises:
        TermsError: another share, or a seed that is none.
        DataError: a single row.
    """
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise TermsError(f"the share of rows held out for the test must lie between 0 and 1, not {share!r}")
    if dataset.rows < 2:
        raise DataError("one row cannot be trained and tested on")
    try:
        order = np.random.default_rng(seed).permutation(dataset.rows)
    except (TypeError, ValueError) as error:
        raise TermsError(f"seed must be a whole number of at least 0, or None, not {seed!r}") from error
    count = min(dataset.rows - 1, max(1, round(share * dataset.rows)))
    return _rows(dataset, np.sort(order[count:])), _rows(dataset, np.sort(order[:count]))


def folds(owners: int, count: int | None = None) -> list[list[int]]:
    """Who validates in which fold: every owner once, neighbours apart.

    Args:
        owners: how many there are.
        count: of folds, from 2 to `owners`; by default one for each owner.

    Raises:
        TermsError: another count, or fewer than two owners.
    """
    if owners < 2:
        raise TermsError(f"{owners} owner(s) cannot validate in turn: at least 2 are needed")
    count = owners if count is None else count
    if not 2 <= count <= owners:
        raise TermsError(f"{owners} owners can validate in 2 to {owners} folds, not {count}")
    return [list(range(fold, owners, count)) for fold in range(count)]


def _rows(dataset: Dataset, chosen: Sequence[int] | npt.NDArray[np.int64]) -> Dataset:
    return Dataset(dataset.X[chosen], dataset.y[chosen], dataset.features, dataset.target)
