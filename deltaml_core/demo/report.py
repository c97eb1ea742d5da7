"""What the demo ends with: tables for people, or one JSON object for machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deltaml_core.demo.market import ETHER
from deltaml_core.demo.record import Audited
from deltaml_core.demo.result import MarketResult
from deltaml_core.terms import TrainingTerms

THESIS_MSE = 3311.84
THESIS_MINUTES = 15
THESIS_ROUNDS = 100
THESIS_VALIDATOR = "owner-2"


def to_json(result: MarketResult, terms: TrainingTerms, audited: Audited) -> str:
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
        "transcript": str(audited.path),
        "audit": audited.verdict,
        "chain": result.chain,
        "gas": result.gas,
        "cpu_seconds": result.cpu_seconds,
        "wall_seconds": result.wall_seconds,
        "processes": {name: asdict(figures) for name, figures in result.processes.items()},
    }
    return json.dumps(content, indent=2)


def show(result: MarketResult, terms: TrainingTerms, audited: Audited, console: Console) -> None:
    """Who did what and earned what, the thesis's figures beside ours, and where to go next."""
    console.print()
    console.print(_payouts(result))
    console.print(_comparison(result, terms))
    console.print(_audit(audited))
    console.print(_next())


def _payouts(result: MarketResult) -> Table:
    table = _table("Roles, contributions and payouts")
    table.add_column("participant")
    table.add_column("role")
    for heading in ("rows", "contribution", "ether"):
        table.add_column(heading, justify="right")
    for name, amount in result.payouts_wei.items():
        share = f"{100 * result.contributions[name]:.2f} %" if name in result.contributions else ""
        table.add_row(name, result.roles.get(name, name), str(result.rows.get(name, "")), share, _exact(amount))
    table.add_row("buyer", "refund", "", "", _exact(result.refund_wei))
    table.add_section()
    total = sum(result.payouts_wei.values()) + result.refund_wei
    table.add_row("sum", "", "", "", _exact(total))
    table.add_row("escrow", "", "", "", _exact(result.request.escrow_wei))
    return table


def _comparison(result: MarketResult, terms: TrainingTerms) -> Table:
    table = _table("The thesis's experiment")
    table.add_column("")
    table.add_column("2019", justify="right")
    table.add_column("this run", justify="right")
    validators = ", ".join(name for name, role in result.roles.items() if role == "validator")
    table.add_row("final MSE", f"{THESIS_MSE:.2f}", f"{result.mse_history[-1][1]:.2f}")
    table.add_row("time", f"about {THESIS_MINUTES} min", f"{result.wall_seconds:.1f} s")
    table.add_row("rounds", str(THESIS_ROUNDS), str(terms.rounds))
    table.add_row("validator", THESIS_VALIDATOR, validators)
    table.add_row("key", "", f"{terms.key_bits} bits")
    table.add_row("gas of all transactions", "", f"{result.gas:,}")
    table.add_row("left in the contract", "", f"{result.contract_balance_wei} wei")
    return table


def _audit(audited: Audited) -> Group:
    """Both audits' verdicts, as their own command prints them."""
    lines: list[RenderableType] = [Text("Audit of the transcript, without any key", style="bold")]
    for path, found in ((audited.path, audited.full), (audited.public_path, audited.public)):
        lines.append(Text(f"  {path}"))
        lines.append(Padding(Text(found.verdict, style="green" if found.ok else "red"), (0, 0, 0, 4)))
    return Group(*lines, "")


def _next() -> Table:
    table = Table(title="Where to go next", title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("make demo ARGS=--shuffle", "the contract deals the roles")
    table.add_row("deltaml demo --json", "every figure, and all recorded errors")
    table.add_row("deltaml audit TRANSCRIPT", "check it again")
    table.add_row("make bench", "against the arithmetic of 2019")
    table.add_row("from deltaml_core import train", "the same on your own data, in Python")
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))


def _exact(amount_wei: int) -> str:
    """An amount of ether with all of its 18 decimals."""
    return f"{amount_wei // ETHER}.{amount_wei % ETHER:018d}"
