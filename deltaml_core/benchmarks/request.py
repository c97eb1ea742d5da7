"""What one request takes of each party, for calculations of whole markets (docs/scale.md).

    python -m deltaml_core.benchmarks.request --owners 10 --validators 3

Bytes, messages and the parties' CPU seconds are of a run in one process: verifiable errors every second round, Shapley values. What the
aggregator pays for a message on its way over NATS is taken apart (`relaying`).
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.console import Console
from rich.table import Table

from deltaml_core import schemes
from deltaml_core.benchmarks.http import STEP, public_data, synthetic
from deltaml_core.benchmarks.relaying import relaying
from deltaml_core.benchmarks.seats import seated
from deltaml_core.messages import Message
from deltaml_core.party import Party
from deltaml_core.transport.base import Role

_EVERY = 2
_RELAYED = 1000


@dataclass(frozen=True)
class Request:
    """What one request took.

    Attributes:
        messages, bytes: of everybody, signatures included.
        owners_seconds, buyer_seconds: CPU seconds of all owners, and of the buyer.
        aggregator_seconds: of the aggregator, with signing, verifying and recording all messages.
    """

    messages: int
    bytes: int
    owners_seconds: float
    buyer_seconds: float
    aggregator_seconds: float


class _Timed:
    """A role whose CPU seconds are added up; for runs that are never resumed."""

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, name: str, role: Role, seconds: Counter[str]) -> None:
        self._name, self._role, self._seconds = name, role, seconds

    def handle(self, message: Message) -> list[Message]:
        begin = time.process_time()
        try:
            return self._role.handle(message)
        finally:
            self._seconds[self._name] += time.process_time() - begin  # type: ignore[assignment]  # Counter is for whole numbers


def one_request(owners: int, validators: int, rounds: int, key_bits: int) -> Request:
    """Run a request in one process."""
    seconds: Counter[str] = Counter()

    def owner(party: Party, role: Role) -> Role:
        return _Timed("owners", role, seconds)

    key = schemes.generate("paillier", key_bits)
    disguises = dict.fromkeys(range(owners), owner)
    terms = {"rounds": rounds, "step": STEP, "evaluate_every": _EVERY}
    with public_data():
        table = seated(synthetic(owners), range(validators), key, disguises=disguises, **terms)
    transport = table.session.transport
    transport.join(table.buyer, _Timed("buyer", table.session.buyer, seconds))
    begin = time.process_time()
    table.session.run()
    whole = time.process_time() - begin
    parts = seconds["owners"], seconds["buyer"]
    return Request(sum(transport.sent.values()), sum(transport.bytes.values()), *parts, whole - sum(parts))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--owners", type=int, default=10, help="of the request (default 10)")
    parser.add_argument("--validators", type=int, default=3, help="of them (default 3)")
    parser.add_argument("--rounds", type=int, default=100, help="of the training (default 100)")
    parser.add_argument("--key-bits", type=int, default=2048, help="length of the key (default 2048)")
    chosen = parser.parse_args(arguments)
    found = one_request(chosen.owners, chosen.validators, chosen.rounds, chosen.key_bits)
    shown = Table(title=f"A request: {chosen.owners} owners, {chosen.validators} of them validators, {chosen.rounds} rounds")
    for heading in ("messages", "MB", "owners CPU s", "buyer CPU s", "aggregator CPU s", "relay ms in", "relay ms out"):
        shown.add_column(heading, justify="right")
    parties = (f"{one:.2f}" for one in (found.owners_seconds, found.buyer_seconds, found.aggregator_seconds))
    relay = (f"{1000 * one:.2f}" for one in relaying(_RELAYED, found.bytes // found.messages))
    shown.add_row(f"{found.messages}", f"{found.bytes / 1e6:.1f}", *parties, *relay)
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
