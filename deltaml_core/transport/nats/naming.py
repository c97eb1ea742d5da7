"""What things are called at the broker, and what a participant may do there: what is written in `permissions.json`, and nothing else.

    deltaml.up.<participant>       what it sends; stream UP, for the relay
    deltaml.down.<participant>     what waits for it; stream DOWN, which only the relay's account reaches
    deltaml.deliver.<participant>  where the server delivers that
    deltaml.taken.<participant>    what it has kept, so that the relay acknowledges it
    deltaml.ask.<participant>      questions to the relay

No participant may call a JetStream interface, not even those of its own consumer: the server sends its answer wherever the caller
says, with the account's rights and not the caller's, so that `CONSUMER.MSG.NEXT` with `$JS.API.STREAM.DELETE.<stream>` as its reply
deletes the stream (nats-server 2.9). That is why participants have an account of their own, without JetStream.
"""

from __future__ import annotations

import json
import re
from importlib import resources

UP, DOWN = "DELTAML_UP", "DELTAML_DOWN"
"""The streams."""
RELAY = "relay"
"""The consumer of `UP`."""
SERVICES = ("up", "ask", "taken")
"""What participants reach of the relay's account."""
DELIVERY = "deliver"
"""What of it reaches them."""

NUMBER, ENCODING = "DeltaML-Number", "Content-Encoding"
"""Headers: a message's place in the aggregator's store, and how its bytes are compressed."""

_ADDRESS = re.compile(r"0x[0-9A-Fa-f]{40}")
_ACKNOWLEDGEMENT = r"\$JS\.ACK\.{stream}\.{participant}(\.[0-9]+){{5}}"


def subject(kind: str, participant: str) -> str:
    """A participant's subject of a kind."""
    return f"deltaml.{kind}.{participant}"


def everybodys(kind: str) -> str:
    """All participants' subjects of a kind."""
    return subject(kind, "*")


def participant_of(its_subject: str) -> str:
    """Whose subject it is: only that participant may publish there."""
    return its_subject.rpartition(".")[2]


def inbox(participant: str) -> str:
    """The beginning of the subjects of answers to a participant."""
    return f"_INBOX_{participant}"


def is_acknowledgement(text: str, participant: str) -> bool:
    """Whether a subject acknowledges a message for this participant, and nothing else."""
    return re.fullmatch(_ACKNOWLEDGEMENT.format(stream=DOWN, participant=re.escape(participant)), text) is not None


def permissions(participant: str) -> dict[str, list[str]]:
    """What a participant may `publish` and `subscribe` to.

    Raises:
        ValueError: no address, which could widen them.
    """
    if not _ADDRESS.fullmatch(participant):
        raise ValueError(f"{participant!r} is no address")
    template = json.loads(resources.files(__package__).joinpath("permissions.json").read_text(encoding="utf-8"))
    return {action: [one.format(participant=participant) for one in subjects] for action, subjects in template.items()}
