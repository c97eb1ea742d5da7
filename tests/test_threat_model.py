"""The threat model says what is so: its tables are a real run's, and the tests it points to exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deltaml_core.attacks.views import PARTIES, REFRESHED_ROUND, ROUNDS, paper_transcript, table_of_a_round
from deltaml_core.transcript import Transcript

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
POINTERS = sorted(set(re.findall(r"`((?:tests|contracts)/[\w./]+)::(\w+)`", TEXT)))


@pytest.fixture(scope="module")
def transcript() -> Transcript:
    return paper_transcript()


@pytest.mark.parametrize("number", [REFRESHED_ROUND, ROUNDS])
def test_the_tables_are_those_of_a_run(transcript: Transcript, number: int) -> None:
    """`python -m deltaml_core.attacks.views` makes them anew."""
    (written,) = re.findall(rf"<!-- round {number} -->\n(.*?)\n<!-- end -->", TEXT, flags=re.DOTALL)
    assert written == table_of_a_round(transcript, number)


def test_the_table_tells_the_parties_apart(transcript: Transcript) -> None:
    table = table_of_a_round(transcript, REFRESHED_ROUND)
    rows = {
        cells[1].split("`")[1] + cells[1].rpartition(" ")[2]: cells[2:-1]
        for cells in (re.split(r"\s*\|\s*", line) for line in table.splitlines()[2:])
    }
    buyer, aggregator, trainer, validator = range(len(PARTIES))
    assert rows["traintrainer"][trainer] == "cannot read 11 weights"
    assert rows["updateaggregator"][aggregator] == "cannot read 11 weights"
    assert all("weights" not in cells[buyer] for cells in rows.values())
    assert not any(cells[validator] and cells[trainer] for cells in rows.values())


@pytest.mark.parametrize(("path", "name"), POINTERS)
def test_what_it_points_to_is_there(path: str, name: str) -> None:
    keyword = "function" if path.endswith(".sol") else "def"
    assert re.search(rf"^\s*{keyword} {name}\(", (ROOT / path).read_text(), flags=re.MULTILINE)


def test_it_points_to_tests_of_every_kind() -> None:
    assert len(POINTERS) >= 35
    assert {path.split("/")[0] for path, _ in POINTERS} == {"tests", "contracts"}
