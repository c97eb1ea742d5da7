"""Chapter 4: the map against walking, a step under encryption against integers, and a training twice."""

from __future__ import annotations

import numpy as np
import pytest

from deltaml_core.lessons import encrypted, patients
from deltaml_core.lessons.encrypted import Twins

FEATURES = patients.diabetes().features


@pytest.fixture(scope="module")
def shards() -> list[patients.Shard]:
    return patients.paper_shards()


@pytest.fixture(scope="module")
def twins(shards: list[patients.Shard]) -> Twins:
    return encrypted.train_twice(shards, rounds=6, key_bits=768)


def test_the_picture_is_of_the_map_that_walking_gives(shards: list[patients.Shard]) -> None:
    picture = encrypted.MapPicture(shards[0], FEATURES)
    picture.steps.value = 17
    start = np.arange(11.0)
    np.testing.assert_allclose(picture.map(start), encrypted.one_by_one(shards[0], start, steps=17), rtol=1e-10)
    np.testing.assert_array_equal(picture.matrix.figure.data[0].z, picture.map.M)
    np.testing.assert_array_equal(picture.vector.figure.data[0].y, picture.map.v)
    assert "17" in picture.matrix.words.value


def test_a_step_on_locked_weights_gives_the_integers_of_a_step_in_the_clear(shards: list[patients.Shard]) -> None:
    weights = np.linspace(-300, 300, 11)
    step = encrypted.encrypted_step(shards[0], FEATURES, weights, key_bits=512)
    assert step.decrypted == step.expected
    walked = encrypted.one_by_one(shards[0], weights, steps=1)
    np.testing.assert_allclose(np.array([value / 2**step.scale for value in step.decrypted]), walked, atol=1e-6)
    assert not set(step.sent) & set(step.answered)
    assert [row["cells"][4]["text"] for row in encrypted.step_table(step).children[-1].rows] == ["the same integer"] * 11


def test_the_two_trainings_are_equal_to_the_last_bit(twins: Twins) -> None:
    assert twins.clear.mse_history == twins.encrypted.mse_history
    assert np.array_equal(twins.clear.coef_, twins.encrypted.coef_)
    assert 'data-same="True"' in encrypted.overlay(twins).children[-1].words.value
    assert [row["cells"][3]["text"] for row in encrypted.weights_table(twins, FEATURES).children[-1].rows] == ["equal"] * 11


def test_every_second_is_booked_for_something(shards: list[patients.Shard]) -> None:
    seconds = encrypted.where_time_goes(shards, rounds=8, key_bits=640)
    assert seconds.keys() == {"trainers' steps", "measuring", "bringing the scale down", "who contributed what"}
    assert min(seconds.values()) > 0
    chart = encrypted.time_chart(seconds, 8).children[-1]
    assert sum(chart.figure.data[0].x) == pytest.approx(sum(seconds.values()))


def test_the_exercise_takes_the_walked_weights_and_no_others(shards: list[patients.Shard]) -> None:
    exercise = encrypted.map_exercise(shards[0], steps=5)
    walked = encrypted.one_by_one(shards[0], np.zeros(11), steps=5)
    assert exercise.check(walked).right
    assert not exercise.check(walked * 1.001).right
