"""A local market with its dashboards, as `deltaml dashboards` starts it, and a browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from browsing import OpenTab, Site, Tab, launch
from playwright.sync_api import Browser, ViewportSize, sync_playwright

from deltaml_core.ports import free_port


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("market"), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DELTAML_")}
    command = [sys.executable, "-m", "deltaml_core.cli", "dashboards", "--market", folder.name, "--port", str(port)]
    log = (folder / "command.log").open("wb")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=folder.parent)
    try:
        deadline = time.monotonic() + 120
        while b"Dashboards:" not in (folder / "command.log").read_bytes():
            assert process.poll() is None, (folder / "command.log").read_text()
            assert time.monotonic() < deadline, (folder / "command.log").read_text()
            time.sleep(0.1)
        yield Site(process, folder, port)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        log.close()


@pytest.fixture(scope="module")  # Playwright keeps an event loop running, which other tests of this process must not find
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()


@pytest.fixture
def open_tab(site: Site, browser: Browser) -> Iterator[OpenTab]:
    """Opens a page of the dashboards; at the test's end no page may have had a fault."""
    tabs: list[Tab] = []

    def open_one(page: str, *, dark: bool = False, width: int = 1280) -> Tab:
        size: ViewportSize = {"width": width, "height": 900}
        context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light", accept_downloads=True)
        tabs.append(Tab(context, site.address(page)))
        return tabs[-1]

    yield open_one
    for tab in tabs:
        tab.close()
