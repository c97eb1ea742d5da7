"""The 2019 arithmetic computes what plain gradient descent on the rows computes, and does so under encryption."""

from __future__ import annotations

import numpy as np
import pytest

from deltaml_core.benchmarks import baseline_2019
from deltaml_core.benchmarks.baseline_2019 import Federation2019
from deltaml_core.errors import TermsError
from deltaml_core.models import federated_descent, mean_squared_error
from deltaml_core.statistics import Dataset, Statistics

KEY_BITS = 1024
STEP = 0.7


def owners(*rows: int) -> list[Dataset]:
    rng = np.random.default_rng(5)
    shards = [rng.uniform(-1, 1, (count, 2)) for count in rows]
    return [Dataset.of(X, 40 + X @ [30.0, -12.5] + rng.normal(size=len(X))) for X in shards]


def federation(trainers: list[Dataset], validators: list[Dataset]) -> Federation2019:
    rows = [[(owner.design(), owner.y) for owner in part] for part in (trainers, validators)]
    return Federation2019(*rows, step=STEP, key_bits=KEY_BITS)


def statistics(part: list[Dataset]) -> list[Statistics]:
    return [Statistics.of(owner) for owner in part]


def descend(trainers: list[Dataset], begin: np.ndarray, rounds: int) -> np.ndarray:
    return federated_descent(statistics(trainers), begin, STEP, 1, rounds)[-1]


def test_two_rounds_and_a_measurement_equal_gradient_descent_with_unequal_owners() -> None:
    *trainers, first, second = owners(3, 5, 4, 3, 2)
    parties = federation(trainers, [first, second])
    assert parties.measure() == pytest.approx(mean_squared_error(statistics([first, second]), np.zeros(3)), rel=1e-12)

    for _ in range(2):
        parties.train_round()

    weights = descend(trainers, np.zeros(3), 2)
    assert parties.decrypted_weights() == pytest.approx(weights, rel=1e-12)
    assert parties.measure() == pytest.approx(mean_squared_error(statistics([first, second]), weights), rel=1e-9)


def test_a_whole_run_equals_gradient_descent_that_rounds_to_three_decimals_every_second_round() -> None:
    *trainers, validator = owners(4, 3, 3)
    parties = federation(trainers, [validator])
    weights = np.zeros(3)
    for _ in range(4):
        parties.train_round()
        parties.train_round()
        parties.refresh()
        weights = np.around(descend(trainers, weights, 2), decimals=3)
        assert parties.decrypted_weights() == pytest.approx(weights, abs=1e-12)
        assert parties.refreshed == pytest.approx(weights, abs=1e-12)
    unrounded = descend(trainers, np.zeros(3), 8)
    assert weights == pytest.approx(unrounded, abs=5e-3)
    assert parties.measure() == pytest.approx(mean_squared_error(statistics([validator]), unrounded), rel=1e-3)


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_a_left_out_trainer_has_no_part_in_the_last_round(left_out: int) -> None:
    *trainers, validator = owners(4, 3, 2, 3)
    parties = federation(trainers, [validator])
    parties.train_round()
    parties.train_round()

    before = descend(trainers, np.zeros(3), 1)
    weights = descend([owner for position, owner in enumerate(trainers) if position != left_out], before, 1)
    assert parties.measure_leaving_out(left_out) == pytest.approx(mean_squared_error(statistics([validator]), weights), rel=1e-9)
    assert parties.decrypted_weights() == pytest.approx(descend(trainers, np.zeros(3), 2), rel=1e-12)


def test_everything_that_is_sent_is_counted_by_kind() -> None:
    *trainers, validator = owners(2, 2, 2)
    parties = federation(trainers, [validator])
    parties.train_round()
    parties.measure()
    parties.refresh()
    counts = {kind: len(lengths) for kind, lengths in parties.bytes.items()}
    assert counts == {
        "initial-model": 1,
        "train": 1,
        "update": 2,
        "evaluate": 1,
        "residuals": 1,
        "open-residuals": 1,
        "refresh": 1,
        "refreshed": 1,
    }
    digits = KEY_BITS * 2 * np.log10(2)
    assert parties.bytes["update"][0] > 3 * (digits - 10)


def test_numbers_are_randomised_anew_as_they_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    obfuscated: list[object] = []
    number = baseline_2019.EncryptedNumber
    original = number.obfuscate
    monkeypatch.setattr(number, "obfuscate", lambda self: (obfuscated.append(self), original(self)))
    *trainers, validator = owners(2, 2, 2)
    parties = federation(trainers, [validator])
    obfuscated.clear()
    parties.train_round()
    assert len(obfuscated) == 3 + 2 * 3  # the weights as the aggregator received them, and two gradients
    obfuscated.clear()
    parties.measure()
    assert len(obfuscated) == 3 + 2 + 2  # the new weights, the residuals, and those with noise


@pytest.mark.parametrize("bits", [1022, 1025])
def test_a_key_too_short_for_two_rounds_or_of_odd_length_is_refused(bits: int) -> None:
    *trainers, validator = owners(2, 2)
    rows = [[(owner.design(), owner.y) for owner in part] for part in (trainers, [validator])]
    with pytest.raises(TermsError, match=f"at least 1024 bits, not {bits}"):
        Federation2019(*rows, step=STEP, key_bits=bits)
