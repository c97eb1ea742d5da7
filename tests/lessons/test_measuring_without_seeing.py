"""Chapter 5: the attack as the page runs it, what the buyer can read, and every lie on the menu."""

from __future__ import annotations

import numpy as np
import pytest

from deltaml_core.attacks import residuals_shown
from deltaml_core.lessons import cheating, patients, watching
from deltaml_core.lessons.watching import Watched

FEATURES = patients.diabetes().features


@pytest.fixture(scope="module")
def spied_on() -> Watched:
    return watching.watch(patients.paper_shards(), metrics="noise")


@pytest.fixture(scope="module")
def safe() -> Watched:
    return watching.watch(patients.paper_shards(), metrics="verifiable")


def test_twelve_measurements_give_every_row_and_eleven_none(spied_on: Watched) -> None:
    rows = watching.RowsSideBySide(spied_on, FEATURES, measurements=12)
    points = rows.chart.figure.data[1]
    assert 'data-recovered="550"' in rows.chart.words.value
    np.testing.assert_allclose(points.x, points.y, atol=1e-9)
    texts = [[cell["text"] for cell in row["cells"]] for row in rows.table.rows]
    assert [row[1] for row in texts] == ["true", "recovered"] * 4
    assert [row[2:] for row in texts[::2]] == [row[2:] for row in texts[1::2]]
    assert "d-bad" in rows.verdict.value

    rows.measurements.value = 11
    assert "at 11 known weights" in rows.verdict.value
    assert "d-good" in rows.verdict.value
    assert 'data-recovered="0"' in rows.chart.words.value
    assert len(rows.table.rows) == 4


def test_the_same_diary_of_a_verifiable_run_gives_nothing(safe: Watched) -> None:
    found = watching.attack(safe.view)
    assert isinstance(found, str)
    assert "at 0 known weights" in found


def test_what_the_buyer_reads_are_residuals_in_one_run_and_masks_in_the_other(spied_on: Watched, safe: Watched) -> None:
    y = spied_on.truth[1]
    np.testing.assert_allclose(residuals_shown(spied_on.view)[: len(y)], y, atol=1e-9)  # at zero weights a residual is a label
    assert residuals_shown(safe.view) == []
    masks = watching.numbers_in(safe, "masked-errors", "open-masked")
    assert np.abs(masks).min() > 2.0**60 * np.abs(y).max()
    assert safe.mse == pytest.approx(spied_on.mse, rel=1e-6)
    assert "a mask" in watching.what_can_be_read(spied_on, safe).children[-1].words.value


def test_honesty_passes_and_every_lie_is_caught_before_a_weight_is_seen() -> None:
    outcomes = {lie: cheating.play(patients.paper_shards(), lie) for lie in cheating.LIES}
    honest = outcomes.pop("be honest")
    assert (honest.caught, honest.model) == ("", True)
    assert [round_ for round_, _ in honest.history] == [0, 2]
    for lie, outcome in outcomes.items():
        assert outcome.caught, lie
        assert not outcome.model
        assert [round_ for round_, _ in outcome.history] == [0]
    products = [outcome for lie, outcome in outcomes.items() if "Q" in lie]
    assert all("did not pass the zero test of owner 2" in outcome.caught and outcome.attempts == 3 for outcome in products)
    assert len(products) == 2
    assert "from the buyer: its opening of measurement 1 does not hold" in outcomes["open another sum than was encrypted"].caught


def test_the_desk_shows_what_became_of_it() -> None:
    desk = cheating.CheatingDesk(patients.paper_shards())
    assert "Caught by the validator" in desk.verdict.value
    desk.lie.value = "be honest"
    desk.button.click()
    assert "d-good" in desk.verdict.value
    assert [row["cells"][1]["text"] for row in desk.table.rows][2:] == ["yes", "settle"]


def test_the_exercise_wants_the_number_of_odd_numbers() -> None:
    assert cheating.luck_exercise().check(2.0**79).right
    assert not cheating.luck_exercise().check(2.0**80).right
