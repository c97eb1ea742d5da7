"""Cheats on a real chain: what a lying buyer's request ends as, and which results of an aggregator's the contract refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from played import ODD_ESCROW_WEI, CheckedMarketplace, open_market

from deltaml_core import session
from deltaml_core.buyer import ModelBuyer
from deltaml_core.chain import GanacheProcess, Wallet
from deltaml_core.chain.events import Credited
from deltaml_core.chain.types import Opening, Statement, Status, Terms
from deltaml_core.errors import ContractError, MetricError
from deltaml_core.messages import Message, Products

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

MINIMUM_WEI = 10**16
"""What every owner is to receive at least."""


class LyingBuyer(ModelBuyer):
    """Makes the error of the last measurement look larger, to pay less."""

    seated: ClassVar[list[LyingBuyer]] = []

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seated.append(self)

    def handle(self, message: Message) -> list[Message]:
        return [self.lie(answer) for answer in super().handle(message)]

    def lie(self, answer: Message) -> Message:
        if not isinstance(answer, Products) or answer.round == 0:
            return answer
        worse = self._key.public.add_plain(answer.products, [1 << 200] * len(answer.products))
        return replace(answer, products=worse)


class PayingMinimum(CheckedMarketplace):
    """A buyer that offers a minimum reward."""

    def create_request(self, wallet: Wallet, terms: Terms, *rest: Any) -> int:
        return super().create_request(wallet, replace(terms, minimum_reward_wei=MINIMUM_WEI), *rest)


def test_a_lying_buyers_request_fails_with_minimum_rewards_and_no_model(ganache: GanacheProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ModelBuyer", LyingBuyer)
    played = open_market(ganache, PayingMinimum, rounds=1, key_bits=2048, metrics="verifiable")
    with pytest.raises(MetricError, match="did not pass the zero test") as failure:
        played.run()
    validator = played.market.owners[1]
    assert failure.value.sender == validator.address
    assert played.market.buyer.address in str(failure.value)
    request = played.marketplace.request(1)
    assert request.status is Status.FAILED
    credited = {event.account: event.amount_wei for event in played.events if isinstance(event, Credited)}
    refund_wei = ODD_ESCROW_WEI - 5 * MINIMUM_WEI
    assert credited == {**{owner.address: MINIMUM_WEI for owner in played.market.owners}, played.market.buyer.address: refund_wei}
    assert failure.value.__notes__ == [
        f"Request 1 has failed at its deadline: the buyer has {refund_wei / 10**18:g} ether of its escrow back"
    ]
    assert played.marketplace.balance_wei() == 0
    (buyer,) = LyingBuyer.seated
    assert buyer.model is None


class RefusingMarketplace(CheckedMarketplace):
    """Its aggregator tries every other result before the one that was signed.

    Attributes:
        refusals: the contract's errors.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.refusals: list[str] = []

    def submit_result(
        self, wallet: Wallet, request_id: int, statement: Statement, signatures: Mapping[str, bytes], opening: Opening | None
    ) -> Any:
        assert opening is not None
        others: Sequence[tuple[Statement, Mapping[str, bytes], Opening]] = [
            (replace(statement, final_mse=statement.final_mse // 2), signatures, opening),
            (replace(statement, initial_mse=statement.initial_mse * 2), signatures, opening),
            (replace(statement, gains=statement.gains[::-1]), signatures, opening),
            (replace(statement, rows=statement.rows + 1), signatures, opening),
            (replace(statement, scale=statement.scale + 2), signatures, opening),
            (replace(statement, weights_hash=b"\1" * 32), signatures, opening),
            (replace(statement, metric_hash=b"\1" * 32), signatures, opening),
            (replace(statement, transcript_hash=b"\1" * 32), signatures, opening),
            (statement, {}, opening),
            (statement, signatures, replace(opening, plaintext=opening.plaintext + 1)),
            (statement, signatures, replace(opening, plaintext=opening.plaintext // 2)),
            (statement, signatures, replace(opening, randomness=opening.randomness + 1)),
            (statement, signatures, replace(opening, ciphertext=opening.ciphertext + 1)),
        ]
        for other in others:
            with pytest.raises(ContractError) as refusal:
                super().submit_result(wallet, request_id, *other)
            self.refusals.append(refusal.value.name)
        return super().submit_result(wallet, request_id, statement, signatures, opening)


def test_the_contract_takes_no_result_but_the_signed_one_with_its_opening(ganache: GanacheProcess) -> None:
    played = open_market(ganache, RefusingMarketplace, rounds=1, key_bits=2048, metrics="verifiable")
    result = played.run()
    assert isinstance(played.marketplace, RefusingMarketplace)
    assert len(played.marketplace.refusals) == 13
    assert played.marketplace.refusals[-4:] == ["OpeningDoesNotHold", "FinalMismatch", "OpeningDoesNotHold", "HashMismatch"]
    assert result.request.status is Status.SETTLED
    assert result.request.final_mse < result.request.initial_mse
