"""A buyer that never finishes: in 2019 it keeps the model and the money; now it has no model, and the money does not wait for it."""

from __future__ import annotations

import numpy as np
import pytest
from captures import NOISE, Captured, seated, trained
from helpers import oracle, paper_shards, pooled_mse

from deltaml_core.attacks import AttackFailed, Escrow2019, everything_readable, last_weights_shown
from deltaml_core.chain import GanacheProcess, Marketplace, Role, Status, Terms, Wallet, connect
from deltaml_core.chain.events import Credited
from deltaml_core.contributions import shares
from deltaml_core.errors import MessageError, TermsError
from deltaml_core.messages import OpenedMasked

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

ETHER = 10**18
HOUR = 3600


@pytest.fixture(scope="module")
def unsettled() -> Captured:
    """The paper's request, trained with our metrics, not settled; short of room, so that there are refreshes."""
    return trained(paper_shards(), [1], rounds=30, evaluate_every=10, key_bits=640)


def true_weights(rounds: int) -> np.ndarray:
    return np.concatenate([oracle(paper_shards(), [1], number, 1.5)[0] for number in range(1, rounds + 1)])


def test_in_2019_the_buyer_has_the_model_and_keeps_the_money() -> None:
    shards = paper_shards()
    captured = trained(shards, [1], **NOISE, rounds=100)
    stolen = last_weights_shown(captured.view)
    final = captured.session.aggregator.history[-1][1].mse
    assert stolen.round == 96
    assert pooled_mse([shards[1]], stolen.weights) == pytest.approx(final, rel=0.005)

    gains = captured.session.aggregator.gains
    earned = dict(zip(gains, shares(list(gains.values())), strict=True))
    escrow = Escrow2019("buyer", 5 * ETHER)
    with pytest.raises(TermsError, match="only the buyer finishes"):
        escrow.finish(captured.owners[0])
    assert set(escrow.payable_wei(earned).values()) == {0}
    escrow.finish("buyer")
    assert sum(escrow.payable_wei(earned).values()) == pytest.approx(5 * ETHER)


def test_nothing_the_buyer_can_decrypt_before_settlement_is_a_weight(unsettled: Captured) -> None:
    with pytest.raises(AttackFailed, match=r"none of the \d+ messages"):
        last_weights_shown(unsettled.view)
    readings = everything_readable(unsettled.view)
    assert {reading.kind for reading in readings} == {"masked-errors", "zero-test", "open-sums", "open-masked"}
    numbers = np.array([reading.number for reading in readings if reading.kind in ("masked-errors", "open-masked")])
    assert len(numbers) == 9 * 22 + 3 * 11  # measured: four times the model, the mean predictor, four solo models; refreshed: three times
    weights = true_weights(30)
    assert np.abs(numbers).min() > 2.0**60 * np.abs(weights).max()
    assert {reading.number for reading in readings if reading.kind == "zero-test"} == {0.0}
    errors = [reading.number / 50 for reading in readings if reading.kind == "open-sums" and reading.round in (0, 10, 20)]
    assert errors == pytest.approx([metric.mse for _, metric in unsettled.session.aggregator.history[:3]])


def test_after_settlement_the_same_reading_finds_them() -> None:
    captured = trained(paper_shards(), [1], rounds=10, evaluate_every=10)
    captured.session.deliver_model()
    final = [reading.number for reading in everything_readable(captured.view) if reading.kind == "final-model"]
    expected = true_weights(10)[-11:]
    rounding = 10 * 2**-29 * np.abs(expected).sum()  # of M to 28 fractional bits, in each of ten rounds
    assert final == pytest.approx(expected, abs=rounding)


def test_a_model_served_before_settlement_is_not_decrypted(unsettled: Captured) -> None:
    unsettled.session.transport.send([unsettled.session.aggregator.deliver()])
    with pytest.raises(MessageError, match="has not settled"):
        unsettled.session.transport.deliver()


def test_a_buyer_that_falls_silent_stops_the_run_before_any_weight() -> None:
    captured = seated(paper_shards(), [1], rounds=30, evaluate_every=10, key_bits=640)
    transport = captured.session.transport
    while transport.sent[OpenedMasked.kind] == 0:
        assert transport.deliver()
    numbers = np.array([r.number for r in everything_readable(captured.view) if r.kind in ("masked-errors", "open-masked")])
    assert np.abs(numbers).min() > 2.0**60 * np.abs(true_weights(30)).max()
    assert captured.session.buyer.model is None


def test_the_contract_does_not_wait_for_it() -> None:
    """Training that stalls expires by anybody's call: minimum rewards to the owners, the rest back, and no settlement to deliver on."""
    buyer, aggregator, stranger, *owners = (Wallet.create() for _ in range(6))
    with GanacheProcess() as chain:
        web3 = connect(chain.url)
        for wallet in (buyer, aggregator, stranger, *owners):
            chain.fund(wallet.address, 10 * ETHER)
        contract = Marketplace(web3, Marketplace.deploy(web3, stranger).address)
        for wallet, role in ((buyer, Role.MODEL_BUYER), (aggregator, Role.FEDERATED_AGGREGATOR), *((o, Role.DATA_OWNER) for o in owners)):
            contract.register(wallet, role)
        terms = Terms(
            aggregator=aggregator.address,
            min_owners=3,
            max_owners=3,
            acceptance_deadline=contract.now() + HOUR,
            training_deadline=contract.now() + 2 * HOUR,
            modulus_hash=b"\x01" * 32,
            initial_model_hash=b"\x02" * 32,
            validators=(owners[0].address,),
            minimum_reward_wei=ETHER // 10,
        )
        request = contract.create_request(buyer, terms, "{}", 5 * ETHER)
        contract.take_on(aggregator, request)
        for owner in owners:
            contract.accept(owner, request, b"\x03" * 32)
        contract.close(stranger, request)
        contract.start(stranger, request)
        chain.increase_time(2 * HOUR)
        receipt = contract.expire(stranger, request)
        status = contract.request(request).status
    credited = {event.account: event.amount_wei for event in receipt.events if isinstance(event, Credited)}
    assert credited == {**{owner.address: ETHER // 10 for owner in owners}, buyer.address: 47 * ETHER // 10}
    assert status is Status.FAILED
