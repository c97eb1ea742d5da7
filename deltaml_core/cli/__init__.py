"""`deltaml`: the demo and the benchmarks from a terminal.

What the commands do is imported when one of them runs: help comes at once, and Ctrl-C is heeded from the first moment on.
"""

from __future__ import annotations

import argparse
import signal
import warnings
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from deltaml_core.cli import nodes
from deltaml_core.errors import DeltaMLError, PrivacyWarning

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130
_ETHER = 10**18
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        0 when it worked, 1 when something was refused (said on standard error) or an audit found a fault, 2 for a wrong call, 130 when
        interrupted.
    """
    errors = Console(stderr=True)
    try:
        for number in _INTERRUPTS:
            signal.signal(number, _interrupt)
        chosen = _parser().parse_args(arguments)
        console = errors if chosen.json else Console()
        _show_warnings(console if console.is_interactive else errors)
        exit_code: int = chosen.run(chosen, console)
    except DeltaMLError as error:
        said = ". ".join([str(error), *getattr(error, "__notes__", [])])
        errors.print(Text.assemble((type(error).__name__, "bold red"), f": {said}"), soft_wrap=True)
        return EXIT_FAILED
    except KeyboardInterrupt:
        for number in _INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        errors.print("interrupted: everything this command started has been stopped", soft_wrap=True)
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
    demo.add_argument(
        "--metrics",
        choices=("verifiable", "noise"),
        default="verifiable",
        help="how errors are measured (default verifiable); noise is the thesis's way, for comparison and for small keys",
    )
    demo.add_argument("--escrow", type=_wei, default=5 * _ETHER, metavar="ETHER", help="what the buyer locks of its 10 ether (default 5)")
    demo.add_argument("--port", type=_port, default=None, help="port of the local chain (default: a free one)")
    demo.add_argument(
        "--transcript",
        type=Path,
        default=Path("build", "demo"),
        metavar="DIR",
        help="where the run's transcript, full and public, and the nodes' homes are kept (default build/demo)",
    )
    how = demo.add_mutually_exclusive_group()
    how.add_argument("--in-process", action="store_true", help="play all roles in one process, instead of a process each")
    how.add_argument("--serve", action="store_true", help="serve the dashboards from the start, and go on serving them until Ctrl-C")
    demo.set_defaults(run=_demo, shuffle=False)

    _add_served(commands, "dashboards", "serve the dashboards through Voila", _dashboards)
    _add_served(commands, "lab", "open the role notebooks in JupyterLab", _lab)

    bench = commands.add_parser("bench", help="measure against the arithmetic of 2019, and HTTP against one process, in one run")
    bench.add_argument("--json", action="store_true", help="print one JSON object on standard output, progress on standard error")
    bench.add_argument("--key-bits", type=int, default=2048, help="length of the key (default 2048)")
    bench.add_argument("--rows", type=int, default=10_000_000, help="rows of the files that are scanned (default 10,000,000)")
    bench.add_argument("--schemes", action="store_true", help="only the schemes beside each other, with 11, 100 and 1000 weights")
    bench.add_argument("--compare", type=Path, metavar="FILE", help="show the change since the run that FILE holds (of `--json`)")
    bench.set_defaults(run=_bench)

    nodes.add_parsers(commands)

    audit = commands.add_parser("audit", help="replay a stored transcript and check all of it that needs no secret key")
    audit.add_argument("path", type=Path, metavar="PATH", help="the transcript, full or public")
    audit.add_argument("--public", action="store_true", help="check only what the public part shows")
    audit.set_defaults(run=_audit, json=False)
    return parser


def _add_served(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: nodes.Run) -> None:
    served = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}, for the market that DELTAML_RPC_URL and DELTAML_CONTRACT state, else for a local one "
        "with a node of every role, which goes on where it was. It runs until SIGINT or SIGTERM.",
    )
    served.add_argument("--port", type=_port, default=None, help="where to listen on 127.0.0.1 (default: DELTAML_PORT, else 8866)")
    served.add_argument(
        "--market", type=Path, default=Path("build", "market"), metavar="DIR", help="where the local market is kept (default build/market)"
    )
    served.set_defaults(run=run, json=False)


def _dashboards(chosen: argparse.Namespace, console: Console) -> int:
    from deltaml_core.local.serving import serve_dashboards

    return serve_dashboards(console, chosen.market, chosen.port)


def _lab(chosen: argparse.Namespace, console: Console) -> int:
    from deltaml_core.local.serving import serve_lab

    return serve_lab(console, chosen.market, chosen.port)


def _demo(chosen: argparse.Namespace, console: Console) -> int:
    from deltaml_core.demo import play, processes, record, report
    from deltaml_core.demo.paper import paper_terms
    from deltaml_core.demo.result import MarketResult
    from deltaml_core.local import dashboards

    terms = paper_terms(rounds=chosen.rounds, key_bits=chosen.key_bits, metrics=chosen.metrics)
    record.prepare(chosen.transcript)
    verdicts: list[str] = []

    def tell(result: MarketResult) -> None:
        audited = record.keep_and_audit(result, chosen.transcript)
        verdicts.append(audited.verdict)
        if chosen.json:
            print(report.to_json(result, terms, audited), flush=True)
        else:
            report.show(result, terms, audited, console)

    if chosen.in_process:
        tell(play.play(console, terms, chosen.escrow, port=chosen.port, shuffle=chosen.shuffle))
    else:
        port = dashboards.port_of(None) if chosen.serve and not chosen.json else None
        folder, shuffle = chosen.transcript, chosen.shuffle
        processes.play_processes(console, terms, chosen.escrow, folder, report=tell, port=chosen.port, shuffle=shuffle, dashboards=port)
    return 0 if verdicts == ["ok"] else EXIT_FAILED


def _bench(chosen: argparse.Namespace, console: Console) -> int:
    from deltaml_core import benchmarks

    errors, before = Console(stderr=True), None if chosen.compare is None else benchmarks.read_run(chosen.compare)

    def tell(text: str) -> None:
        errors.print(text, highlight=False)

    if chosen.schemes:
        measurements = benchmarks.scheme_table(chosen.key_bits, benchmarks.SIZES, tell)
    else:
        measurements = benchmarks.run_benchmarks(chosen.key_bits, progress=tell, scanned_rows=chosen.rows)
    if chosen.json:
        print(benchmarks.to_json(measurements))
    elif before is not None:
        console.print(benchmarks.render_change(measurements, before))
    else:
        console.print(benchmarks.render(measurements))
    return 0


def _audit(chosen: argparse.Namespace, console: Console) -> int:
    from deltaml_core.audit import audit_file

    report = audit_file(chosen.path, public=chosen.public)
    console.print(Text(str(report)), soft_wrap=True)
    return 0 if report.ok else EXIT_FAILED


def _show_warnings(console: Console) -> None:
    """Each privacy warning once: indented where somebody looks on, one line in a file."""

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        text = Text.assemble((category.__name__, "yellow"), f": {message}")
        if console.is_interactive:
            console.print(Padding(text, (0, 0, 0, 2)))
        else:
            console.print("  ", text, sep="", soft_wrap=True)

    warnings.showwarning = show  # type: ignore[assignment]
    warnings.simplefilter("once", PrivacyWarning)


def _wei(text: str) -> int:
    try:
        amount = Decimal(text) * _ETHER
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount of ether") from None
    if not amount.is_finite() or amount <= 0 or amount != int(amount):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive amount of whole wei")
    return int(amount)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: choose a number from 1 to 65535")
    return int(text)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
