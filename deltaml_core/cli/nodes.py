"""The subcommands of nodes, without what they run: that is imported when one of them is called."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

Run = Callable[[argparse.Namespace, Console], int]


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `aggregator`, `broker`, `owner`, `buyer`, `status`, `answer` and `verify`."""
    _add_aggregator(commands)
    _add_broker(commands)
    _add_owner(commands)
    _add_buyer(commands)
    _add_status(commands)
    _add_answer(commands)
    _add_verify(commands)


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    shown = commands.add_parser("status", help="show a node's requests, rounds, peers and last error")
    _add_home(shown)
    shown.add_argument("--json", action="store_true", help="print one JSON object")
    shown.set_defaults(run=_later("status", "run_status"))


def _add_answer(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    answer = commands.add_parser("answer", help="decide on a request by hand: accept or decline it, take it on or not")
    _add_home(answer)
    answer.add_argument("request", type=int, help="its number")
    answer.add_argument("answer", choices=("yes", "no"))
    answer.set_defaults(run=_later("status", "run_answer"), json=False)


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verify = commands.add_parser("verify", help="check a result as its buyer: signatures, openings, coalitions' errors, the money")
    _add_home(verify)
    _add_chain(verify)
    verify.add_argument("request", type=int, help="its number")
    verify.add_argument("--json", action="store_true", help="print one JSON object")
    verify.set_defaults(run=_later("status", "run_verify"))


def _add_aggregator(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    aggregator = _node(commands, "aggregator", "run a Federated Aggregator's node: relays messages, averages updates, submits results")
    aggregator.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1; 0.0.0.0 for everywhere)")
    aggregator.add_argument("--port", type=int, default=8765, help="port to listen on (default 8765)")
    aggregator.add_argument("--url", help="where others reach this node, when that is not where it listens (a proxy, a public name)")
    _add_certificate(aggregator, "https")
    aggregator.add_argument(
        "--transport",
        default="http",
        metavar="URL",
        help="the NATS server, as tls://NAME or nats://NAME, over which messages go as well (default: http, over this node's server only)",
    )
    _add_trust(aggregator, "the NATS server's certificate", "nats:// to another machine")
    aggregator.add_argument(
        "--take-on",
        choices=("ask", "all"),
        default="ask",
        help="whether requests wait for `deltaml answer` or are all taken on (default ask)",
    )
    aggregator.set_defaults(run=_later("commands", "run_aggregator"))


def _add_broker(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    broker = commands.add_parser("broker", help="print the configuration of the nats-server of an aggregator's node")
    _add_home(broker)
    broker.add_argument("--password-file", type=Path, metavar="FILE", help="its first line opens the wallet (default: DELTAML_PASSWORD)")
    broker.add_argument("--listen", default="127.0.0.1:4222", metavar="HOST:PORT", help="where it listens (default 127.0.0.1:4222)")
    broker.add_argument("--store", type=Path, required=True, metavar="DIR", help="the server's folder for messages that wait")
    broker.add_argument("--maximum-store", default="50GB", metavar="SIZE", help="what they may take of the disk (default 50GB)")
    _add_certificate(broker, "TLS")
    broker.set_defaults(run=_later("commands", "run_broker"), json=False)


def _add_certificate(parser: argparse.ArgumentParser, purpose: str) -> None:
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE", help=f"certificate chain for {purpose}, PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")


def _add_owner(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    owner = _node(commands, "owner", "run a Data Owner's node: answers requests, trains or validates on its own rows")
    owner.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="data sets, CSV with a header line or Parquet; those of earlier starts are known, and pages can add more",
    )
    owner.add_argument(
        "--answer",
        choices=("ask", "match", "never"),
        default="ask",
        help="requests wait for `deltaml answer`, are accepted when a data set matches, or never (default ask)",
    )
    owner.add_argument(
        "--aggregator", action="append", default=[], metavar="ADDRESS", help="consider only this aggregator's requests; may be repeated"
    )
    _add_privacy(owner)
    _add_transport(owner)
    owner.set_defaults(run=_later("commands", "run_owner"))


def _add_privacy(owner: argparse.ArgumentParser) -> None:
    """Noise at the owner's choice; what is not stated stays as it was."""
    owner.add_argument(
        "--epsilon",
        type=_epsilon,
        help="add noise to this owner's statistics once a request: differential privacy with this epsilon for every row (docs/privacy.md); "
        "kept for later starts, until --epsilon off",
    )
    owner.add_argument("--delta", type=float, help="goes with it (default 1e-05)")
    owner.add_argument(
        "--privacy-budget",
        type=float,
        metavar="EPSILON",
        help="refuse requests once a data set's acceptances would come to more together (default 10)",
    )


def _epsilon(text: str) -> float | str:
    try:
        return text if text == "off" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, nor off") from None


def _add_buyer(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    buyer = _node(commands, "buyer", "run a Model Buyer's node: posts requests and receives models")
    buyer.add_argument(
        "--offer", type=Path, action="append", default=[], metavar="FILE", help="post the request in this file, once; may be repeated"
    )
    buyer.add_argument("--confirm", action="store_true", help="confirm results at once instead of waiting for the challenge window")
    _add_transport(buyer)
    buyer.set_defaults(run=_later("commands", "run_buyer"))


def _add_transport(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--transport",
        choices=("http", "nats"),
        default="http",
        help="over aggregators' own servers, or over their NATS servers (default http)",
    )
    _add_trust(parser, "aggregators' certificates", "http:// to other machines")


def _add_trust(parser: argparse.ArgumentParser, whose: str, what: str) -> None:
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help=f"trust {whose} signed by this authority, PEM")
    parser.add_argument("--insecure", action="store_true", help=f"allow {what}: anybody on the way can read along")


def _node(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. It runs until SIGINT or SIGTERM.")
    _add_home(parser)
    _add_chain(parser)
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="its first line opens the wallet (default: DELTAML_PASSWORD)")
    parser.add_argument("--name", default="", help="what others are shown")
    parser.add_argument("--keep-earnings", action="store_true", help="leave what was earned in the contract instead of withdrawing it")
    parser.add_argument("--wait-for-chain", action="store_true", help="wait when the chain does not answer at the start")
    parser.add_argument("--until-input-ends", action="store_true", help="stop when standard input ends, as a supervisor's child should")
    levels = ("debug", "info", "warning", "error")
    parser.add_argument("--log-level", choices=levels, default="info", help="what the terminal shows (default info); the log has all")
    parser.set_defaults(json=False)
    return parser


def _add_chain(parser: argparse.ArgumentParser) -> None:
    """Which chain, which contract."""
    parser.add_argument("--rpc", metavar="URL", help="the chain's JSON-RPC node (default: DELTAML_RPC_URL)")
    parser.add_argument("--chain-id", type=int, help="refuse any other chain than this")
    parser.add_argument("--contract", metavar="ADDRESS", help="the marketplace (default: DELTAML_CONTRACT)")


def _add_home(parser: argparse.ArgumentParser) -> None:
    """Where a node lives."""
    parser.add_argument("--home", type=Path, metavar="DIR", help="the node's folder (default: DELTAML_HOME, or ~/.deltaml)")


def _later(module: str, name: str) -> Run:
    """A function of a module that is imported when it is called."""

    def run(chosen: argparse.Namespace, console: Console) -> int:
        found: Run = getattr(importlib.import_module(f"deltaml_core.node.{module}"), name)
        return found(chosen, console)

    return run
