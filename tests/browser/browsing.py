"""A real Chromium, and pages that remember everything that went wrong on them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, expect

from deltaml_core.chain import Marketplace, connect

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_OURS = re.compile(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:")
PATIENCE_MS = 60_000

expect.set_options(timeout=PATIENCE_MS)


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    program = shutil.which("chromium")
    assert program is not None, "Chromium is not installed: apt-get install chromium"
    return playwright.chromium.launch(executable_path=program, args=list(_FLAGS), headless=True)


def note(what: str, figure: float) -> None:
    """Keep a figure beside the screenshots: it is to be looked at, and depends on what else the machine does."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with (SCREENSHOTS / "figures.txt").open("a") as file:
        file.write(f"{figure:.2f} {what}\n")


def children(parent: int, words: str) -> list[psutil.Process]:
    """Processes below another one whose command line has these words."""
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if words in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Tab:
    """A page of the dashboards, or of JupyterLab.

    Attributes:
        page: Playwright's.
        faults: console errors, failed requests and requests to elsewhere, as they came.
    """

    def __init__(self, context: BrowserContext, address: str, *, ready: str = ".d-header") -> None:
        """Open it; it is there when the element `ready` is."""
        context.set_default_timeout(PATIENCE_MS)
        self.context = context
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda said: self.faults.append(f"console: {said.text}") if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))
        self.page.on("request", lambda request: None if _OURS.match(request.url) else self.faults.append(f"elsewhere: {request.url}"))
        self.page.goto(address)
        self.page.wait_for_selector(ready)

    def find(self, css: str) -> Locator:
        """An element by its stable class."""
        return self.page.locator(css).first

    def click(self, css: str) -> None:
        """Click a button, once it can be clicked."""
        self.find(css).click()

    def fill(self, css: str, text: str) -> None:
        """Type into the input below an element, and leave it."""
        box = self.find(f"{css} input")
        box.fill(text)
        box.press("Tab")

    def says(self, text: str | re.Pattern[str]) -> None:
        """Wait until the page shows a text."""
        expect(self.page.locator("body")).to_contain_text(text)

    def log_in(self, name: str, password: str) -> None:
        """Open a wallet."""
        self.find(".t-wallet select").select_option(label=name)
        self.find(".t-password input").fill(password)
        self.click(".t-unlock")
        expect(self.find(".d-who")).to_contain_text(name)

    def picture(self, name: str) -> None:
        """Keep a screenshot."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def close(self) -> None:
        """Close it; nothing may have gone wrong until then (a page that goes has its kernel ended, twice, and waits for no answer)."""
        faults = list(self.faults)
        self.context.close()
        assert not faults, faults


def kernel_of(site: int, tab: Tab) -> psutil.Process:
    """The process behind a page of the site with this process."""
    name = tab.page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    (process,) = children(site, f"kernel-{name}.json")
    return process


OpenTab = Callable[..., Tab]


@dataclass
class Site:
    """What `deltaml dashboards` serves.

    Attributes:
        process: the command.
        folder: the market's.
        port: of the dashboards.
    """

    process: subprocess.Popen[bytes]
    folder: Path
    port: int

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text().strip()

    def address(self, page: str) -> str:
        return f"http://127.0.0.1:{self.port}/voila/render/{page}.ipynb"

    @property
    def marketplace(self) -> Marketplace:
        """The contract, through a connection of the test's own."""
        (url,) = [line for line in (self.folder / "chain-url").read_text().splitlines() if line]
        return Marketplace(connect(url), (self.folder / "contract").read_text().strip())
