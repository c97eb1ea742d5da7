"""The data of the lessons: 442 patients with diabetes (Efron, Hastie, Johnstone & Tibshirani, 2004), as scikit-learn ships them."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_diabetes

from deltaml_core.benchmarks.pieces import Setup
from deltaml_core.statistics import Array, Dataset

TARGET = "progression"
BMI_FROM, BMI_UNIT = 20.0, 10.0
"""`one_feature` counts the body mass index from 20 kg/m² in tens, so that both weights of a line are of one size."""

Shard = tuple[Array, Array]


@cache
def diabetes() -> Dataset:
    """All patients: ten features that scikit-learn has centred and scaled, and the disease's progression after a year."""
    data = load_diabetes()
    return Dataset.of(data.data, data.target, data.feature_names, TARGET)


@cache
def one_feature() -> Dataset:
    """Progression against the body mass index alone, in tens of kg/m² above 20."""
    data = load_diabetes(scaled=False)
    bmi = data.data[:, data.feature_names.index("bmi")]
    return Dataset.of(((bmi - BMI_FROM) / BMI_UNIT)[:, None], data.target, ["bmi"], TARGET)


def split(dataset: Dataset, test_share: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """A training part, and a test part that training never sees; dealt at random, the same for the same seed."""
    order = np.random.default_rng(seed).permutation(dataset.rows)
    test, train = np.split(order, [round(test_share * dataset.rows)])
    return rows_of(dataset, train), rows_of(dataset, test)


def rows_of(dataset: Dataset, rows: npt.NDArray[np.int64]) -> Dataset:
    """Some rows of a data set."""
    return Dataset(dataset.X[rows], dataset.y[rows], dataset.features, dataset.target)


def paper_shards() -> list[Shard]:
    """The thesis's five owners (T§8): rows 0-49, 50-99, ... 200-249. The second validates."""
    return list(Setup.paper(2048, 1).shards)
