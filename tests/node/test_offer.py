"""A request as a file that its buyer writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deltaml_core.chain import Wallet
from deltaml_core.demo.paper import paper_terms
from deltaml_core.errors import TermsError
from deltaml_core.node.offer import Offer

ADDRESS = Wallet.create().address
OFFER = Offer(terms=paper_terms(), aggregator=ADDRESS, escrow_wei=5 * 10**18, minimum_owners=5, maximum_owners=5, validators=(ADDRESS,))


def test_an_offer_is_read_as_it_was_written(tmp_path: Path) -> None:
    OFFER.write(tmp_path / "offer.json")
    assert Offer.read(tmp_path / "offer.json") == OFFER
    assert Offer.from_json(OFFER.to_json()) == OFFER


def test_what_has_a_usual_value_may_be_left_out() -> None:
    content = json.loads(OFFER.to_json())
    usual = ("acceptance_seconds", "training_seconds", "challenge_seconds", "minimum_reward_wei", "trainers_bps", "validators_bps")
    for name in (*usual, "aggregator_bps", "validators"):
        del content[name]
    for name in ("rounds", "step", "key_bits", "metrics", "contributions", "owner_timeout"):
        del content["terms"][name]
    assert Offer.from_json(json.dumps(content)) == replace(OFFER, validators=())


def test_offers_are_told_apart_by_what_they_say() -> None:
    assert OFFER.token == Offer.from_json(OFFER.to_json()).token
    others = (replace(OFFER, escrow_wei=1), replace(OFFER, validators=()), replace(OFFER, terms=paper_terms(rounds=99)))
    assert len({offer.token for offer in (OFFER, *others)}) == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"aggregator": ADDRESS.lower()}, "not an address with its checksum"),
        ({"aggregator": 7}, "not an address with its checksum"),
        ({"validators": ["owner-2"]}, "'owner-2' is not an address"),
        ({"escrow_wei": -1}, "escrow_wei must be a whole number of at least 0, not -1"),
        ({"escrow_wei": "5"}, "escrow_wei must be a whole number"),
        ({"minimum_owners": True}, "minimum_owners must be a whole number"),
        ({"minimum_owners": 2.5}, "this is no offer|minimum_owners must be a whole number"),
        ({"escrow": 5}, "this is no offer.*escrow"),
        ({"terms": {}}, "this is no offer.*requirements"),
        ({"terms": None}, "this is no offer"),
    ],
)
def test_a_bad_entry_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(TermsError, match=said):
        Offer.from_json(json.dumps({**json.loads(OFFER.to_json()), **changes}))


@pytest.mark.parametrize(
    ("name", "value", "said"), [("rounds", 0, "rounds must be"), ("metrics", "none", "metrics='none'"), ("epochs", 1, "epochs")]
)
def test_a_bad_term_is_named(name: str, value: Any, said: str) -> None:
    content = json.loads(OFFER.to_json())
    content["terms"][name] = value
    with pytest.raises(TermsError, match=said):
        Offer.from_json(json.dumps(content))


@pytest.mark.parametrize("text", ["", "[]", "3", '"offer"', "{", "{}", '{"terms": 1, "terms": 2}'])
def test_what_is_no_offer_is_refused(text: str) -> None:
    with pytest.raises(TermsError, match="this is no offer"):
        Offer.from_json(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TermsError, match=r"the offer .*none\.json cannot be read"):
        Offer.read(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(TermsError, match=r"the offer .*binary\.json cannot be read"):
        Offer.read(tmp_path / "binary.json")
