"""Chapter 1: descent, what it converges to, and what the widgets say of it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from deltaml_core.errors import DataError
from deltaml_core.lessons import descent, patients
from deltaml_core.lessons.sheet import charts_in
from deltaml_core.models import federated_descent, largest_stable_step, mean_squared_error
from deltaml_core.statistics import Dataset, Statistics


@pytest.fixture(scope="module")
def parts() -> tuple[Dataset, Dataset]:
    return patients.split(patients.one_feature())


def test_every_patient_is_in_one_part_and_the_same_one_each_time() -> None:
    everybody = patients.diabetes()
    train, test = patients.split(everybody, 0.25, seed=3)
    assert (train.rows, test.rows) == (332, 110)
    rows = {tuple(row) for row in np.column_stack([everybody.X, everybody.y])}
    assert {tuple(row) for part in (train, test) for row in np.column_stack([part.X, part.y])} == rows
    assert np.array_equal(patients.split(everybody, 0.25, seed=3)[1].y, test.y)


def test_a_stable_descent_is_the_librarys_and_ends_at_least_squares(parts: tuple[Dataset, Dataset]) -> None:
    statistics = Statistics.of(parts[0])
    ours = descent.descend(statistics, 1.0, 40)
    np.testing.assert_allclose(ours.weights, federated_descent([statistics], np.zeros(2), 1.0, 1, 40), rtol=1e-12)
    fitted = LinearRegression().fit(parts[0].X, parts[0].y)
    np.testing.assert_allclose(descent.descend(statistics, 1.3, 1000).weights[-1], [*fitted.coef_, fitted.intercept_], rtol=1e-9)


def test_just_below_the_longest_step_the_error_falls_and_just_above_it_grows(parts: tuple[Dataset, Dataset]) -> None:
    statistics = Statistics.of(parts[0])
    longest = largest_stable_step(statistics)
    below, above = (descent.descend(statistics, longest * factor, 3000).errors for factor in (0.99, 1.01))
    assert below[-1] < below[0]
    assert above[-1] > 1e6 * above[0]


def test_the_line_by_hand_says_its_own_error(parts: tuple[Dataset, Dataset]) -> None:
    line = descent.LineByHand(parts[0])
    line.slope.value, line.intercept.value = 100, 90
    x, y = parts[0].X[:, 0], parts[0].y
    assert line.error == pytest.approx(np.mean((y - 100 * x - 90) ** 2))
    assert f'data-error="{line.error}"' in line.chart.words.value
    drawn = line.chart.figure.data[2]
    assert drawn.y[1] - drawn.y[0] == pytest.approx(100 * (x.max() - x.min()))


def test_the_explorer_follows_its_sliders(parts: tuple[Dataset, Dataset]) -> None:
    explorer = descent.DescentExplorer(parts[0], step=0.5, rounds=20)
    assert len(explorer.surface.figure.data[1].x) == 21
    assert "approaches" in explorer.surface.words.value
    explorer.step.value, explorer.rounds.value = 1.5, 7
    path = explorer.surface.figure.data[1]
    np.testing.assert_allclose(np.column_stack([path.x, path.y]), descent.descend(Statistics.of(parts[0]), 1.5, 7).weights)
    assert "diverges" in explorer.surface.words.value


def test_learning_curves_end_at_the_errors_of_both_parts() -> None:
    train, test = patients.split(patients.diabetes())
    curves = descent.LearningCurves(train, test, step=1.5, rounds=50)
    weights = descent.descend(Statistics.of(train), 1.5, 50).weights[-1]
    assert curves.errors == pytest.approx([mean_squared_error([Statistics.of(part)], weights) for part in (train, test)])
    assert [trace.y[-1] for trace in curves.chart.figure.data] == pytest.approx(list(curves.errors))


def test_charts_take_on_the_readers_scheme(parts: tuple[Dataset, Dataset]) -> None:
    explorer = descent.DescentExplorer(parts[0])
    light = [chart.figure.layout.font.color for chart in charts_in(explorer)]
    explorer.pulse.dark = True
    dark = [chart.figure.layout.font.color for chart in charts_in(explorer)]
    assert len(light) == 2
    assert not set(light) & set(dark)


def test_an_answer_is_right_wrong_missing_or_none(parts: tuple[Dataset, Dataset]) -> None:
    exercise = descent.longest_step_exercise(parts[0])
    right = largest_stable_step(Statistics.of(parts[0]))
    assert exercise.check(right).right
    assert repr(exercise.check(right)).startswith("Right")
    for wrong in (None, 2 * right, [right, right]):
        verdict = exercise.check(wrong)
        assert not verdict.right
        assert exercise.hint in verdict.text
    with pytest.raises(DataError, match="an answer is a number"):
        exercise.check("long")  # type: ignore[arg-type]
    assert "&lt;" not in exercise.check(right)._repr_html_()
