"""Crowds over a NATS server: every training's model is checked, and the table and the chart show what was measured."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from helpers import key_pair
from rich.console import Console

from deltaml_core.benchmarks import scale
from deltaml_core.benchmarks.http import over_nats
from deltaml_core.benchmarks.scale import Crowd, chart, crowd, table

FOUND = [
    Crowd(10, 1, 20.0, 15.0, 0.5, 100_000, 30_000_000, 20_000_000),
    Crowd(200, 4, 400.0, 260.0, 8.0, 2_000_000, 500_000_000, 60_000_000),
]


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")
def test_trainings_at_once_at_one_aggregator_find_their_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "OF_A_REQUEST", 3)
    found = crowd(6, rounds=2, key_bits=512)
    assert (found.owners, found.trainings) == (6, 2)
    assert min(found.wall_seconds, found.cpu_seconds, found.round_seconds, found.round_bytes, found.broker_bytes) > 0


def test_a_round_over_nats_is_measured_beside_one_in_one_process() -> None:
    measurement = over_nats(3, key_pair("paillier", 512), rounds=3)
    assert (measurement.name, measurement.unit) == ("round_nats_3", "ms a round")
    assert measurement.baseline is not None
    assert measurement.ratio == measurement.value / measurement.baseline


def test_the_table_and_the_chart_show_what_an_owner_takes() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table(FOUND))
    shown = captured.get()
    texts = [element.text for element in ElementTree.fromstring(chart(FOUND)).iter("{http://www.w3.org/2000/svg}text")]
    for figure in ("1.50", "1.30", "3.00", "2.50"):
        assert figure in shown
        assert figure in texts
    assert texts.count("10") == texts.count("200") == 2
