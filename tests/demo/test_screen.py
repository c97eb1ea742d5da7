"""What people see: the events of a real run shown again on terminals and in files, and the closing tables."""

from __future__ import annotations

import io
import re

import pytest
from played import Played, open_market
from rich.console import Console

from deltaml_core.chain import GanacheProcess
from deltaml_core.demo import report
from deltaml_core.demo.display import LINES, LiveDisplay
from deltaml_core.demo.market import ETHER
from deltaml_core.demo.record import Audited, keep_and_audit

ROUNDS = 24
CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


@pytest.fixture(scope="module")
def audited(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    assert played.result is not None
    return keep_and_audit(played.result, tmp_path_factory.mktemp("record"))


@pytest.fixture(scope="module")
def played(ganache: GanacheProcess) -> Played:
    played = open_market(ganache, rounds=ROUNDS)
    played.run(escrow_wei=5 * ETHER)
    return played


def screen(played: Played, audited: Audited, *, terminal: bool, columns: int) -> str:
    """All the bytes of a showing, closing tables included."""
    assert played.result is not None
    console = Console(file=io.StringIO(), force_terminal=terminal, force_interactive=terminal, width=columns, _environ={"TERM": "xterm"})
    market = played.market
    names = {person.address: person.name for person in (market.buyer, market.aggregator, *market.owners)}
    with LiveDisplay(console, ROUNDS, names) as display:
        for event in played.events:
            display.show(event)
    report.show(played.result, played.terms, audited, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_file_gets_a_line_an_event_and_no_control_codes(played: Played, audited: Audited) -> None:
    lines = screen(played, audited, terminal=False, columns=80).splitlines()
    assert not any("\x1b" in line or "\r" in line for line in lines)
    story = [line.strip() for line in lines if line.startswith("  ")]
    assert story[:3] == ["buyer posts request 1 and locks 5 ether", "aggregator takes it on", "owner-1 has matching data and accepts"]
    assert "owner-1, owner-3, owner-4, owner-5 will train, owner-2 will validate" in story
    metrics = [line for line in story if line.startswith("round ")]
    assert metrics[0] == "round  0/24: MSE 19485.02, untrained"
    assert metrics[-1].startswith("round 24/24: MSE ")
    assert LINES / 2 < len(metrics) <= LINES + 2
    order = [
        "buyer posts",
        "aggregator takes",
        "round  0",
        "round 24",
        "aggregator submits",
        "buyer confirms",
        "settled",
        "buyer      withdraws",
    ]
    places = [next(k for k, line in enumerate(story) if line.startswith(start)) for start in order]
    assert places == sorted(places)


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_wider_than_the_screen_or_cut_off(played: Played, audited: Audited, columns: int, terminal: bool) -> None:
    plain = CONTROL.sub("", screen(played, audited, terminal=terminal, columns=columns))
    lines = re.split(r"[\r\n]+", plain)
    assert max(len(line.rstrip()) for line in lines) <= columns
    assert "…" not in plain
    assert "settled: the error fell by" in plain


def test_a_terminal_has_a_bar_that_ends_full_before_the_result_is_told(played: Played, audited: Audited) -> None:
    shown = screen(played, audited, terminal=True, columns=80)
    plain = CONTROL.sub("", shown)
    last_bar = [line for line in re.split(r"[\r\n]+", plain) if "━" in line][-1]
    assert re.search(r"round 24/24 ━{10,} MSE +\d+\.\d\d, \d\d\.\d\d % lower \d\d:\d\d in all", last_bar)
    assert plain.rindex("in all") < plain.index("aggregator submits")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor stays hidden"


def test_the_closing_table_says_who_did_what_and_earned_what(played: Played, audited: Audited) -> None:
    result = played.result
    assert result is not None
    text = screen(played, audited, terminal=False, columns=80)
    for name, role in result.roles.items():
        amount = f"{result.payouts_wei[name] // ETHER}.{result.payouts_wei[name] % ETHER:018d}"
        share = rf"{100 * result.contributions[name]:.2f} %\s+" if role == "trainer" else ""
        assert re.search(rf"{name}\s+{role}\s+50\s+{share}{re.escape(amount)}\s", text), (name, text)
    assert re.search(r"sum\s+5\.0{18}\s+escrow\s+5\.0{18}\s", text)
    assert re.search(r"2019\s+this run", text)
    assert re.search(rf"final MSE\s+3311\.84\s+{result.mse_history[-1][1]:.2f}\s", text)
    assert re.search(rf"rounds\s+100\s+{ROUNDS}\s", text)
    assert "make bench" in text
    assert "from deltaml_core import train" in text


def test_both_audits_are_told_with_their_verdicts(played: Played, audited: Audited) -> None:
    shown = " ".join(screen(played, audited, terminal=False, columns=120).split())
    assert audited.verdict == "ok"
    for path, report_ in ((audited.path, audited.full), (audited.public_path, audited.public)):
        assert str(path) in shown
        assert report_.verdict.split(";")[0] in shown
    assert "statement 1, payouts 1" in shown
