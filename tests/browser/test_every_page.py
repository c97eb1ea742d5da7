"""Every page, light and dark, wide and narrow: whole, without a fault, readable, usable with a keyboard."""

from __future__ import annotations

import re

import pytest
from browsing import OpenTab, Site, Tab
from playwright.sync_api import expect

pytestmark = pytest.mark.slow

PAGES = ("landing", "login", "data_owner", "model_buyer", "federated_aggregator", "marketplace")
LOOKS = (("light", False, 1280), ("dark", True, 1280), ("narrow", False, 380), ("narrow-dark", True, 380))


def _fits(tab: Tab) -> None:
    """Nothing makes the page itself scroll sideways."""
    width, window = tab.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= window, (width, window)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_public_data_in_every_look(open_tab: OpenTab, page: str) -> None:
    tab = open_tab(page)
    expect(tab.find(".d-chain")).to_contain_text("block")
    expect(tab.find(".t-request-table")).to_contain_text("request")
    for look, dark, width in LOOKS:
        tab.page.emulate_media(color_scheme="dark" if dark else "light")
        tab.page.set_viewport_size({"width": width, "height": 900})
        _fits(tab)
        tab.picture(f"{page}-{look}")
        background = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 200) is dark


def test_a_wrong_password_a_damaged_keystore_and_a_right_one(site: Site, open_tab: OpenTab) -> None:
    damaged = site.folder / "nodes" / "damaged"
    damaged.mkdir(exist_ok=True)
    (damaged / "wallet.json").write_text("{}")
    tab = open_tab("login")
    tab.find(".t-wallet select").select_option(label="owner-5")
    tab.find(".t-password input").fill("not the password")
    tab.find(".t-password input").press("Enter")
    tab.says("the password does not open")
    expect(tab.find(".d-who")).to_contain_text("not logged in")
    tab.find(".t-wallet select").select_option(label="damaged")
    tab.find(".t-password input").fill("whatever it is")
    tab.click(".t-unlock")
    tab.says("is not a version 3 keystore")
    tab.log_in("owner-5", site.password)
    tab.says("Your data sets")
    assert site.password not in tab.page.content()
    assert site.password not in tab.page.url
    tab.click(".t-log-out")
    expect(tab.find(".d-who")).to_contain_text("not logged in")
    expect(tab.find(".t-login")).to_be_visible()


def test_a_new_wallet_opens_at_once_and_its_node_can_run_on_the_page(site: Site, open_tab: OpenTab) -> None:
    tab = open_tab("data_owner")
    tab.page.get_by_text("Create a new wallet").click()
    tab.find(".t-new-name input").fill("hospital-north")
    for first, second in (("a long password", "another password"), ("a long password", "a long password")):
        tab.find(".t-new-password input").fill(first)
        tab.find(".t-new-password-again input").fill(second)
        tab.click(".t-create-wallet")
        if first != second:
            tab.says("the two passwords differ")
    expect(tab.find(".d-who")).to_contain_text("hospital-north")
    tab.says("Your node does not run")
    tab.click(".t-run-node:enabled")
    tab.says("Your node runs on this page")
    tab.says("holds no ether")
    tab.click(".t-test-ether")
    expect(tab.find('[data-figure="balance"]')).to_contain_text("9.99")
    expect(tab.page.locator(".t-test-ether")).to_be_hidden()
    tab.fill(".t-dataset-path", "/does/not/exist.csv")
    tab.click(".t-add-dataset")
    tab.says("/does/not/exist.csv cannot be read")
    content = b"age,bmi,progression\n0.1,0.05,100\n0.02,-0.1,140\n"
    with tab.page.expect_file_chooser() as chooser:
        tab.click(".t-upload-dataset")
    chooser.value.set_files({"name": "rows.csv", "mimeType": "text/csv", "buffer": content})
    tab.says("is added: 2 rows, 3 columns.")
    expect(tab.find(".t-dataset")).to_contain_text("2 rows")
    assert (site.folder / "nodes" / "hospital-north" / "data").stat().st_mode & 0o077 == 0


def test_everything_can_be_reached_and_named_with_a_keyboard(open_tab: OpenTab) -> None:
    tab = open_tab("login")
    inputs = "[...document.querySelectorAll('input:not([type=file]), select')]"
    unlabelled = tab.page.evaluate(f"{inputs}.filter(e => !e.labels?.length && !e.ariaLabel).map(e => e.outerHTML)")
    assert unlabelled == []
    tab.find(".t-password input").focus()
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.textContent") == "Unlock"
    outline = tab.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
