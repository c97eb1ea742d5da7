"""One showing of the demo: a chain and a market for it, a display before it, and nothing left afterwards."""

from __future__ import annotations

from rich.console import Console

from deltaml_core.chain.connection import connect
from deltaml_core.chain.ganache import DEFAULT_CHAIN_ID, GanacheProcess
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo.display import LiveDisplay
from deltaml_core.demo.market import ETHER
from deltaml_core.demo.paper import PAPER_VALIDATOR, paper_market
from deltaml_core.demo.result import MarketResult
from deltaml_core.terms import TrainingTerms


def play(console: Console, terms: TrainingTerms, escrow_wei: int, *, port: int | None = None, shuffle: bool = False) -> MarketResult:
    """Play the paper's request on a Ganache of its own.

    Args:
        console: where progress is shown.
        terms: how to train.
        escrow_wei: what the buyer locks.
        port: of the chain; None for a free one.
        shuffle: whether the contract deals the roles, instead of the request naming the thesis's validator.

    Raises:
        DeltaMLError: something was refused; the chain has been stopped.
    """
    console.print("Starting a local Ganache")
    with GanacheProcess(port) as ganache:
        console.print("Deploying the marketplace contract")
        deployer = Wallet.create()
        ganache.fund(deployer.address, ETHER)
        market = paper_market(ganache, Marketplace.deploy(connect(ganache.url, DEFAULT_CHAIN_ID), deployer))
        people = (market.buyer, market.aggregator, *market.owners)
        with LiveDisplay(console, terms.rounds, {person.address: person.name for person in people}) as display:
            market.on_event = display.show
            return market.run(terms, escrow_wei, [] if shuffle else [market.owners[PAPER_VALIDATOR]])
