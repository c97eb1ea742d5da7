"""`deltaml status`, `answer` and `verify`: a node's store, read and written from another terminal, whether the node runs or not."""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from deltaml_core.chain.connection import connect
from deltaml_core.chain.marketplace import Marketplace
from deltaml_core.chain.picture import PictureReader
from deltaml_core.errors import NodeError
from deltaml_core.node.home import Home
from deltaml_core.node.hosting import CONTRACT_VARIABLE
from deltaml_core.node.privacy import Account, Accounts, PrivacyRule
from deltaml_core.store.book import Book
from deltaml_core.store.database import Database
from deltaml_core.store.lease import running
from deltaml_core.store.mail import Mail
from deltaml_core.store.orders import Orders
from deltaml_core.store.privacy import PrivacyLedger
from deltaml_core.verification import verify_result

_VERDICTS = {True: "[green]holds[/]", False: "[bold red]FAILS[/]", None: "[dim]  -  [/]"}


def run_status(chosen: argparse.Namespace, console: Console) -> int:
    """Show who the node is, whether it runs, its requests, rounds, peers and last error."""
    content = status(_home(chosen))
    if chosen.json:
        print(json.dumps(content, indent=2))
    else:
        _show(content, console)
    return 0


def run_answer(chosen: argparse.Namespace, console: Console) -> int:
    """Decide on a request by hand; the running node, or the next one, acts on it."""
    database = Database(_home(chosen).store)
    book = Book(database)
    if book.request(chosen.request) is None:
        known = ", ".join(str(note.id) for note in book.requests()) or "none"
        raise NodeError(f"this node knows no request {chosen.request}; it knows {known}")
    book.note_request(chosen.request, answer=chosen.answer)
    database.close()
    console.print(f"request {chosen.request}: {chosen.answer}")
    return 0


def run_verify(chosen: argparse.Namespace, console: Console) -> int:
    """Check a result from the buyer's own store and the chain; 1 when a check fails."""
    contract = chosen.contract or os.environ.get(CONTRACT_VARIABLE)
    if not contract:
        raise NodeError(f"no marketplace is stated: name its address with --contract, or set {CONTRACT_VARIABLE}")
    marketplace = Marketplace(connect(chosen.rpc, chosen.chain_id), contract)
    picture = PictureReader(marketplace).read().requests.get(chosen.request)
    if picture is None:
        raise NodeError(f"there is no request {chosen.request} on this market")
    database = Database(_home(chosen).store)
    found = verify_result(marketplace, picture, Mail(database), picture.request.buyer)
    database.close()
    if chosen.json:
        print(json.dumps(asdict(found) | {"ok": found.ok}, indent=2))
    else:
        for check in found.checks:
            console.print(f"{_VERDICTS[check.ok]}  {check.name}: {check.detail}", highlight=False, soft_wrap=True)
    return 0 if found.ok else 1


def status(home: Home) -> dict[str, Any]:
    """A node's state as one JSON object.

    Raises:
        StoreError: its store cannot be read.
    """
    database = Database(home.store)
    book, mail = Book(database), Mail(database)
    rule, accounts = PrivacyRule.of(book), Accounts(database)
    charged = {charge.request: {"epsilon": charge.epsilon, "delta": charge.delta} for charge in PrivacyLedger(database).standing()}
    content = {
        "home": str(home.path),
        "address": book.fact("address"),
        "role": book.fact("role"),
        "chain": book.fact("chain"),
        "contract": book.fact("contract"),
        "process": running(database),
        "requests": [
            {
                "id": note.id,
                "status": note.status,
                "seat": note.seat,
                "ended": note.ended,
                "note": note.note,
                **mail.progress(str(note.id)),
                "privacy": charged.get(note.id),
            }
            for note in book.requests()
        ],
        "privacy": None if rule is None else rule.to_json(),
        "datasets": [
            {
                "path": card.path,
                "rows": card.rows,
                "columns": [name for name, *_ in card.columns],
                "privacy": None if rule is None else _standing(accounts.of(card.digest, rule)),
            }
            for card in book.cards()
        ],
        "peers": [{"address": peer.address, "role": peer.role, "url": peer.url, "seen": peer.seen} for peer in book.peers()],
        "orders": [
            {"purpose": order.purpose, "action": order.action, "state": order.state, "note": order.note} for order in Orders(database).all()
        ],
        "last_error": book.fact("last_error"),
    }
    database.close()
    return content


def _standing(account: Account) -> dict[str, float]:
    return {"spent": account.spent, "left": account.left, "following": account.following, "unprotected": account.unprotected}


def _home(chosen: argparse.Namespace) -> Home:
    home = Home.at(chosen.home)
    if not home.store.exists():
        raise NodeError(f"no node has lived in {home.path} yet: start one, or name another home with --home")
    return home


def _show(content: dict[str, Any], console: Console) -> None:
    role = str(content["role"]).lower().replace("_", " ")
    process = f"runs as process {content['process']}" if content["process"] else "does not run"
    console.print(f"{role} {content['address']} {process}", highlight=False)
    console.print(f"  contract {content['contract']} of chain {content['chain']}, home {content['home']}", highlight=False)
    requests = Table(title="Requests", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("request", "status", "part", "round", "messages", "note"):
        requests.add_column(heading)
    for row in content["requests"]:
        requests.add_row(str(row["id"]), row["status"], row["seat"] or "", str(row["round"]), str(row["messages"]), row["note"] or "")
    console.print(requests)
    for dataset in content["datasets"]:
        console.print(f"  data set {dataset['path']}: {dataset['rows']} rows, {', '.join(dataset['columns'])}", highlight=False)
        if dataset["privacy"]:
            console.print(f"    {_budget(content['privacy'], dataset['privacy'])}", highlight=False)
    for order in content["orders"]:
        said = order["note"] or "your node has not done it yet"
        console.print(f"  asked to {order['action']}: {order['state']}, {said}", highlight=False)
    for peer in content["peers"]:
        role, url = str(peer["role"]).lower().replace("_", " "), f" at {peer['url']}" if peer["url"] else ""
        console.print(f"  {role} {peer['address']}{url}, seen {_ago(peer['seen'])}", highlight=False)
    if content["last_error"]:
        console.print(f"  last error, {_ago(content['last_error']['time'])}: {content['last_error']['text']}", highlight=False)


def _budget(rule: dict[str, float], found: dict[str, float]) -> str:
    bare = f"; {found['unprotected']} trainings without noise are not in it" if found["unprotected"] else ""
    return (
        f"privacy: epsilon {found['spent']:.3g} spent and {found['left']:.3g} left of {rule['budget']:g}, {found['following']:.3g} spent "
        f"after another acceptance with epsilon {rule['epsilon']:g} (delta {rule['delta']:g}){bare}"
    )


def _ago(when: float) -> str:
    seconds = max(0, round(time.time() - when))
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
