"""The money rules through web3, once on each chain; the balance equation is checked after every transaction."""

from __future__ import annotations

import pytest
from scenario import ETHER, HOUR, Market

from deltaml_core.chain import Status, to_units
from deltaml_core.chain.events import Credited, MetricRecorded, Settled
from deltaml_core.errors import ContractError, InsufficientFundsError
from deltaml_core.payouts import split_escrow


def test_the_check_value_is_paid_to_the_wei(market: Market) -> None:
    contract, (validator, *trainers) = market.contract, market.owners[:3]
    request = market.in_training(5 * ETHER)
    for round_number, mse in [(0, 1000), (100, 500)]:
        contract.record_metric(market.aggregator, request.id, round_number, to_units(mse))
    market.submitted(request)
    contract.confirm(market.buyer, request.id)
    receipt = contract.finalize(market.stranger, request.id)

    credited = {event.account: event.amount_wei for event in receipt.events if isinstance(event, Credited)}
    assert credited == {
        validator.address: ETHER,
        trainers[0].address: 875 * ETHER // 1000,
        trainers[1].address: 875 * ETHER // 1000,
        market.aggregator.address: ETHER // 2,
        market.buyer.address: 175 * ETHER // 100,
    }
    assert [event.improvement for event in receipt.events if isinstance(event, Settled)] == [to_units(1) // 2]
    curve = [event for event in contract.events() if isinstance(event, MetricRecorded) and event.id == request.id]
    assert [(event.round, event.mse) for event in curve] == [(0, to_units(1000)), (100, to_units(500))]

    for account in credited:
        contract.withdraw(market.by_address[account])
    assert contract.request(request.id).status is Status.SETTLED
    assert contract.balance_wei() == 0
    assert contract.transactions_checked > 15


@pytest.mark.parametrize(
    ("gains", "initial", "final", "minimum_wei"),
    [((1, 2), 1000, 400, 0), ((5, -3), 1000, 400, 7), ((0, 0), 1000, 400, 11), ((1, 1), 0, 0, 0), ((1, 1), 10, 20, 5), ((3, 4), 10, 0, 1)],
)
def test_the_contract_pays_what_the_python_reference_says(
    market: Market, gains: tuple[int, int], initial: int, final: int, minimum_wei: int
) -> None:
    request = market.in_training(1001, minimum_reward_wei=minimum_wei)
    market.submitted(request, gains=gains, initial_mse=initial, final_mse=final)
    market.contract.confirm(market.buyer, request.id)
    receipt = market.contract.finalize(market.buyer, request.id)

    expected = split_escrow(escrow_wei=1001, initial=initial, final=final, gains=gains, validators=1, minimum_wei=minimum_wei)
    credited = {event.account: event.amount_wei for event in receipt.events if isinstance(event, Credited)}
    names = [*request.trainers, *request.validators, request.aggregator, request.buyer]
    amounts = [*expected.trainers_wei, *expected.validators_wei, expected.aggregator_wei, expected.refund_wei]
    assert credited == {name: amount for name, amount in zip(names, amounts, strict=True) if amount}


def test_a_failed_training_pays_minimum_rewards_and_refunds_the_rest(market: Market) -> None:
    request = market.in_training(1000, minimum_reward_wei=10)
    market.node.increase_time(2 * HOUR)
    receipt = market.contract.expire(market.stranger, request.id)

    credited = {event.account: event.amount_wei for event in receipt.events if isinstance(event, Credited)}
    assert credited == {**dict.fromkeys(request.owners, 10), request.buyer: 970}
    assert market.contract.request(request.id).status is Status.FAILED


def test_an_escrow_above_the_balance_is_refused_before_anything_is_sent(market: Market) -> None:
    before = market.contract.requests()
    with pytest.raises(InsufficientFundsError, match="less than"):
        market.create(escrow_wei=10**6 * ETHER)
    assert market.contract.requests() == before


def test_an_escrow_that_leaves_nothing_for_gas_is_refused(market: Market) -> None:
    balance_wei = market.web3.eth.get_balance(market.buyer.address)
    with pytest.raises(InsufficientFundsError):
        market.create(escrow_wei=balance_wei)
    assert market.web3.eth.get_balance(market.buyer.address) == balance_wei


def test_a_refusal_carries_the_contracts_error_and_values(market: Market) -> None:
    request = market.in_training()
    with pytest.raises(ContractError) as refused:
        market.contract.record_metric(market.stranger, request.id, 1, to_units(1))
    assert refused.value.name == "NotAuthorized"
    assert refused.value.values == {"id": request.id, "caller": market.stranger.address, "required": market.aggregator.address}
