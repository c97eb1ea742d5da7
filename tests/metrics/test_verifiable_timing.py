"""A validator's products with secret matrices take as many multiplications whatever its rows are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from helpers import key_pair, seat, terms_for

from deltaml_core.measurement import pairs
from deltaml_core.messages import Evaluate, Products
from deltaml_core.metrics import validator_part
from deltaml_core.schemes.levelling import LevelMatrix, Work
from deltaml_core.schemes.paillier import PaillierPublicKey
from deltaml_core.statistics import Dataset

KEY = key_pair("paillier", 2048)
ENDS = np.array([[-3.0] * 4, [3.0] * 4])
TARGETS = np.array([-9.0, 9.0])


class NotingKey(PaillierPublicKey):
    """Keeps what products with levelled matrices take."""

    def __init__(self, modulus: int) -> None:
        super().__init__(modulus)
        self.noted: list[Work] = []

    def combine(self, linear: Any, vector: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(linear, LevelMatrix):
            self.noted.append(linear.work)
        return super().combine(linear, vector)


def work_of_a_measurement(spread: float, models: int) -> list[Work]:
    """Of masking and of unmasking, for rows of that standard deviation under the same terms."""
    terms = terms_for([(ENDS, TARGETS)], scheme="paillier", key_bits=2048, rounds=4, metrics="verifiable", step=0.1)
    key = NotingKey(KEY.public.modulus)
    party = replace(seat(terms, "owner-2"), key=key)
    X = np.clip(spread * np.random.default_rng(5).normal(size=(30, 4)), -3, 3)
    validator = validator_part(party, Dataset.of(X, X.sum(axis=1)).select(terms.requirements), None)
    weights = KEY.encrypt([1] * (5 * models))
    where = {"request": party.request, "round": 2, "recipient": party.name, "evaluation": 0}
    asked = Evaluate(
        **where,
        sender=party.aggregator,
        subject="model" if models == 1 else "solo",
        weights=weights,
        scale=terms.base_scale,
        models=models,
        numerator=1,
        denominator=1,
    )
    validator.measure(asked)
    products = KEY.encrypt([1] * len(pairs(models)))
    validator.handle(Products(**where, sender=party.buyer, attempt=1, products=products, scaled=products))
    return key.noted


def test_masking_and_unmasking_take_the_same_for_all_rows() -> None:
    for models in (1, 3):
        found = [work_of_a_measurement(spread, models) for spread in (0.01, 0.1, 1.0)]
        assert len(found[0]) == 2
        assert found[0] == found[1] == found[2]
