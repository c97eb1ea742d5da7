"""Chapter 7: a chain of the lesson's own, on which the paper's people play a request; every transaction is read back from its blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import plotly.graph_objects as go
from web3 import Web3
from web3.types import TxData

from deltaml_core.chain.connection import connect
from deltaml_core.chain.events import Event
from deltaml_core.chain.ganache import DEFAULT_CHAIN_ID, GanacheProcess
from deltaml_core.chain.marketplace import Marketplace, artifact
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo.market import ETHER
from deltaml_core.demo.paper import PAPER_VALIDATOR, paper_market, paper_terms
from deltaml_core.demo.result import MarketResult
from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.palette import TEAL
from deltaml_core.lessons.sheet import Sheet, on_change, sheet_of_rows, whole_slider
from deltaml_core.views.charts import Chart
from deltaml_core.views.event_text import text_of
from deltaml_core.views.formats import ether

ESCROW_WEI = 5 * ETHER
GWEI = 10**9
_QUIET = 2
"""A transaction with more events than this shows these and how many more."""


@dataclass(frozen=True)
class Transaction:
    """What somebody sent to the contract, and what came of it.

    Attributes:
        block: number of its block.
        sender: name of who signed it.
        call: what was called; `deploy` for the contract's creation.
        value_wei: sent along.
        gas: used.
        events: what the contract said.
    """

    block: int
    sender: str
    call: str
    value_wei: int
    gas: int
    events: tuple[str, ...]


class Stage:
    """A Ganache, a marketplace on it, and a buyer, an aggregator and five owners with wallets.

    Attributes:
        ganache: the chain; it ends with this process at the latest.
        marketplace: the contract.
        names: what addresses are called.
    """

    def __init__(self) -> None:
        """Start the chain and deploy the contract.

        Raises:
            LocalChainError: Node.js or Ganache is missing; says how to install it.
        """
        self.ganache = GanacheProcess()
        self.ganache.start()
        deployer = Wallet.create()
        self.ganache.fund(deployer.address, ETHER)
        self.marketplace = Marketplace.deploy(connect(self.ganache.url, DEFAULT_CHAIN_ID), deployer)
        self._market = paper_market(self.ganache, self.marketplace)
        people = (self._market.buyer, self._market.aggregator, *self._market.owners)
        self.names = {deployer.address: "whoever deploys", **{person.address: person.name for person in people}}

    def name(self, address: str) -> str:
        """What an address is called."""
        return self.names.get(address, address)

    def play(self, on_event: Callable[[Event], None] = lambda event: None, *, rounds: int = 10, key_bits: int = 2048) -> MarketResult:
        """Play a request from registration to the last withdrawal.

        Args:
            on_event: told everything the contract says, as it is read from the chain.
            rounds: of training.
            key_bits: 2048 or 3072: the contract checks the opening of the final error.
        """
        self._market.on_event = on_event
        validator = self._market.owners[PAPER_VALIDATOR]
        return self._market.run(paper_terms(rounds=rounds, key_bits=key_bits), ESCROW_WEI, [validator])

    def transactions(self) -> list[Transaction]:
        """Every transaction on the contract so far, in order."""
        web3 = self.marketplace.web3
        contract = web3.eth.contract(address=self.marketplace.address, abi=artifact()["abi"])
        said: dict[str, list[str]] = {}
        for event in self.marketplace.events():
            said.setdefault(event.transaction_hash, []).append(text_of(event, self.name))
        found = []
        for number in range(web3.eth.block_number + 1):
            for entry in web3.eth.get_block(number, full_transactions=True)["transactions"]:
                sent = cast("TxData", entry)
                receipt = web3.eth.get_transaction_receipt(sent["hash"])
                if self.marketplace.address not in (receipt["to"], receipt["contractAddress"]):
                    continue
                call = _called(contract, sent) if receipt["to"] else "deploy"
                events = tuple(said.get(Web3.to_hex(sent["hash"]), ()))
                found.append(Transaction(number, self.name(sent["from"]), call, sent["value"], receipt["gasUsed"], events))
        return found

    def close(self) -> None:
        """End the chain."""
        self.ganache.stop()


def _called(contract: Any, sent: TxData) -> str:
    function, _ = contract.decode_function_input(sent["input"])
    return str(function.fn_name)


def transaction_table(transactions: Sequence[Transaction]) -> Sheet:
    """A request's life, transaction by transaction."""
    rows = []
    for place, one in enumerate(transactions, start=1):
        said = "; ".join(one.events[:_QUIET])
        more = f"; and {len(one.events) - _QUIET} more" if len(one.events) > _QUIET else ""
        rows.append((place, one.sender, one.call, f"{said}{more}", f"{one.gas:,}"))
    return sheet_of_rows("Every transaction", ["", "signed by", "call", "what happened", "gas"], rows, numeric=[0, 4], css="t-transactions")


def payouts_table(result: MarketResult) -> Sheet:
    """Who was credited what, and what the contract still holds."""
    rows = [(name, result.roles.get(name, ""), ether(amount)) for name, amount in result.payouts_wei.items()]
    rows += [("buyer", "refund", ether(result.refund_wei)), ("the contract", "keeps", ether(result.contract_balance_wei))]
    return sheet_of_rows("What became of the escrow", ["", "", "receives"], rows, numeric=[2])


class GasPrice(Sheet):
    """What the calls cost in ether, at a price of gas that can be moved."""

    def __init__(self, transactions: Sequence[Transaction]) -> None:
        """`transactions`: of a whole request."""
        totals: dict[str, int] = {}
        for one in transactions:
            totals[one.call] = totals.get(one.call, 0) + one.gas
        self.totals = dict(sorted(totals.items(), key=lambda entry: entry[1]))
        self.price = whole_slider("gwei for a unit of gas", 10, 1, 100)
        bars = go.Bar(y=list(self.totals), x=[0] * len(totals), orientation="h", marker={"color": TEAL})
        bars.hovertemplate = "%{y}: %{x:.5f} ether<extra></extra>"
        self.chart = Chart("What the chain charges", "ether", "", [bars], css="t-gas", height=420)
        on_change([self.price], self.show)
        super().__init__([self.price, self.chart])
        self.show()

    def show(self) -> None:
        """Draw at the slider's price."""
        self.chart.figure.data[0].x = [gas * self.price.value * GWEI / ETHER for gas in self.totals.values()]
        running = sum(gas for call, gas in self.totals.items() if call != "deploy")
        deployed = self.totals.get("deploy", 0)
        price = running * self.price.value * GWEI / ETHER
        self.chart.say(
            f"The request took {running:,} units of gas, {price:.4f} ether at this price; the contract itself, once for all requests, "
            f"{deployed:,} units."
        )


def gas_exercise(transactions: Sequence[Transaction], gwei: int = 10) -> Exercise:
    """What share of the escrow do the request's transactions cost?"""
    gas = sum(one.gas for one in transactions if one.call != "deploy")
    return Exercise(
        [100 * gas * gwei * GWEI / ESCROW_WEI],
        "most of it is the opening of the final error, which the contract checks itself.",
        f"The escrow is {ether(ESCROW_WEI)}. Sum `gas` over the transactions whose `call` is not 'deploy'; a gwei is 10**9 wei, an ether "
        "10**18.",
    )
