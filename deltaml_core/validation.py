"""Cross-validation across owners, which the thesis leaves as future work (T§7.2): every owner validates once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import TermsError
from deltaml_core.splitting import folds
from deltaml_core.training import TrainingResult, TrainOptions, train


@dataclass(frozen=True)
class CrossValidation:
    """What every fold's training left.

    Attributes:
        folds: the owners that validated, fold by fold.
        results: of each fold's training.
        mse: over the rows of all owners, each measured by a model it did not train.
    """

    folds: list[list[int]]
    results: list[TrainingResult]
    mse: float

    @property
    def mse_by_fold(self) -> list[float]:
        """The final error of each fold."""
        return [result.mse_final for result in self.results]


def cross_validate(
    shards: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    count: int | None = None,
    model: str = "linear",
    **options: Unpack[TrainOptions],
) -> CrossValidation:
    """Train as often as there are folds, each time with other owners validating.

    A data set is measured in every fold it validates in, and trains in all others: on a market that is as many requests, and an owner
    counts the releases of all of them (protocol.md §5.7).

    Args:
        shards: each owner's `(X, y)`.
        count: of folds; by default one for each owner.
        model: as in `train`.
        options: of `train`, but for `validators`.

    Raises:
        TermsError: a number of folds that cannot be, or named validators.
        DeltaMLError: as `train`.
    """
    if options.get("validators") is not None:
        raise TermsError("in a cross-validation every owner validates once: name no validators")
    judges = folds(len(shards), count)
    results = []
    for chosen in judges:
        options["validators"] = chosen
        results.append(train(shards, model=model, **options))
    rows = [sum(np.shape(shards[owner][1])[0] for owner in chosen) for chosen in judges]
    pooled = sum(result.mse_final * number for result, number in zip(results, rows, strict=True)) / sum(rows)
    return CrossValidation(judges, results, pooled)
