"""How the cost of an owner changes with the number of owners: whole trainings over a NATS server, as a table and a chart.

    python -m deltaml_core.benchmarks.scale --chart docs/images/scale.svg

The contract takes 64 owners for a request: more than fifty train in several requests at once, at the same aggregator. Every crowd runs in
a process of its own: memory that another left unused would hide its growth. All participants are in that one process, so the wall's clock
says what one machine carries; where owners have machines of their own only the aggregator's part remains.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.table import Table

from deltaml_core import schemes
from deltaml_core.benchmarks.http import ROUNDS, judges, public_data, synthetic, trained

OWNERS = (10, 50, 200)
KEY_BITS = 1024
OF_A_REQUEST = 50
_WARM_UP_ROUNDS = 2


@dataclass(frozen=True)
class Crowd:
    """What so many owners' trainings took.

    Attributes:
        owners: how many.
        trainings: in how many requests at once.
        wall_seconds: from making the stores to the approved result.
        cpu_seconds: of everybody, without the NATS server.
        round_seconds: median of a round of the first request.
        round_bytes: median of what is sent in such a round of all requests.
        memory_bytes: by how much everybody's process grew at most.
        broker_bytes: the NATS server's memory at most.
    """

    owners: int
    trainings: int
    wall_seconds: float
    cpu_seconds: float
    round_seconds: float
    round_bytes: float
    memory_bytes: int
    broker_bytes: int


def crowd(owners: int, rounds: int = ROUNDS, key_bits: int = KEY_BITS) -> Crowd:
    """Train over a NATS server; the models are compared with plain arithmetic's.

    Args:
        owners: how many; more than `OF_A_REQUEST` are several times as many.
        rounds: of each training.
        key_bits: length of the buyers' key.

    Raises:
        NodeError, MissingExtraError: there is no NATS server here, or no client.
        WrongResultError: the training finds another model, or does not end.
    """
    trainings = max(1, owners // OF_A_REQUEST)
    each = owners // trainings
    key = schemes.generate("paillier", key_bits)
    with public_data():
        trained(synthetic(2), judges(2), key, _WARM_UP_ROUNDS, over_broker=True)  # what is loaded once is no owner's
        served = trained(synthetic(each), judges(each), key, rounds, over_broker=True, trainings=trainings)
    measured = served.wall_seconds, served.cpu_seconds, served.round_seconds, trainings * served.round_bytes
    return Crowd(trainings * each, trainings, *measured, served.memory_bytes, served.broker_bytes)


def crowds(owners: Sequence[int], rounds: int = ROUNDS, key_bits: int = KEY_BITS) -> list[Crowd]:
    """`crowd` of each number, in a process of its own."""
    found = []
    for number in owners:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found.append(process.submit(crowd, number, rounds, key_bits).result())
    return found


def table(found: Sequence[Crowd]) -> Table:
    """For people."""
    shown = Table(title="Owners as threads of one process, over NATS")
    headings = ("owners", "requests", "wall s", "s a round", "CPU s an owner", "MB an owner", "NATS server MB", "kB an owner and round")
    for heading in headings:
        shown.add_column(heading, justify="right")
    for one in found:
        owner = one.cpu_seconds / one.owners, one.memory_bytes / one.owners / 1e6
        whole = (
            f"{one.owners}",
            f"{one.trainings}",
            f"{one.wall_seconds:.1f}",
            f"{one.round_seconds:.2f}",
            f"{owner[0]:.2f}",
            f"{owner[1]:.2f}",
        )
        shown.add_row(*whole, f"{one.broker_bytes / 1e6:.0f}", f"{one.round_bytes / one.owners / 1e3:.1f}")
    return shown


def chart(found: Sequence[Crowd]) -> str:
    """CPU seconds and megabytes of an owner against the number of owners, as SVG."""
    owners = [one.owners for one in found]
    panels = {
        "CPU seconds an owner": [one.cpu_seconds / one.owners for one in found],
        "MB an owner": [one.memory_bytes / one.owners / 1e6 for one in found],
    }
    width, height = 360, 220
    drawn = [_panel(title, owners, values, index * width, width, height) for index, (title, values) in enumerate(panels.items())]
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * len(panels)} {height}" font-family="sans-serif" font-size="12">'
    return "\n".join([frame, '<rect width="100%" height="100%" fill="white"/>', *drawn, "</svg>", ""])


def _panel(title: str, owners: Sequence[int], values: Sequence[float], left: int, width: int, height: int) -> str:
    """Bars from zero, each with its value above and its number of owners below."""
    top, bottom, side = 40, height - 40, 30
    step = (width - 2 * side) / len(values)
    scale = (bottom - top) / max(values)
    lines = [f'<text x="{left + width / 2:.0f}" y="20" text-anchor="middle" font-weight="bold">{escape(title)}</text>']
    for index, (number, value) in enumerate(zip(owners, values, strict=True)):
        x, length = left + side + (index + 0.5) * step, value * scale
        lines += [
            f'<rect x="{x - step / 4:.1f}" y="{bottom - length:.1f}" width="{step / 2:.1f}" height="{length:.1f}" fill="#4477aa"/>',
            f'<text x="{x:.1f}" y="{bottom - length - 5:.1f}" text-anchor="middle">{value:.2f}</text>',
            f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{number}</text>',
        ]
    lines.append(f'<line x1="{left + side}" y1="{bottom}" x2="{left + width - side}" y2="{bottom}" stroke="black"/>')
    lines.append(f'<text x="{left + width / 2:.0f}" y="{height - 8}" text-anchor="middle">owners</text>')
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--owners", type=int, nargs="+", default=OWNERS, help="numbers of owners (default 10 50 200)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each training (default {ROUNDS})")
    parser.add_argument("--key-bits", type=int, default=KEY_BITS, help=f"length of the key (default {KEY_BITS})")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="write the chart there, as SVG")
    chosen = parser.parse_args(arguments)
    found = crowds(chosen.owners, chosen.rounds, chosen.key_bits)
    Console(width=120).print(table(found))
    if chosen.chart is not None:
        chosen.chart.write_text(chart(found), encoding="utf-8")


if __name__ == "__main__":
    main()
