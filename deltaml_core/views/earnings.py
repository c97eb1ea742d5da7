"""What an account has earned, and taking it out of the contract."""

from __future__ import annotations

import ipywidgets as widgets

from deltaml_core.chain.picture import MarketPicture
from deltaml_core.errors import NodeError
from deltaml_core.views.deed import Deed, Plan, outcome_of
from deltaml_core.views.formats import ether
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Session


def earned_wei(market: MarketPicture, address: str) -> int:
    """Everything an account was credited for its work: refunds of its own escrows are not earned."""
    return sum(one.credits.get(address, 0) for one in market.requests.values() if one.request.buyer != address)


class Withdrawal(widgets.VBox):
    """The credit, and the button that sends it to the wallet."""

    def __init__(self, session: Session, source: Source) -> None:
        self._session, self._source = session, source
        self._credit_wei = 0
        self._times = 0
        self._deed = Deed("Withdraw", self._plan, css="t-withdraw")
        super().__init__([self._deed])

    def show(self, sight: Sight) -> None:
        """Show what can be withdrawn."""
        self._credit_wei = sight.market.credits_wei.get(self._session.address, 0)
        self._times = sum(
            order.action == "withdraw" and order.state != "waiting" for order in (sight.node.orders if sight.node else {}).values()
        )
        self._deed.allow(self._credit_wei > 0, "there is nothing to withdraw")
        self._deed.show(sight)

    def _plan(self) -> Plan:
        if not self._credit_wei:
            raise NodeError("there is nothing to withdraw")
        purpose = f"withdraw by hand {self._times + 1}"
        return Plan(
            f"The contract sends {ether(self._credit_wei)} to your wallet {self._session.address}; you pay the gas of one transaction.",
            f"Yes, withdraw {ether(self._credit_wei)}",
            lambda: self._source.place("withdraw", {}, purpose),
            outcome_of(purpose),
        )
