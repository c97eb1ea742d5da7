"""What the demo ends with: a table for people, or one JSON object for machines."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from deltaml_core.demo.market import ETHER, MarketResult
from deltaml_core.terms import TrainingTerms

THESIS_MSE = 3311.84
THESIS_MINUTES = 15


def to_json(result: MarketResult, terms: TrainingTerms) -> str:
    """One object; money is in wei, errors in squared target units, times in seconds."""
    content: dict[str, Any] = {
        "mse_initial": result.mse_history[0][1],
        "mse_final": result.mse_history[-1][1],
        "rounds": terms.rounds,
        "key_bits": terms.key_bits,
        "mse_history": result.mse_history,
        "contributions": result.contributions,
        "roles": result.roles,
        "payouts_wei": result.payouts_wei,
        "refund_wei": result.refund_wei,
        "escrow_wei": result.request.escrow_wei,
        "contract_balance_wei": result.contract_balance_wei,
        "metrics": terms.metrics,
        "chain": result.chain,
        "gas": result.gas,
        "cpu_seconds": result.cpu_seconds,
        "wall_seconds": result.wall_seconds,
    }
    return json.dumps(content, indent=2)


def show(result: MarketResult, console: Console) -> None:
    """Who did what and earned what, the thesis's figures beside ours, and where to go next."""
    console.print(_payouts(result))
    console.print(_comparison(result))
    console.print(
        "Next: `make bench` measures this against the arithmetic of 2019; `deltaml demo --shuffle` lets the contract deal the roles;\n"
        "`deltaml demo --json` prints all figures; `from deltaml_core import train` trains on your own data.",
        highlight=False,
    )


def _payouts(result: MarketResult) -> Table:
    table = Table(title="Roles, contributions and payouts", title_justify="left")
    table.add_column("participant")
    table.add_column("role")
    for heading in ("contribution", "ether", "wei"):
        table.add_column(heading, justify="right")
    for name, amount in result.payouts_wei.items():
        role = result.roles.get(name, "aggregator")
        share = f"{100 * result.contributions[name]:.2f} %" if name in result.contributions else "-"
        table.add_row(name, role, share, f"{amount / ETHER:.4f}", f"{amount:,}")
    table.add_row("buyer", "refund", "-", f"{result.refund_wei / ETHER:.4f}", f"{result.refund_wei:,}")
    table.add_section()
    total = sum(result.payouts_wei.values()) + result.refund_wei
    table.add_row("sum", f"escrow {result.request.escrow_wei / ETHER:g}", "", f"{total / ETHER:.4f}", f"{total:,}")
    return table


def _comparison(result: MarketResult) -> Table:
    table = Table(title="The thesis's experiment", title_justify="left")
    table.add_column("")
    table.add_column("2019", justify="right")
    table.add_column("now", justify="right")
    table.add_row("final MSE", f"{THESIS_MSE}", f"{result.mse_history[-1][1]:.4f}")
    table.add_row("time", f"about {THESIS_MINUTES} min", f"{result.wall_seconds:.1f} s ({result.cpu_seconds:.1f} s of computing)")
    table.add_row("left in the contract", "-", f"{result.contract_balance_wei} wei")
    table.add_row("gas of the whole request", "-", f"{result.gas:,}")
    return table
