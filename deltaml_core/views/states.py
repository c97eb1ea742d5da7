"""What people are shown as a request's state (T§7.7, contract.md): it depends on who looks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deltaml_core.chain.picture import RequestPicture
from deltaml_core.chain.types import Status


class State(StrEnum):
    """A request's state as an owner or a buyer sees it."""

    WAITING = "WAITING"
    """Open, and the viewer has no matching data set yet; for a buyer: not enough owners yet."""
    READY = "READY"
    """Open, the viewer has a matching data set and has not accepted."""
    INITIATED = "INITIATED"
    """Accepted, the roles are not dealt yet."""
    IN_PROGRESS = "IN_PROGRESS"
    """Training, or a result that can still be refuted."""
    FINISHED = "FINISHED"
    """Settled: everybody was credited."""
    DECLINED = "DECLINED"
    """The viewer will not take part."""
    MISSED = "MISSED"
    """Acceptances ended without the viewer."""
    CANCELLED = "CANCELLED"
    """The buyer took it back."""
    FAILED = "FAILED"
    """It ended without a result."""


@dataclass(frozen=True)
class Look:
    """How a state is shown: a word, a sign that does not depend on colour, a tone, and what it means."""

    word: str
    sign: str
    tone: str
    meaning: str


LOOKS = {
    State.WAITING: Look("Waiting", "○", "quiet", "open; no data set here matches it yet"),
    State.READY: Look("Ready", "◎", "call", "open; a data set here matches, nothing was answered yet"),
    State.INITIATED: Look("Initiated", "◔", "busy", "accepted; the training has not begun"),
    State.IN_PROGRESS: Look("In progress", "◑", "busy", "training, or its result is in the challenge window"),
    State.FINISHED: Look("Finished", "●", "good", "settled; everybody was credited"),
    State.DECLINED: Look("Declined", "⊘", "quiet", "this owner does not take part"),
    State.MISSED: Look("Missed", "–", "quiet", "acceptances ended without this owner"),
    State.CANCELLED: Look("Cancelled", "✕", "quiet", "the buyer took it back"),
    State.FAILED: Look("Failed", "▲", "bad", "it ended without a result"),
}

_ENDED = {Status.SETTLED: State.FINISHED, Status.CANCELLED: State.CANCELLED, Status.FAILED: State.FAILED}


def owner_state(picture: RequestPicture, owner: str, *, matches: bool) -> State:
    """A request as a data owner sees it.

    Args:
        picture: the request.
        owner: whose eyes.
        matches: whether one of its data sets serves the request.
    """
    status = picture.request.status
    if owner not in picture.accepted:
        if owner in picture.declined:
            return State.DECLINED
        if status is Status.OPEN:
            return State.READY if matches else State.WAITING
        return _ENDED[status] if status in (Status.CANCELLED, Status.FAILED) else State.MISSED
    return public_state(picture)


def public_state(picture: RequestPicture) -> State:
    """A request as its buyer, its aggregator and everybody else sees it."""
    status = picture.request.status
    if status in _ENDED:
        return _ENDED[status]
    if status in (Status.TRAINING, Status.SUBMITTED):
        return State.IN_PROGRESS
    return State.INITIATED if picture.accepted or status is Status.CLOSED else State.WAITING
