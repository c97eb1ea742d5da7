"""Chapter 3: the diagram draws the transcript it is given, and federated is compared with central honestly."""

from __future__ import annotations

import numpy as np
import pytest

from deltaml_core.attacks.views import paper_transcript, role_of
from deltaml_core.lessons import federation, patients, sequence
from deltaml_core.transcript import Transcript


@pytest.fixture(scope="module")
def transcript() -> Transcript:
    return paper_transcript()


def test_every_message_of_a_round_is_an_arrow_between_its_parties(transcript: Transcript) -> None:
    names = list(sequence.lanes_of(transcript).values())
    assert names == ["buyer", "validator", "aggregator", "trainer 1", "trainer 2", "trainer 3", "trainer 4"]
    arrows = sequence.arrows_of(transcript, 2)
    messages = [message for message in transcript.messages() if message.round == 2]
    assert [arrow.kind for arrow in arrows] == [message.kind for message in messages]
    for arrow, message in zip(arrows, messages, strict=True):
        assert names[arrow.start].split()[0] == role_of(transcript, message.sender)
        assert names[arrow.end].split()[0] == role_of(transcript, message.recipient)
    (zero,) = [arrow for arrow in arrows if arrow.kind == "zero-test-answer"]
    assert (zero.locked, zero.clear) == ((), ("randomness",))
    assert zero.meaning.startswith("The randomness that shows it holds 0")
    assert {arrow.locked for arrow in arrows if arrow.kind == "update"} == {("11 weights",)}


def test_the_slider_draws_up_to_its_message_and_the_round_can_be_changed(transcript: Transcript) -> None:
    diagram = sequence.SequenceDiagram(transcript, [("two", 2), ("eight", 8)])
    assert diagram.place.max == 21
    diagram.place.value = 5
    assert "5 of 21: update" in diagram.picture.value
    assert "trainer 1 → aggregator" in diagram.picture.value
    assert diagram.picture.value.count("<polygon") == 5
    diagram.place.value = 21
    assert diagram.picture.value.count("<polygon") == 14
    diagram.round.value = 8
    assert (diagram.place.value, diagram.place.max) == (1, 33)
    assert "1 of 33: train" in diagram.picture.value


def test_what_is_drawn_is_escaped() -> None:
    arrow = sequence.Arrow("<b>", 0, 1, (), (), "")
    assert "<b>" not in sequence.drawing(["<i>", "you"], [arrow])


def test_messages_are_counted_by_who_sends_them(transcript: Transcript) -> None:
    assert sequence.messages_by_role(transcript, 1) == {"aggregator": 4, "trainer": 4}


@pytest.mark.parametrize("how", federation.DEALS)
def test_every_deal_gives_all_patients_to_five_owners(how: str) -> None:
    owners = federation.deal(how)
    whole = federation.together(owners)
    assert len(owners) == 5
    expected = patients.diabetes().y[: federation.ROWS]
    assert sorted(whole.y) == sorted(expected)


def test_equal_shares_and_single_steps_are_central_learning_and_nothing_else_is() -> None:
    equal, unbalanced, skewed = (federation.deal(how) for how in federation.DEALS)
    assert federation.compare(equal).apart < 1e-9
    assert federation.compare(skewed).apart < 1e-9
    assert federation.compare(unbalanced).excess > 100
    assert 0 < federation.compare(equal, local_steps=50).excess < 1
    assert federation.compare(skewed, local_steps=50).excess > 1000


def test_the_comparison_says_what_its_controls_ask_for() -> None:
    page = federation.FederatedAgainstCentral()
    page.steps.value = 10
    page.deal.value = "unbalanced: from 20 to 200 patients"
    assert "20, 40, 60, 120, 200" in page.owners.words.value
    assert f'data-apart="{page.comparison.apart}"' in page.curves.words.value
    assert page.curves.figure.data[0].y[-1] == pytest.approx(page.comparison.federated[-1])


def test_only_the_weighted_average_is_one_step_on_all_rows() -> None:
    owners = federation.deal("unbalanced: from 20 to 200 patients")
    updates, rows, central = federation.one_round(owners)
    exercise = federation.averaging_exercise(owners)
    np.testing.assert_allclose(np.average(updates, axis=0, weights=rows), central, atol=1e-12)
    assert exercise.check(np.average(updates, axis=0, weights=rows)).right
    assert not exercise.check(np.mean(updates, axis=0)).right
