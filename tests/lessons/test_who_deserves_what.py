"""Chapter 6: the game in the clear against whole trainings, the explorers, and what useless data earn."""

from __future__ import annotations

from itertools import permutations

import pytest

from deltaml_core import train
from deltaml_core.lessons import coalitions, patients, useless
from deltaml_core.lessons.coalitions import Game


@pytest.fixture(scope="module")
def game() -> Game:
    return Game(patients.paper_shards())


@pytest.mark.parametrize("rule", ["shapley", "leave_one_out"])
def test_shares_in_the_clear_are_those_of_a_training(game: Game, rule: str) -> None:
    found = train(patients.paper_shards(), validators=[1], scheme="plain", rounds=100, contributions=rule, evaluate_every=100)
    assert game.shares(rule) == pytest.approx(found.contributions, abs=1e-6)


def test_a_coalition_can_be_clicked_or_chosen_by_name(game: Game) -> None:
    explorer = coalitions.CoalitionExplorer(game)
    assert explorer.chosen == frozenset()
    assert "Nobody" in explorer.chart.words.value
    explorer._clicked([5])
    assert explorer.chosen == game.coalitions[5] == {0, 2}
    assert explorer.chart.figure.data[0].marker.color[5] == coalitions.AMBER
    assert f'data-error="{game.error({0, 2})}"' in explorer.chart.words.value
    explorer.members[2].value = False
    assert explorer.chosen == {0}
    assert len(game.coalitions) == len(set(game.coalitions)) == 16


def test_the_mean_over_all_orders_is_the_shapley_value(game: Game) -> None:
    page = coalitions.JoiningOrders(game)
    page.orders.clear()
    for order in permutations(game.trainers):
        page.join(order)
    assert page.means() == pytest.approx(game.gains("shapley"), rel=1e-9)
    assert 'data-orders="24"' in page.chart.words.value
    page.button.click()
    assert 'data-orders="25"' in page.chart.words.value
    everything = game.error(()) - game.error(game.trainers)
    assert all(sum(order.values()) == pytest.approx(everything) for order in page.orders)


def test_made_up_data_earn_nothing_and_a_copy_earns_more_than_once() -> None:
    page = useless.UselessOwner()
    for scenario in ("shuffles its labels", "makes its features up", "says the same of every patient"):
        page.scenario.value = scenario
        assert page.found[3] <= 0.01, scenario
        assert sum(page.found.values()) == pytest.approx(1)
    page.scenario.value = "comes twice, under another name"
    pair = page.found[3] + page.found[9]
    assert 1.5 < pair / page.honest[3] < 1.8
    assert f'data-earned="{pair}"' in page.chart.words.value


def test_the_rule_of_2019_pays_the_shuffled_owner_and_ours_does_not() -> None:
    spoilt = useless.with_shuffled_labels(patients.paper_shards(), owner=2)
    old = useless.paid_in_2019(spoilt)
    assert max(old, key=lambda owner: old[owner]) == 2
    assert old[2] > 0.5
    assert Game(spoilt).shares("shapley")[2] <= 0.01
    chart = coalitions.shares_chart("", {"rule of 2019": old, "Shapley": Game(spoilt).shares("shapley")}).children[-1]
    assert [trace.y[1] > 50 for trace in chart.figure.data] == [True, False]


def test_the_exercise_takes_the_shares_worked_out_by_hand() -> None:
    exercise = coalitions.shapley_exercise()
    assert exercise.check([35 / 60, 25 / 60, 0]).right
    assert not exercise.check([0.5, 0.5, 0]).right
    assert len(coalitions.small_game().children[-1].rows) == 8
