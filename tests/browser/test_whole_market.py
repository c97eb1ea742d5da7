"""Requests from the form to the end, by clicks alone, on the pages of everybody who takes part: one is settled, one refuted."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from browsing import OpenTab, Site, Tab
from playwright.sync_api import expect

from deltaml_core.chain import Statement, Status, Wallet
from deltaml_core.views.formats import wei

pytestmark = pytest.mark.slow

ETHER = 10**18
OWNERS = ("owner-1", "owner-2", "owner-3", "owner-4")


def _do(tab: Tab, css: str) -> None:
    """Click what asks, and say yes."""
    tab.click(f"{css}:enabled")
    tab.click(".t-yes")


def _post(buyer: Tab, number: int, *, rounds: int, owners: int, picture: str | None = None) -> None:
    """Fill in the form and post it."""
    expect(buyer.find(".t-outcomes [data-points], .t-outcomes .d-words")).to_contain_text("better")
    for css, amount in ((".t-rounds", rounds), (".t-most", owners), (".t-fewest", owners), (".t-escrow", 2)):
        buyer.fill(css, str(amount))
    if picture:
        buyer.picture(picture)
    _do(buyer, ".t-new-request")
    buyer.says(f"Request {number} is posted.")


def _take_on(aggregator: Tab, number: int) -> None:
    _do(aggregator, ".t-take-on")
    aggregator.says(f"You have taken on request {number}.")


def _accept(tab: Tab, number: int) -> None:
    _do(tab, ".t-accept")
    tab.says(f"You have accepted request {number}.")


def _points(tab: Tab) -> int:
    return int(tab.find(".t-mse-chart [data-points]").get_attribute("data-points") or 0)


def _wei(tab: Tab, key: str) -> int:
    """The exact amount behind a figure."""
    title = tab.find(f'[data-figure="{key}"]').get_attribute("title") or ""
    return int(re.sub(r"\D", "", title))


def test_a_request_is_posted_answered_trained_settled_and_withdrawn_by_clicks(site: Site, open_tab: OpenTab) -> None:
    buyer = open_tab("model_buyer")
    buyer.log_in("buyer", site.password)
    buyer.page.get_by_text("New request").click()
    _post(buyer, 1, rounds=12, owners=4, picture="new-request")

    aggregator = open_tab("federated_aggregator")
    aggregator.log_in("aggregator", site.password)
    _take_on(aggregator, 1)

    owners = []
    for name in OWNERS:
        tab = open_tab("data_owner")
        tab.log_in(name, site.password)
        expect(tab.find(".t-request-table")).to_contain_text("Ready")
        if name == OWNERS[0]:
            tab.picture("owner-ready")
        _accept(tab, 1)
        owners.append(tab)

    expect(buyer.find(".t-mse-chart [data-points]")).not_to_have_attribute("data-points", "0")
    seen = {_points(buyer)}
    while len(seen) < 3:
        seen.add(_points(buyer))
        assert buyer.find(".t-detail").is_visible()
    expect(buyer.find(".t-confirm")).to_be_enabled()
    buyer.picture("buyer-submitted")
    buyer.click(".t-verify")
    buyer.says("8 checks hold, none fails.")
    _do(buyer, ".t-confirm")
    buyer.says("The result of request 1 is confirmed.")
    expect(buyer.find(".t-model")).to_contain_text("Intercept")
    _the_model_goes_along(buyer)
    buyer.picture("buyer-settled")
    aggregator.picture("aggregator-settled")

    request = site.marketplace.request(1)
    for name, tab in [*zip(OWNERS, owners, strict=True), ("aggregator", aggregator), ("buyer", buyer)]:
        _withdraws(site, name, tab)
    assert site.marketplace.balance_wei() == 0
    assert request.escrow_wei == 2 * ETHER
    market = open_tab("marketplace")
    expect(market.find('[data-figure="equation"]')).to_contain_text("equal")
    expect(market.find(".t-ledger")).to_contain_text("withdraws")
    market.picture("marketplace")


def _the_model_goes_along(buyer: Tab) -> None:
    with buyer.page.expect_download() as started:
        buyer.page.get_by_text("Download as JSON").click()
    content = json.loads(started.value.path().read_text())
    assert (len(content["coef_"]), content["target"]) == (10, "progression")


def _withdraws(site: Site, name: str, tab: Tab) -> None:
    address = tab.find(".d-who code").get_attribute("title")
    assert address is not None
    credit = site.marketplace.credit_wei(address)
    expect(tab.find('[data-figure="credit"]')).to_have_attribute("title", wei(credit))
    if not credit:  # a trainer that made no coalition better
        expect(tab.find(".t-withdraw")).to_be_disabled()
        return
    _do(tab, ".t-withdraw")
    tab.says(f"{credit / ETHER:.4f} ether were withdrawn.")
    assert site.marketplace.credit_wei(address) == 0
    expect(tab.find('[data-figure="credit"]')).to_have_attribute("title", "0 wei")


def test_a_result_beside_another_signed_statement_is_refuted_by_clicks(site: Site, open_tab: OpenTab) -> None:
    number = len(site.marketplace.requests()) + 1
    buyer, aggregator = open_tab("model_buyer"), open_tab("federated_aggregator")
    buyer.log_in("buyer", site.password)
    buyer.page.get_by_text("New request").click()
    _post(buyer, number, rounds=2, owners=2)
    aggregator.log_in("aggregator", site.password)
    _take_on(aggregator, number)
    for name in OWNERS[:2]:
        tab = open_tab("data_owner")
        tab.log_in(name, site.password)
        _accept(tab, number)
    expect(buyer.find(".t-confirm")).to_be_enabled()

    buyer.page.get_by_text("Refute it").click()
    submitted = site.marketplace.submitted(number)
    assert submitted is not None
    _hand_in(buyer, _evidence(site, number, submitted))
    buyer.says(f"this is no evidence against request {number}")
    _hand_in(buyer, _evidence(site, number, replace(submitted, final_mse=submitted.final_mse + 1)))
    buyer.says(f"The result of request {number} is refuted.")
    expect(buyer.find(".t-detail")).to_contain_text("Failed")
    assert site.marketplace.request(number).status is Status.FAILED


def _evidence(site: Site, number: int, statement: Statement) -> bytes:
    """A statement as the request's validators sign it who sign anything."""
    marketplace, signatures = site.marketplace, {}
    for name in OWNERS:
        wallet = Wallet.load(site.folder / "nodes" / name / "wallet.json", site.password)
        if wallet.address in marketplace.request(number).validators:
            signatures[wallet.address] = wallet.sign_statement(statement, marketplace.chain_id, marketplace.address).hex()
    return json.dumps({"statement": statement.to_json(), "signatures": signatures}).encode()


def _hand_in(buyer: Tab, content: bytes) -> None:
    with buyer.page.expect_file_chooser() as chosen:
        buyer.page.get_by_role("button", name="Other statement").click()
    chosen.value.set_files({"name": "evidence.json", "mimeType": "application/json", "buffer": content})
    _do(buyer, ".t-refute")
