"""The whole life of requests through web3, once on each chain: the same scenarios as forge plays, by real transactions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenario import ETHER, HOUR, Market

from deltaml_core.chain import Answer, Role, Status, Wallet, to_units
from deltaml_core.chain.events import Failed, RolesDealt, Withdrawn
from deltaml_core.chain.types import FailureReason
from deltaml_core.errors import ChainError, ContractError


def test_roles_are_dealt_after_a_block_nobody_knew(market: Market) -> None:
    contract = market.contract
    request_id = market.create(min_owners=5, max_owners=5, validators=())
    contract.take_on(market.aggregator, request_id)
    market.accept_by(request_id, market.owners)
    closed = contract.close(market.stranger, request_id)
    deal_block = contract.request(request_id).deal_block
    assert deal_block > closed.block
    with pytest.raises(ContractError) as refused:
        contract.start(market.aggregator, request_id)
    assert refused.value.name == "DealBlockAhead"

    market.node.mine(deal_block + 1 - market.web3.eth.block_number)
    (dealt,) = contract.start(market.stranger, request_id).events
    assert isinstance(dealt, RolesDealt)
    assert len(dealt.trainers) == 4
    assert len(dealt.validators) == 1
    assert {*dealt.trainers, *dealt.validators} == {owner.address for owner in market.owners}
    request = contract.request(request_id)
    assert (request.trainers, request.validators) == (dealt.trainers, dealt.validators)
    market.node.increase_time(2 * HOUR)
    contract.expire(market.stranger, request_id)


def test_a_missed_quorum_refunds_everything_and_a_cancelled_request_too(market: Market) -> None:
    contract = market.contract
    missed, cancelled = market.create(), market.create()
    contract.take_on(market.aggregator, missed)
    market.accept_by(missed, market.owners[1:3])
    contract.decline(market.owners[0], missed)
    assert contract.answer(missed, market.owners[0].address) is Answer.DECLINED
    before = contract.credit_wei(market.buyer.address)
    contract.cancel(market.buyer, cancelled)
    market.node.increase_time(HOUR)
    (*_, failed) = contract.close(market.stranger, missed).events
    assert isinstance(failed, Failed)
    assert failed.reason is FailureReason.QUORUM_MISSED
    assert contract.credit_wei(market.buyer.address) == before + 10 * ETHER
    assert contract.request(cancelled).status is Status.CANCELLED
    receipt = contract.withdraw_to(market.buyer, market.stranger.address)
    (withdrawn,) = receipt.events
    assert isinstance(withdrawn, Withdrawn)
    assert (withdrawn.account, withdrawn.recipient) == (market.buyer.address, market.stranger.address)


def test_a_second_signed_statement_refutes_the_result(market: Market) -> None:
    request = market.in_training(1000, minimum_reward_wei=10)
    statement = market.submitted(request)
    other = replace(statement, final_mse=to_units(400))
    refuter = market.by_address[request.trainers[0]]
    with pytest.raises(ContractError) as refused:
        market.contract.refute(refuter, request.id, statement, market.signatures(request, statement))
    assert refused.value.name == "SameStatement"
    market.contract.refute(refuter, request.id, other, market.signatures(request, other))
    assert market.contract.request(request.id).status is Status.FAILED


def test_a_statement_for_another_chain_is_refused(market: Market) -> None:
    request = market.in_training()
    statement = market.statement(request)
    signer = market.by_address[request.validators[0]]
    foreign = {signer.address: signer.sign_statement(statement, market.contract.chain_id + 1, market.contract.address)}
    with pytest.raises(ContractError) as refused:
        market.contract.submit_result(market.aggregator, request.id, statement, foreign)
    assert refused.value.name == "InvalidSignature"
    assert refused.value.values == {"validator": signer.address}


def test_a_signature_by_somebody_who_does_not_validate_is_refused_before_sending(market: Market) -> None:
    request = market.in_training()
    statement = market.statement(request)
    with pytest.raises(ChainError, match="does not validate"):
        market.contract.submit_result(market.aggregator, request.id, statement, {request.trainers[0]: b"\1" * 65})


def test_the_digest_signed_here_is_the_contracts(market: Market) -> None:
    request = market.in_training()
    statement = market.statement(request, gains=(-1, 2))
    market.submitted(request, gains=(-1, 2))
    assert market.contract.request(request.id).statement_digest == market.contract.digest(statement)
    assert market.contract.request(request.id).gains == (-1, 2)


def test_two_buyers_requests_do_not_touch_each_other(market: Market) -> None:
    contract = market.contract
    other = Wallet.create()
    market.node.fund(other.address, 10 * ETHER)
    contract.register(other, Role.MODEL_BUYER, "second buyer")
    assert "second buyer" in [member.metadata for member in contract.members(Role.MODEL_BUYER)]
    theirs = contract.create_request(other, market.terms(), "{}", ETHER)
    ours = market.in_training(2 * ETHER)
    market.submitted(ours)
    with pytest.raises(ContractError) as refused:
        contract.confirm(other, ours.id)
    assert refused.value.name == "NotAuthorized"
    contract.confirm(market.buyer, ours.id)
    contract.finalize(market.buyer, ours.id)
    assert contract.request(theirs).locked_wei == ETHER
    assert contract.credit_wei(other.address) == 0
    contract.cancel(other, theirs)
    assert contract.credit_wei(other.address) == ETHER


def test_what_a_request_was_created_with_can_be_read_back(market: Market) -> None:
    terms = market.terms(model_kind="ridge", minimum_reward_wei=7)
    request_id = market.contract.create_request(market.buyer, terms, '{"columns": ["bmi"]}', 100)
    assert market.contract.requirements(request_id) == '{"columns": ["bmi"]}'
    assert market.contract.request(request_id).terms == terms
    with pytest.raises(ContractError) as refused:
        market.contract.request(10**6)
    assert refused.value.name == "UnknownRequest"


def test_gas_is_summed_and_metrics_and_settlement_stay_cheap(market: Market) -> None:
    request = market.in_training()
    before = market.contract.gas_used
    metric = market.contract.record_metric(market.aggregator, request.id, 1, to_units(27742))
    assert market.contract.gas_used == before + metric.gas_used
    assert metric.gas_used < 30_000
