"""Chapter 3: the messages of a round, one after the other, drawn from a run's own transcript."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import ipywidgets as widgets

from deltaml_core.attacks.views import contents, role_of
from deltaml_core.lessons.sheet import Sheet, on_change
from deltaml_core.messages import Message
from deltaml_core.transcript import Transcript

_WIDTH, _ROW, _TOP, _SHOWN = 960, 30, 74, 14
_MILLISECONDS = 900


@dataclass(frozen=True)
class Arrow:
    """A message as it is drawn.

    Attributes:
        kind: of the message.
        start, end: lanes of sender and recipient.
        locked: names of what it carries under encryption.
        clear: names of what it carries for its recipient to read.
        meaning: what its class says of it.
    """

    kind: str
    start: int
    end: int
    locked: tuple[str, ...]
    clear: tuple[str, ...]
    meaning: str

    @property
    def carries(self) -> str:
        """What is in it, in words."""
        parts = [f"locked: {', '.join(self.locked)}"] if self.locked else []
        parts += [f"in the clear: {', '.join(self.clear)}"] if self.clear else []
        return "; ".join(parts) or "nothing but its name"


def lanes_of(transcript: Transcript) -> dict[str, str]:
    """What every participant is called, by address, in the order they are drawn."""
    header = transcript.header
    trainers = {address: f"trainer {place + 1}" for place, address in enumerate(header.trainers)}
    several = len(header.validators) > 1
    validators = {address: f"validator {place + 1}" if several else "validator" for place, address in enumerate(header.validators)}
    return {header.buyer: "buyer", **validators, header.aggregator: "aggregator", **trainers}


def arrows_of(transcript: Transcript, number: int) -> list[Arrow]:
    """The messages of a round, in the order in which they were handed in."""
    lanes = list(lanes_of(transcript))
    return [_arrow(transcript, lanes, message) for message in transcript.messages() if message.round == number]


def _arrow(transcript: Transcript, lanes: Sequence[str], message: Message) -> Arrow:
    locked, clear = contents(transcript, message)
    said = " ".join(str(type(message).__doc__).split("\n\n")[0].split())
    meaning = said.partition(": ")[2] or said
    start, end = lanes.index(message.sender), lanes.index(message.recipient)
    return Arrow(message.kind, start, end, tuple(locked), tuple(clear), meaning[0].upper() + meaning[1:])


class SequenceDiagram(Sheet):
    """A round that plays: press the button, or drag the slider. Solid arrows carry ciphertexts, dashed ones do not."""

    def __init__(self, transcript: Transcript, rounds: Sequence[tuple[str, int]]) -> None:
        """`rounds`: what can be chosen, a name and the round's number."""
        self._transcript = transcript
        self._names = list(lanes_of(transcript).values())
        self.round = widgets.Dropdown(options=list(rounds), description="Round")
        self.play = widgets.Play(min=1, interval=_MILLISECONDS, layout={"width": "230px"})
        self.place = widgets.IntSlider(min=1, description="message")
        self._link = widgets.jslink((self.play, "value"), (self.place, "value"))
        self.picture = widgets.HTML()
        self.picture.add_class("t-sequence")
        self.arrows: list[Arrow] = []
        self.round.observe(lambda _: self._choose(), names=["value"])
        on_change([self.place], self.show)
        super().__init__([self.round, widgets.HBox([self.play, self.place]), self.picture])
        self._choose()

    def _choose(self) -> None:
        self.arrows = arrows_of(self._transcript, self.round.value)
        self.place.value = 1
        self.place.max = self.play.max = len(self.arrows)
        self.show()

    def show(self) -> None:
        """Draw the messages up to the slider's place."""
        upto = self.place.value
        arrow = self.arrows[upto - 1]
        who = f"{self._names[arrow.start]} → {self._names[arrow.end]}"
        words = (
            f'<p class="d-words"><strong>{upto} of {len(self.arrows)}: {escape(arrow.kind)}</strong>, {escape(who)}. '
            f'{escape(arrow.meaning)}<br><span class="d-muted">It carries {escape(arrow.carries)}.</span></p>'
        )
        self.picture.value = f'<div class="d-card">{drawing(self._names, self.arrows[:upto])}{words}</div>'


def drawing(names: Sequence[str], arrows: Sequence[Arrow]) -> str:
    """The last of these arrows as SVG, the newest on its way."""
    shown = arrows[-_SHOWN:]
    height = _TOP + _ROW * _SHOWN
    lanes = "".join(_lane(name, _x(place, len(names)), height) for place, name in enumerate(names))
    lines = "".join(_line(arrow, place, len(names), newest=place == len(shown) - 1) for place, arrow in enumerate(shown))
    said = f"{len(arrows)} messages between {', '.join(names)}; the last is {arrows[-1].kind}"
    style = (
        "<style>@keyframes d-fly{from{stroke-dashoffset:1}to{stroke-dashoffset:0}}.d-new{animation:d-fly .7s ease-out}"
        "@media (prefers-reduced-motion:reduce){.d-new{animation:none}}</style>"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(said, quote=True)}" '
        f'style="width:100%;font:13px var(--d-font)">{style}{lanes}{lines}</svg>'
    )


def _x(lane: int, lanes: int) -> float:
    return _WIDTH * (lane + 0.5) / lanes


def _lane(name: str, x: float, height: int) -> str:
    return (
        f'<rect x="{x - 52:.0f}" y="8" width="104" height="34" rx="8" fill="var(--d-surface)" stroke="var(--d-accent)"/>'
        f'<text x="{x:.0f}" y="30" text-anchor="middle" fill="var(--d-text)">{escape(name)}</text>'
        f'<line x1="{x:.0f}" y1="44" x2="{x:.0f}" y2="{height}" stroke="var(--d-line)"/>'
    )


def _line(arrow: Arrow, place: int, lanes: int, *, newest: bool) -> str:
    start, end, y = _x(arrow.start, lanes), _x(arrow.end, lanes), _TOP + _ROW * place
    colour = "var(--d-accent)" if newest else "var(--d-muted)"
    towards = 1 if end > start else -1
    tip = f"{end:.0f},{y} {end - 9 * towards:.0f},{y - 5} {end - 9 * towards:.0f},{y + 5}"
    look = f'stroke="{colour}" stroke-width="{2.5 if newest else 1.5}"'
    if newest and arrow.locked:
        look += ' pathLength="1" stroke-dasharray="1" class="d-new"'
    elif not arrow.locked:
        look += ' stroke-dasharray="5 4"'
    weight = ' font-weight="600"' if newest else ""
    return (
        f'<line x1="{start:.0f}" y1="{y}" x2="{end - 8 * towards:.0f}" y2="{y}" {look}/><polygon points="{tip}" fill="{colour}"/>'
        f'<text x="{(start + end) / 2:.0f}" y="{y - 6}" text-anchor="middle" fill="{colour}"{weight}'
        f' style="paint-order:stroke" stroke="var(--d-surface)" stroke-width="4">{escape(arrow.kind)}</text>'
    )


def summary(transcript: Transcript) -> str:
    """How much was said, by whom, and the hash that binds all of it."""
    header = transcript.header
    document = header.document
    return (
        f"{len(transcript)} signed messages, {transcript.size / 1e6:.1f} MB: {len(header.trainers)} trainers, {len(header.validators)} "
        f"validator(s), {document.terms.rounds} rounds, a key of {document.modulus.bit_length()} bits. One hash binds them:\n"
        f"{transcript.hash.hex()}"
    )


def messages_by_role(transcript: Transcript, number: int) -> dict[str, int]:
    """How many messages of a round each role sends."""
    counts: dict[str, int] = {}
    for message in transcript.messages():
        if message.round == number:
            sender = role_of(transcript, message.sender)
            counts[sender] = counts.get(sender, 0) + 1
    return counts
