"""The paper's request in one process on a real Ganache: what is paid, what is recorded, and what a refusal leaves behind."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from played import ODD_ESCROW_WEI, CheckedMarketplace, Played, open_market

from deltaml_core import payouts
from deltaml_core.chain import GanacheProcess, connect
from deltaml_core.chain.events import Accepted, DealBlockFixed, Declined, MetricRecorded, RequestCreated, RolesDealt
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.types import Answer, Status, from_units
from deltaml_core.demo.market import ETHER
from deltaml_core.errors import DivergentStepError, InsufficientFundsError, RequirementsError, ScaleBudgetError, TermsError, WrongChainError
from deltaml_core.statistics import Dataset

ROUNDS = 5
pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")


@pytest.fixture(scope="module")
def paper(ganache: GanacheProcess) -> Played:
    """The request as the demo plays it by default, in fewer rounds."""
    played = open_market(ganache, CheckedMarketplace, rounds=ROUNDS, key_bits=2048, metrics="verifiable")
    played.run()
    return played


def test_payouts_and_refund_are_the_escrow_to_the_wei(paper: Played) -> None:
    assert paper.result is not None
    assert sum(paper.result.payouts_wei.values()) + paper.result.refund_wei == paper.result.request.escrow_wei == ODD_ESCROW_WEI
    assert paper.result.contract_balance_wei == paper.marketplace.balance_wei() == 0


def test_the_contract_held_what_it_owed_after_every_transaction(paper: Played) -> None:
    """The marketplace of this fixture checks the balance in each of these calls."""
    once = dict.fromkeys(("createRequest", "takeOn", "close", "start", "submitResult", "confirm", "finalize"), 1)
    assert isinstance(paper.marketplace, CheckedMarketplace)
    calls = Counter(paper.marketplace.written)
    assert calls.pop("withdraw") >= 3  # the validator, the aggregator and a trainer at least
    assert calls == {**once, "register": 7, "accept": 5, "recordMetric": 4}


def test_the_contract_pays_what_the_reference_computes(paper: Played) -> None:
    result = paper.result
    assert result is not None
    request = result.request
    expected = payouts.split_escrow(
        escrow_wei=ODD_ESCROW_WEI,
        initial=request.initial_mse,
        final=request.final_mse,
        gains=request.gains,
        validators=len(request.validators),
    )
    names = {owner.address: owner.name for owner in paper.market.owners}
    paid = {names[trainer]: amount for trainer, amount in zip(request.trainers, expected.trainers_wei, strict=True)}
    paid |= {names[validator]: amount for validator, amount in zip(request.validators, expected.validators_wei, strict=True)}
    assert result.payouts_wei == {**paid, "aggregator": expected.aggregator_wei}
    assert result.refund_wei == expected.refund_wei
    assert max(expected.trainers_wei) > 0


def test_the_curve_is_the_one_on_the_chain(paper: Played, ganache: GanacheProcess) -> None:
    result = paper.result
    assert result is not None
    onlooker = Marketplace(connect(ganache.url), paper.marketplace.address)
    recorded = [event for event in onlooker.events() if isinstance(event, MetricRecorded)]
    assert result.mse_history == [(event.round, float(from_units(event.mse))) for event in recorded]
    assert [number for number, _ in result.mse_history] == [0, 2, 4, 5]
    assert (recorded[0].mse, recorded[-1].mse) == (result.request.initial_mse, result.request.final_mse)


def test_the_display_is_shown_every_event_once_and_in_order(paper: Played, ganache: GanacheProcess) -> None:
    assert paper.events == list(Marketplace(connect(ganache.url), paper.marketplace.address).events())


def test_the_named_validator_validates(paper: Played) -> None:
    assert paper.result is not None
    assert paper.result.roles == {f"owner-{k}": "validator" if k == 2 else "trainer" for k in range(1, 6)}
    assert paper.result.rows == dict.fromkeys(paper.result.roles, 50)


def test_the_buyer_gets_the_model_that_was_measured(paper: Played) -> None:
    result = paper.result
    assert result is not None
    validator = paper.market.owners[1].dataset
    assert validator is not None
    residuals = validator.y - validator.X @ result.coefficients - result.intercept
    assert np.mean(residuals**2) == pytest.approx(result.mse_history[-1][1], rel=1e-6)
    assert result.mse_history[0][1] == pytest.approx(19485.02)


def test_the_contract_deals_the_roles_when_nobody_is_named(ganache: GanacheProcess) -> None:
    played = open_market(ganache, rounds=2)
    result = played.run(named=())
    assert result.request.terms.validators == ()
    assert Counter(result.roles.values()) == {"trainer": 4, "validator": 1}
    (fixed,) = (event for event in played.events if isinstance(event, DealBlockFixed))
    (dealt,) = (event for event in played.events if isinstance(event, RolesDealt))
    assert dealt.block > fixed.deal_block
    assert (dealt.trainers, dealt.validators) == (result.request.trainers, result.request.validators)
    assert sum(result.payouts_wei.values()) + result.refund_wei == ODD_ESCROW_WEI


def test_an_owner_with_values_out_of_range_declines_and_the_buyer_has_its_escrow_back(ganache: GanacheProcess) -> None:
    played = open_market(ganache, CheckedMarketplace)
    owners = list(played.market.owners)
    good = owners[2].dataset
    assert good is not None
    X = good.X.copy()
    X[3, good.features.index("bmi")] = 0.7
    owners[2] = replace(owners[2], dataset=Dataset(X, good.y, good.features, good.target))
    played.market.owners = owners
    buyer = played.market.buyer.address
    before_wei = balance_wei(played, buyer)

    with pytest.raises(
        RequirementsError, match=r"4 of the 5 owners .* owner-3: 1 of 50 values of 'bmi' lie outside \[-0.2, 0.2\]"
    ) as refused:
        played.run()

    assert refused.value.__notes__ == ["Request 1 was cancelled: the buyer has 3 ether of its escrow back"]
    assert played.marketplace.request(1).status is Status.CANCELLED
    assert [event.owner for event in played.events if isinstance(event, Declined)] == [owners[2].address]
    assert len([event for event in played.events if isinstance(event, Accepted)]) == 4
    assert played.marketplace.answer(1, owners[2].address) is Answer.DECLINED
    assert_all_back(played, before_wei)


def test_a_step_that_diverges_ends_the_request_at_its_deadline_with_the_escrow_back(ganache: GanacheProcess) -> None:
    played = open_market(ganache, CheckedMarketplace, step=50.0)
    before_wei = balance_wei(played, played.market.buyer.address)
    with pytest.raises(DivergentStepError) as refused:
        played.run()
    assert 0 < refused.value.largest_stable_step < 50
    assert refused.value.__notes__ == ["Request 1 has failed at its deadline: the buyer has 3 ether of its escrow back"]
    assert played.marketplace.request(1).status is Status.FAILED
    assert_all_back(played, before_wei)


def test_a_key_too_small_for_the_rounds_is_refused_before_anything_is_posted(ganache: GanacheProcess) -> None:
    played = open_market(ganache, key_bits=128)
    with pytest.raises(ScaleBudgetError, match="128-bit key is too small"):
        played.run()
    assert played.marketplace.requests() == ()
    assert played.events == []


def test_a_key_whose_openings_the_contract_cannot_check_is_refused_before_anything_is_posted(ganache: GanacheProcess) -> None:
    played = open_market(ganache, metrics="verifiable")
    with pytest.raises(TermsError, match="keys of 2048 or 3072 bits, not 1024"):
        played.run()
    assert played.marketplace.requests() == ()
    assert played.events == []


def test_an_escrow_above_the_buyers_balance_is_refused_and_nothing_is_posted(ganache: GanacheProcess) -> None:
    played = open_market(ganache)
    with pytest.raises(InsufficientFundsError, match=f"less than the {100 * ETHER} wei to send"):
        played.run(escrow_wei=100 * ETHER)
    assert played.marketplace.requests() == ()
    assert not [event for event in played.events if isinstance(event, RequestCreated)]
    assert balance_wei(played, played.market.buyer.address) > 9 * ETHER


def test_another_chain_at_the_url_is_named(ganache: GanacheProcess) -> None:
    with pytest.raises(WrongChainError, match="serves chain 1337, not 1"):
        connect(ganache.url, 1)


def balance_wei(played: Played, address: str) -> int:
    return played.marketplace.web3.eth.get_balance(played.marketplace.web3.to_checksum_address(address))


def assert_all_back(played: Played, before_wei: int) -> None:
    """Nothing is left in the contract or owed by it, and the buyer is out of pocket for gas only."""
    assert played.marketplace.balance_wei() == 0
    assert played.marketplace.request(1).locked_wei == 0
    assert played.marketplace.credit_wei(played.market.buyer.address) == 0
    assert before_wei - ETHER // 20 < balance_wei(played, played.market.buyer.address) < before_wei
