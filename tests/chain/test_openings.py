"""Openings checked on chain with keys made here, at both sizes and on both chains: at once, and deferred to a refutation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import gmpy2
import pytest
from nodes import AnvilProcess
from scenario import HOUR, Market

from deltaml_core.chain import (
    GanacheProcess,
    MetricsKind,
    Opening,
    Request,
    Statement,
    Status,
    metric_hash,
    modulus_hash,
    opened_mse,
)
from deltaml_core.chain.refutation import opening_holds, refutation_power, refutation_step_count
from deltaml_core.errors import ContractError

SCALE, ROWS = 110, 442
NEWEST_TRANSACTION_CAP = 2**24  # gas of one transaction since the Osaka hardfork


@dataclass(frozen=True)
class Key:
    n: int

    def open(self, plaintext: int) -> Opening:
        randomness = int(gmpy2.mpz_random(gmpy2.random_state(plaintext), self.n - 1)) + 1
        square = self.n * self.n
        ciphertext = (1 + self.n * plaintext) * int(gmpy2.powmod(randomness, self.n, square)) % square
        return Opening(modulus=self.n, ciphertext=ciphertext, plaintext=plaintext, randomness=randomness)


def make_opening(bits: int) -> Opening:
    state = gmpy2.random_state(bits)
    p, q = (int(gmpy2.next_prime(gmpy2.mpz_urandomb(state, bits // 2) | (3 << (bits // 2 - 2)))) for _ in range(2))
    assert (p * q).bit_length() == bits
    return Key(p * q).open((3311 * ROWS << SCALE) + 987654321)


@pytest.fixture(scope="session")
def short() -> Opening:
    return make_opening(2048)


@pytest.fixture(params=[2048, 3072])
def opening(request: pytest.FixtureRequest, short: Opening) -> Opening:
    return short if request.param == 2048 else make_opening(3072)


@pytest.fixture(scope="module")
def anvil_market() -> Iterator[Market]:
    with AnvilProcess() as anvil:
        yield Market.open(anvil)


@pytest.fixture(scope="module")
def ganache_market(ganache: GanacheProcess) -> Market:
    return Market.open(ganache)


def training(market: Market, opening: Opening, kind: MetricsKind) -> tuple[Request, Statement]:
    request = market.in_training(
        10**6,
        minimum_reward_wei=5,
        metrics_kind=kind,
        modulus_hash=modulus_hash(opening.modulus),
        key_proof_hash=b"\7" * 32,
    )
    statement = market.statement(
        request,
        metric_hash=metric_hash(opening.ciphertext, opening.modulus),
        scale=SCALE,
        rows=ROWS,
        final_mse=opened_mse(opening.plaintext, SCALE, ROWS),
        initial_mse=27742 * 10**18,
    )
    return request, statement


def is_ganache(market: Market) -> bool:
    return market.web3.client_version.lower().startswith("ganache")


def test_an_honest_opening_is_accepted_where_gas_allows_and_refused_where_it_does_not(market: Market, opening: Opening) -> None:
    request, statement = training(market, opening, MetricsKind.VERIFIABLE)
    signatures = market.signatures(request, statement)
    if is_ganache(market):
        receipt = market.contract.submit_result(market.aggregator, request.id, statement, signatures, opening)
        assert receipt.gas_used < 12_000_000
        assert market.contract.request(request.id).final_mse == statement.final_mse
    else:
        with pytest.raises(ContractError) as refused:
            market.contract.submit_result(market.aggregator, request.id, statement, signatures, opening)
        assert refused.value.name == "ExponentiationFailed"
        assert market.contract.request(request.id).status is Status.TRAINING


@pytest.mark.parametrize("field", ["plaintext", "randomness"])
def test_a_false_opening_is_refused_though_everyone_signed(ganache_market: Market, short: Opening, field: str) -> None:
    market = ganache_market
    false = replace(short, **{field: getattr(short, field) - (1 << SCALE)})
    request, statement = training(market, false, MetricsKind.VERIFIABLE)
    with pytest.raises(ContractError) as refused:
        market.contract.submit_result(market.aggregator, request.id, statement, market.signatures(request, statement), false)
    assert refused.value.name == "OpeningDoesNotHold"
    assert market.contract.request(request.id).status is Status.TRAINING


def refute_in_steps(market: Market, request: Request, opening: Opening, per_call: int) -> list[int]:
    """A trainer refutes, several steps in a transaction; returns the gas of each."""
    refuter = market.by_address[request.trainers[0]]
    steps = refutation_step_count(opening)
    gas = []
    for done in range(0, steps, per_call):
        power = None if done == 0 else refutation_power(opening, done)
        now = min(per_call, steps - done)
        gas.append(market.contract.refute_opening(refuter, request.id, opening, steps=now, power=power).gas_used)
    return gas


def submitted_false(market: Market, opening: Opening) -> tuple[Request, Opening]:
    false = replace(opening, randomness=opening.randomness + 1)
    assert opening_holds(opening)
    assert not opening_holds(false)
    request, statement = training(market, false, MetricsKind.VERIFIABLE_DEFERRED)
    sent = market.contract.submit_result(market.aggregator, request.id, statement, market.signatures(request, statement), false)
    assert sent.gas_used < 1_000_000
    return request, false


def test_on_the_newest_chain_a_false_opening_is_refuted_step_by_step_below_the_cap(anvil_market: Market, opening: Opening) -> None:
    request, false = submitted_false(anvil_market, opening)
    per_call = 3 if opening.modulus.bit_length() == 2048 else 1
    gas = refute_in_steps(anvil_market, request, false, per_call)
    assert max(gas) < NEWEST_TRANSACTION_CAP
    assert anvil_market.contract.request(request.id).status is Status.FAILED
    assert all(anvil_market.contract.credit_wei(owner) >= 5 for owner in request.owners)


def test_where_gas_allows_a_false_opening_is_refuted_in_one_go(ganache_market: Market, short: Opening) -> None:
    request, false = submitted_false(ganache_market, short)
    refute_in_steps(ganache_market, request, false, refutation_step_count(false))
    assert ganache_market.contract.request(request.id).status is Status.FAILED


def test_a_deferred_honest_opening_cannot_be_refuted_nor_its_window_shortened(anvil_market: Market, short: Opening) -> None:
    market, opening = anvil_market, short
    request, statement = training(market, opening, MetricsKind.VERIFIABLE_DEFERRED)
    market.contract.submit_result(market.aggregator, request.id, statement, market.signatures(request, statement), opening)
    with pytest.raises(ContractError) as refused:
        market.contract.confirm(market.buyer, request.id)
    assert refused.value.name == "WindowCannotBeShortened"
    with pytest.raises(ContractError) as refused:
        refute_in_steps(market, request, opening, 3)
    assert refused.value.name == "OpeningHolds"
    market.node.increase_time(HOUR)
    market.contract.finalize(market.stranger, request.id)
    assert market.contract.request(request.id).status is Status.SETTLED


def test_final_must_be_what_was_opened(market: Market, short: Opening) -> None:
    opening = short
    request, statement = training(market, opening, MetricsKind.VERIFIABLE_DEFERRED)
    wrong = replace(statement, final_mse=statement.final_mse - 1)
    with pytest.raises(ContractError) as refused:
        market.contract.submit_result(market.aggregator, request.id, wrong, market.signatures(request, wrong), opening)
    assert refused.value.name == "FinalMismatch"
    assert refused.value.values == {"stated": wrong.final_mse, "opened": statement.final_mse}


@pytest.mark.parametrize(
    ("plaintext", "scale", "rows"), [(7, 0, 2), (2**128 - 1, 0, 1), (1 << 300, 290, 3), (3 << 127, 128, 7), (2**2000, 1990, 5)]
)
def test_the_rule_of_truncation_is_the_floor_but_for_dropped_bits(plaintext: int, scale: int, rows: int) -> None:
    assert opened_mse(plaintext, scale, rows) == plaintext * 10**18 // (rows << scale)


def test_a_sum_of_squares_beyond_the_contracts_reach_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2\*\*128"):
        opened_mse(1 << 256, 128, 1)
    with pytest.raises(ValueError, match="row"):
        opened_mse(1, 0, 0)
