"""Runs of the paper's market on a marketplace that holds contract.md's first invariant against every single transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from web3 import Web3

from deltaml_core.chain import GanacheProcess, Wallet, connect
from deltaml_core.chain.events import Event
from deltaml_core.chain.marketplace import Marketplace, Receipt
from deltaml_core.demo.market import ETHER, Market
from deltaml_core.demo.paper import PAPER_VALIDATOR, paper_market, paper_terms
from deltaml_core.demo.result import MarketResult
from deltaml_core.terms import TrainingTerms

KEY_BITS = 1024
ODD_ESCROW_WEI = 3 * ETHER + 7


class CheckedMarketplace(Marketplace):
    """After each transaction the contract holds exactly the locked escrows and the credits nobody has withdrawn yet.

    Attributes:
        written: names of the calls that went through, in order.
    """

    def __init__(self, web3: Web3, address: str) -> None:
        super().__init__(web3, address)
        self.written: list[str] = []
        self._accounts: set[str] = set()

    def _write(self, wallet: Wallet, name: str, *arguments: Any, value_wei: int = 0) -> Receipt:
        receipt = super()._write(wallet, name, *arguments, value_wei=value_wei)
        self.written.append(name)
        self._accounts.add(wallet.address)
        locked_wei = sum(self.request(request_id).locked_wei for request_id in self.requests())
        credited_wei = sum(self.credit_wei(account) for account in self._accounts)
        assert self.balance_wei() == locked_wei + credited_wei, f"after {name}: {locked_wei} wei locked and {credited_wei} wei credited"
        return receipt


@dataclass
class Played:
    """A market, and what became of it.

    Attributes:
        marketplace: the market's own connection.
        events: all that a display would have been shown.
        result: None when the request failed.
    """

    market: Market
    marketplace: Marketplace
    terms: TrainingTerms
    events: list[Event] = field(default_factory=list)
    result: MarketResult | None = None

    def run(self, escrow_wei: int = ODD_ESCROW_WEI, named: tuple[int, ...] = (PAPER_VALIDATOR,)) -> MarketResult:
        self.market.on_event = self.events.append
        self.result = self.market.run(self.terms, escrow_wei, [self.market.owners[index] for index in named])
        return self.result


def open_market(ganache: GanacheProcess, kind: type[Marketplace] = Marketplace, **terms: Any) -> Played:
    """The paper's market on a contract of its own, with a key, metrics and a number of rounds that take little time."""
    deployer = Wallet.create()
    ganache.fund(deployer.address, ETHER)
    marketplace = kind.deploy(connect(ganache.url), deployer)
    chosen = {"rounds": 4, "key_bits": KEY_BITS, "metrics": "noise", **terms}
    return Played(paper_market(ganache, marketplace), marketplace, paper_terms(**chosen))
