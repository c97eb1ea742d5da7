"""A page that is left open costs next to nothing and still works: two minutes here, an hour with `make soak`."""

from __future__ import annotations

import os
import time

import pytest
from browsing import OpenTab, Site, kernel_of
from playwright.sync_api import expect

from deltaml_core.chain import Role, Wallet

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("DELTAML_SOAK_SECONDS", "120"))
SHARE_OF_A_CORE = 0.03


def test_a_page_left_open_costs_little_and_is_still_live(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab("marketplace")
    expect(tab.find(".d-chain")).to_contain_text("block")
    kernel = kernel_of(site.process.pid, tab)
    before, began = sum(kernel.cpu_times()[:2]), time.monotonic()
    tab.page.wait_for_timeout(SECONDS * 1000)
    share = (sum(kernel.cpu_times()[:2]) - before) / (time.monotonic() - began)
    assert share < SHARE_OF_A_CORE, f"{100 * share:.1f} % of a core"
    print(f"{100 * share:.2f} % of a core, {kernel.memory_info().rss >> 20} MB")
    web3, wallet = site.marketplace.web3, Wallet.create()
    web3.eth.wait_for_transaction_receipt(web3.eth.send_transaction({"from": web3.eth.accounts[0], "to": wallet.address, "value": 10**18}))  # type: ignore[typeddict-item]
    receipt = site.marketplace.register(wallet, Role.DATA_OWNER, "late newcomer")
    expect(tab.find(".d-chain")).to_contain_text(f"block {receipt.block}")
    expect(tab.find(".t-ledger")).to_contain_text("late newcomer offers itself as data owner")
