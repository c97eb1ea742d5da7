"""What each party's process sees in one round, as a table made of a run's own messages.

`python -m deltaml_core.attacks.views` prints the tables that stand in `docs/threat-model.md`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields

from sklearn.datasets import load_diabetes

from deltaml_core.benchmarks.seats import seated
from deltaml_core.errors import InsecureKeyWarning
from deltaml_core.messages import Message
from deltaml_core.schemes import generate
from deltaml_core.transcript import Transcript

PARTIES = ("buyer", "aggregator", "trainer", "validator")
KEY_BITS = 640
ROUNDS, REFRESHED_ROUND = 10, 8
"""On the paper's data every eighth round has training, a refresh and a measurement, whatever the key's length."""

_BOOKKEEPING = {field.name for field in fields(Message)} | {
    "attempt",
    "coalition",
    "denominator",
    "entries",
    "evaluation",
    "models",
    "numerator",
    "scale",
    "subject",
    "trainers",
    "validators",
}
"""What only says which number is meant."""

_DECRYPTS = {
    "masked-errors": "decrypts `v + s` and `alpha v + s'`, masked",
    "zero-test": "decrypts 0",
    "open-sums": "decrypts the sum of the validators' squared errors, blurred",
    "open-masked": "decrypts `w + sum r + 2**drop sum s`, masked",
}
"""What the key holder reads where it is sent a ciphertext; `test_withholding.py` decrypts all of it."""


def paper_transcript() -> Transcript:
    """The record of a short run of the paper's owners."""
    X, y = load_diabetes(return_X_y=True)
    shards = [(X[start : start + 50], y[start : start + 50]) for start in range(0, 250, 50)]
    with warnings.catch_warnings():  # the data is public and the key is thrown away
        warnings.simplefilter("ignore", InsecureKeyWarning)
        table = seated(shards, [1], generate("paillier", KEY_BITS), rounds=ROUNDS, step=1.5)
    table.session.run()
    return table.session.aggregator.transcript


def table_of_a_round(transcript: Transcript, number: int) -> str:
    """A round's messages as a Markdown table: a line a kind, in the order they came."""
    seen: dict[tuple[str, str, str], list[Message]] = {}
    for message in transcript.messages():
        if message.round == number:
            sender, recipient = (role_of(transcript, name) for name in (message.sender, message.recipient))
            seen.setdefault((message.kind, sender, recipient), []).append(message)
    lines = [f"| message | {' | '.join(PARTIES)} |", "|---" * (1 + len(PARTIES)) + "|"]
    for (kind, sender, recipient), alike in seen.items():
        sealed, clear = contents(transcript, alike[0])
        cells = [_cell(kind, party, sender, recipient, sealed, clear) for party in PARTIES]
        lines.append(f"| {len(alike)} × `{kind}`, {sender} to {recipient} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(kind: str, party: str, sender: str, recipient: str, sealed: Sequence[str], clear: Sequence[str]) -> str:
    if party == sender:
        return "sends it"
    if party != recipient:
        return ""
    said = [f"reads {', '.join(clear)}"] if clear else []
    if sealed:
        said.append(_DECRYPTS[kind] if party == "buyer" else f"cannot read {', '.join(sealed)}")
    return "; ".join(said) or "reads that it is due"


def contents(transcript: Transcript, message: Message) -> tuple[list[str], list[str]]:
    """Names of the fields that hold ciphertexts, and of those in the clear: a ciphertext is as long as the modulus twice."""
    sealed, clear = [], []
    for field in fields(message):
        if field.name in _BOOKKEEPING:
            continue
        value = getattr(message, field.name)
        if isinstance(value, tuple) and all(isinstance(entry, int) and entry > transcript.header.document.modulus for entry in value):
            if value:
                sealed.append(f"{len(value)} {field.name}")
        else:
            clear.append(field.name.replace("_", " "))
    return sealed, clear


def role_of(transcript: Transcript, name: str) -> str:
    """What a participant takes part as, one of `PARTIES`."""
    header = transcript.header
    return {header.buyer: "buyer", header.aggregator: "aggregator", **dict.fromkeys(header.validators, "validator")}.get(name, "trainer")


if __name__ == "__main__":
    record = paper_transcript()
    for shown in (REFRESHED_ROUND, ROUNDS):
        print(table_of_a_round(record, shown), end="\n\n")
