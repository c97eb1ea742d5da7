"""What is live, and what happens to a page when something behind it goes away: a clear word, and it comes back by itself."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from browsing import OpenTab, Site, Tab, children, kernel_of, note
from playwright.sync_api import expect

from deltaml_core.chain import Role, Wallet

NAME = "newcomer <img src=x onerror=alert(1)>"

pytestmark = pytest.mark.slow


def _until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.05)


def _block(tab: Tab) -> int:
    shown = re.search(r"block (\d+)", tab.find(".d-chain").inner_text())
    assert shown is not None
    return int(shown.group(1))


def _newcomer(site: Site) -> Wallet:
    """A wallet with ether from the local chain's own rich account."""
    web3, wallet = site.marketplace.web3, Wallet.create()
    web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction({"from": web3.eth.accounts[0], "to": wallet.address, "value": 10**18}))  # type: ignore[typeddict-item]
    return wallet


def test_a_transaction_shows_on_all_of_six_open_pages(site: Site, open_tab: OpenTab) -> None:
    tabs = []
    for page in ("marketplace", "landing", "login", "data_owner", "model_buyer", "federated_aggregator"):
        began = time.monotonic()
        tabs.append(open_tab(page))
        expect(tabs[-1].find(".d-chain")).to_contain_text("block")
        note(f"s to the content of {page}", time.monotonic() - began)
    wallet = _newcomer(site)
    receipt = site.marketplace.register(wallet, Role.DATA_OWNER, NAME)
    mined = time.monotonic()
    for tab in tabs:
        expect(tab.find(".d-chain")).to_contain_text(f"block {receipt.block}")
    note("s until six pages showed a block", time.monotonic() - mined)
    expect(tabs[0].find(".t-ledger")).to_contain_text(f"{NAME} offers itself as data owner")
    tabs[0].page.get_by_role("button", name="newcomer").first.click()
    expect(tabs[0].find(".t-ledger")).to_contain_text(f"1 events of {NAME}")
    assert tabs[0].page.locator("img").count() == 0, "a stranger's name became a part of the page"


def test_a_chain_that_is_killed_is_named_and_comes_back(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab("landing")
    expect(tab.find(".d-chain")).to_contain_text("block")
    (ganache,) = children(site.process.pid, "ganache.mjs")
    ganache.suspend()
    try:
        os.kill(ganache.pid, signal.SIGKILL)
        tab.says(re.compile("no node answers|the node does not answer"))
    finally:
        if ganache.is_running():
            ganache.kill()
    expect(tab.page.locator(".d-banner.d-bad")).to_have_count(0)
    assert _block(tab) > 0


def test_a_node_that_is_killed_is_shown_and_started_again(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab("data_owner")
    tab.log_in("owner-5", site.password)
    tab.says("Your node runs as process")
    before = tab.find(".t-node").inner_text()
    (node,) = children(site.process.pid, "nodes/owner-5")
    node.kill()
    expect(tab.find(".t-node")).not_to_have_text(before)
    tab.says("Your node runs as process")


def test_a_kernel_that_is_killed_is_replaced(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab("landing")
    expect(tab.find(".d-chain")).to_contain_text("block")
    killed = kernel_of(site.process.pid, tab)
    killed.kill()
    tab.page.wait_for_event("load")  # it says that it has lost its connection, and comes back as soon as the server answers
    expect(tab.find(".d-chain")).to_contain_text("block")
    assert kernel_of(site.process.pid, tab).pid != killed.pid
    tab.faults.clear()  # a connection that is cut is an error in the console


def test_who_leaves_a_page_alone_is_logged_out(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab("data_owner")
    tab.log_in("owner-5", site.password)
    tab.page.clock.set_fixed_time(time.time() + 31 * 60)
    tab.says("You were logged out after 30 minutes without a click or a key.")
    expect(tab.find(".d-who")).to_contain_text("not logged in")
    tab.page.clock.set_fixed_time(time.time())
    tab.log_in("owner-5", site.password)


def test_the_kernel_of_a_closed_page_ends(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab("marketplace")
    expect(tab.find(".d-chain")).to_contain_text("block")
    kernel = kernel_of(site.process.pid, tab)
    tab.close()
    _until(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE, "the end of the page's kernel", 120)


def test_no_traceback_is_on_a_page_and_the_log_has_them(site: Site) -> None:
    log = Path(site.folder / "logs" / "pages.log")
    assert not log.exists() or "Traceback" not in log.read_text()
