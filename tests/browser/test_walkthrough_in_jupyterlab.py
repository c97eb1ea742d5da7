"""Chapters of the walkthrough as a student has them: `deltaml lab`, all cells run from the menu, a slider dragged, a button pressed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from browsing import Tab
from playwright.sync_api import Browser, Locator, expect

from deltaml_core.ports import free_port

pytestmark = pytest.mark.slow

AMBER = "rgb(217, 119, 6)"
FOLDER = "notebooks/00_walkthrough"
_ADDRESS = re.compile(r"^JupyterLab: (http\S+)$", re.MULTILINE)
_RAN = re.compile(r"^\[\d+\]:$")
_EVERY_MODEL_IS_LATE = """
const timeout = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (ms) => timeout(ms === 2000 ? 0 : ms);
window.largeScripts = 0;
const address = URL.createObjectURL.bind(URL);
URL.createObjectURL = (blob) => {
  window.largeScripts += blob.size > 1e6;
  return address(blob);
};
"""
"""What a machine does that is so slow that no anywidget is ready in its two seconds; and counts scripts of over a megabyte."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """JupyterLab's address. Its settings are its own, and it saves nothing by itself: the chapters it opens are the repository's."""
    folder = tmp_path_factory.mktemp("lab")
    manager = folder / "settings" / "@jupyterlab" / "docmanager-extension"
    manager.mkdir(parents=True)
    (manager / "plugin.jupyterlab-settings").write_text('{"autosave": false}')
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAML_")}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    command = [sys.executable, "-m", "deltaml_core.cli", "lab", "--market", "market", "--port", str(free_port())]
    log = folder / "command.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder)
    try:
        deadline = time.monotonic() + 120
        while not (found := _ADDRESS.search(log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _run_all(lab: str, browser: Browser, chapter: str, script: str = "") -> Tab:
    """Open a chapter, with a script that runs before any of the page's own, and run all its cells."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.add_init_script(script)
    address = lab.replace("/lab?", f"/lab/tree/{FOLDER}/{chapter}.ipynb?reset&")
    tab = Tab(context, address, ready=".jp-Notebook .jp-MarkdownOutput h1")
    tab.page.get_by_role("menuitem", name="Run", exact=True).click()
    tab.page.get_by_text("Run All Cells", exact=True).click()
    expect(tab.page.locator(".jp-CodeCell .jp-InputArea-prompt").last).to_have_text(_RAN)
    return tab


def _sheet(tab: Tab, css: str) -> Locator:
    """The lesson's widget that has a part of this class."""
    sheet = tab.page.locator(".d-lesson", has=tab.page.locator(css))
    sheet.scroll_into_view_if_needed()
    return sheet


def test_the_step_is_dragged_until_descent_diverges(lab: str, browser: Browser) -> None:
    tab = _run_all(lab, browser, "1_a_model_learns")
    sheet = _sheet(tab, ".t-surface")
    words = sheet.locator(".t-surface .d-words")
    expect(words).to_contain_text("After 20 rounds of step 0.50 the error is")
    before = float(words.get_attribute("data-error") or "nan")
    handle, track = sheet.locator(".noUi-handle").first, sheet.locator(".noUi-base").first
    handle.hover()
    tab.page.mouse.down()
    box = track.bounding_box()
    assert box is not None
    tab.page.mouse.move(box["x"] + 0.97 * box["width"], box["y"], steps=8)
    tab.page.mouse.up()
    expect(words).to_contain_text("It diverges")
    assert float(words.get_attribute("data-error") or "nan") > 10 * before
    tab.picture("walkthrough-1")
    tab.page.get_by_role("link", name="gradient", exact=True).click()
    expect(tab.page.locator(".jp-MarkdownViewer h3", has_text="Gradient descent")).to_be_visible()
    tab.close()


def test_the_buyer_cheats_by_a_button_and_is_caught(lab: str, browser: Browser) -> None:
    tab = _run_all(lab, browser, "5_measuring_without_seeing")
    expect(_sheet(tab, ".t-recovered").locator(".d-banner.d-bad")).to_contain_text("patients are recovered")
    tab.picture("walkthrough-5-attack")
    desk = _sheet(tab, ".t-cheat")
    for lie, tone, verdict in (
        ("be honest", "good", "Nobody has anything to object"),
        ("open another sum", "bad", "Caught by whoever checks"),
    ):
        desk.locator("select").select_option(label=desk.locator("option", has_text=lie).inner_text())
        desk.locator(".t-cheat").click()
        expect(desk.locator(f".d-banner.d-{tone}")).to_contain_text(verdict)
    expect(desk.locator(".t-outcome")).to_contain_text("fail: minimum rewards, the rest back")
    tab.picture("walkthrough-5-cheat")
    tab.close()


def test_charts_are_whole_and_alive_on_a_machine_too_slow_for_anywidget_and_load_plotly_once(lab: str, browser: Browser) -> None:
    tab = _run_all(lab, browser, "6_who_deserves_what", _EVERY_MODEL_IS_LATE)
    charts = tab.page.locator(".d-chart")
    assert charts.count() >= 4
    for chart in charts.all():
        expect(chart.locator(".barlayer .point, .scatterlayer .trace")).not_to_have_count(0)
    sheet = _sheet(tab, ".t-coalitions")
    bars = sheet.locator(".t-coalitions .barlayer .point path")
    expect(bars.first).to_have_css("fill", AMBER)
    sheet.locator(".widget-toggle-button").first.click()
    expect(bars.nth(1)).to_have_css("fill", AMBER)
    assert tab.page.evaluate("largeScripts") == 1
    tab.picture("walkthrough-6")
    late = [fault for fault in tab.faults if fault == "error: [anywidget] Failed to initialize model."]
    assert late
    assert tab.faults == late
    tab.faults.clear()
    tab.close()
