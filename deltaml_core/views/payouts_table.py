"""Who gets what of a request's escrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltaml_core.views.formats import ether, percent, wei
from deltaml_core.views.table import Cell, Row, Table


@dataclass(frozen=True)
class Payout:
    """One receiver: its name and address, its part, its share of its group's money if it has one, and the amount in wei."""

    name: str
    address: str
    part: str
    amount_wei: int
    share: float | None = None


class PayoutsTable(Table):
    """The payouts and their sum, which is the escrow."""

    def __init__(self, payouts: Sequence[Payout] = ()) -> None:
        super().__init__("Payouts", ("who", "part", "share", "amount"), empty="nothing was paid yet", css="t-payouts")
        self.pay(payouts)

    def pay(self, payouts: Sequence[Payout]) -> None:
        """Show these."""
        rows = [
            Row(
                f"{one.address} {one.part}",
                (
                    Cell(one.name, title=one.address),
                    Cell(one.part),
                    Cell("" if one.share is None else percent(one.share), numeric=True),
                    Cell(ether(one.amount_wei), title=wei(one.amount_wei), numeric=True),
                ),
            )
            for one in payouts
        ]
        if payouts:
            total = sum(one.amount_wei for one in payouts)
            rows.append(Row("sum", (Cell("Sum"), Cell("escrow"), Cell(""), Cell(ether(total), title=wei(total), numeric=True))))
        self.show(rows)
