"""`deltaml`: the demo and the benchmarks from a terminal."""

from __future__ import annotations

import argparse
import signal
import sys
import warnings
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from types import FrameType

from rich.console import Console

from deltaml_core import benchmarks
from deltaml_core.chain.connection import connect
from deltaml_core.chain.ganache import DEFAULT_CHAIN_ID, GanacheProcess
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.wallet import Wallet
from deltaml_core.demo import report
from deltaml_core.demo.display import LiveDisplay
from deltaml_core.demo.market import ETHER, PAPER_REQUIREMENTS, PAPER_VALIDATOR, paper_market
from deltaml_core.errors import DeltaMLError, PrivacyWarning
from deltaml_core.terms import TrainingTerms

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        0 when it worked, 1 when something was refused (said on standard error), 2 for a wrong call, 130 when interrupted.
    """
    parser = _parser()
    chosen = parser.parse_args(arguments)
    errors = Console(stderr=True)
    signal.signal(signal.SIGTERM, _interrupt)
    warnings.showwarning = lambda message, category, *_: errors.print(  # type: ignore[assignment]
        f"[yellow]{category.__name__}[/]: {message}", highlight=False
    )
    warnings.simplefilter("once", PrivacyWarning)
    try:
        exit_code: int = chosen.run(chosen, errors)
    except DeltaMLError as error:
        errors.print(f"[bold red]{type(error).__name__}[/]: {error}", highlight=False)
        return EXIT_FAILED
    except KeyboardInterrupt:
        errors.print("interrupted: everything this command started has been stopped")
        return EXIT_INTERRUPTED
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deltaml", description="A marketplace for models trained on data that stays with its owners.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="the paper's training request, from posting to payout, on a local chain")
    roles = demo.add_mutually_exclusive_group()
    roles.add_argument(
        "--paper", dest="shuffle", action="store_false", help="the request names the thesis's validator, owner-2 (the default)"
    )
    roles.add_argument("--shuffle", dest="shuffle", action="store_true", help="the contract deals the roles from a block hash")
    demo.add_argument("--json", action="store_true", help="print one JSON object on standard output, progress on standard error")
    demo.add_argument("--rounds", type=int, default=100, help="rounds of training (default 100)")
    demo.add_argument("--key-bits", type=int, default=2048, help="length of the buyer's key (default 2048)")
    demo.add_argument("--escrow", type=_wei, default=5 * ETHER, metavar="ETHER", help="what the buyer locks (default 5)")
    demo.add_argument("--port", type=int, default=None, help="port of the local chain (default: a free one)")
    demo.set_defaults(run=_demo, shuffle=False)

    bench = commands.add_parser("bench", help="measure against the arithmetic of 2019, in one run and one process")
    bench.add_argument("--json", action="store_true", help="print one JSON object on standard output, progress on standard error")
    bench.add_argument("--key-bits", type=int, default=2048, help="length of the key (default 2048)")
    bench.set_defaults(run=_bench)
    return parser


def _demo(chosen: argparse.Namespace, errors: Console) -> int:
    console = errors if chosen.json else Console()
    terms = TrainingTerms(PAPER_REQUIREMENTS, rounds=chosen.rounds, key_bits=chosen.key_bits)
    console.print("Starting a local Ganache and deploying the marketplace", highlight=False)
    with GanacheProcess(chosen.port) as ganache:
        deployer = Wallet.create()
        ganache.fund(deployer.address, ETHER)
        market = paper_market(ganache, Marketplace.deploy(connect(ganache.url, DEFAULT_CHAIN_ID), deployer))
        names = {participant.address: participant.name for participant in (market.buyer, market.aggregator, *market.owners)}
        named = [] if chosen.shuffle else [market.owners[PAPER_VALIDATOR]]
        with LiveDisplay(console, terms.rounds, names) as display:
            market.on_event = display.show
            result = market.run(terms, chosen.escrow, named)
    if chosen.json:
        print(report.to_json(result, terms))
    else:
        report.show(result, console)
    return 0


def _bench(chosen: argparse.Namespace, errors: Console) -> int:
    measurements = benchmarks.run_benchmarks(chosen.key_bits, progress=lambda text: errors.print(text, highlight=False))
    if chosen.json:
        print(benchmarks.to_json(measurements))
    else:
        Console().print(benchmarks.render(measurements))
    return 0


def _wei(text: str) -> int:
    try:
        amount = Decimal(text) * ETHER
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount of ether") from None
    if not amount.is_finite() or amount <= 0 or amount != int(amount):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive amount of whole wei")
    return int(amount)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
