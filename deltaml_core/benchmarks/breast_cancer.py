"""Logistic regression with the cubic sigmoid on the breast-cancer data, beside scikit-learn's.

    python -m deltaml_core.benchmarks.breast_cancer ckks

prints accuracies over five folds as JSON. Stated preprocessing: eight columns, standardised with the training rows' mean and deviation,
cut at 2.5 deviations. Which columns: size, texture, smoothness and concavity, as means and as worst values, and the variation of the
radius; the other 22 repeat them, and among columns that repeat each other few rounds do not get far.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from deltaml_core.errors import SemiHonestSchemeWarning
from deltaml_core.statistics import Array
from deltaml_core.training import train

COLUMNS = (1, 3, 7, 10, 20, 21, 24, 27)
CUT = 2.5
OWNERS, FOLDS = 5, 5
CUBIC_TERMS: dict[str, Any] = {
    "model": "logistic",
    "sigmoid": "cubic",
    "validators": [1],
    "rounds": 10,
    "step": 0.3,
    "evaluate_every": 10,
    "contributions": "leave_one_out",
}


def prepared(training: Array, held_out: Array) -> tuple[Array, Array]:
    """Both standardised with what the training rows tell, and cut."""
    scaler = StandardScaler().fit(training)
    return np.clip(scaler.transform(training), -CUT, CUT), np.clip(scaler.transform(held_out), -CUT, CUT)


def shards_of(X: Array, y: Array) -> list[tuple[Array, Array]]:
    """Rows dealt to the owners by a fixed shuffle."""
    order = np.random.default_rng(0).permutation(len(y))
    return [(X[part], y[part].astype(np.float64)) for part in np.array_split(order, OWNERS)]


def accuracies(scheme: str, folds: int = FOLDS) -> tuple[list[float], list[float], list[float]]:
    """Shares of held-out rows told rightly, by fold: ours; scikit-learn's on the same columns; scikit-learn's on all 30, standardised.

    Args:
        scheme: "plain", "ckks" or "mpc".
        folds: how many of the five are run.
    """
    X, y = load_breast_cancer(return_X_y=True)
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    splits = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(X, y))
    for training, held_out in splits[:folds]:
        A, B = prepared(X[training][:, COLUMNS], X[held_out][:, COLUMNS])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SemiHonestSchemeWarning)  # the data is public
            result = train(shards_of(A, y[training]), scheme=scheme, **CUBIC_TERMS)
        found[0].append(float(((B @ result.coef_ + result.intercept_ > 0) == y[held_out]).mean()))
        found[1].append(float(LogisticRegression().fit(A, y[training]).score(B, y[held_out])))
        scaler = StandardScaler().fit(X[training])
        everything = LogisticRegression(max_iter=1000).fit(scaler.transform(X[training]), y[training])
        found[2].append(float(everything.score(scaler.transform(X[held_out]), y[held_out])))
    return found


def main(arguments: Sequence[str]) -> int:
    """Print one JSON object."""
    scheme, begin, wall = arguments[0] if arguments else "plain", time.process_time(), time.perf_counter()
    ours, theirs, everything = accuracies(scheme)
    print(
        json.dumps(
            {
                "scheme": scheme,
                "accuracy": round(float(np.mean(ours)), 4),
                "scikit_learn": round(float(np.mean(theirs)), 4),
                "scikit_learn_all_columns": round(float(np.mean(everything)), 4),
                "cpu_seconds": round(time.process_time() - begin, 1),
                "wall_seconds": round(time.perf_counter() - wall, 1),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
