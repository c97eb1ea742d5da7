"""Chapter 5: a buyer that cheats in a measurement, and how it is caught (protocol.md §5).

    who attacks     the Model Buyer, who pays less when the model looks worse
    what it holds   its secret key: it decrypts and multiplies what it is sent
    what it does    one of `LIES`, from the first round on
    what happens    the validator's zero test fails twice, or the opening does not verify: the run ends, the buyer has seen no weight

`tests/test_malicious_buyer.py` tries many more.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import ipywidgets as widgets

from deltaml_core import schemes
from deltaml_core.benchmarks.seats import seated
from deltaml_core.buyer import ModelBuyer
from deltaml_core.errors import InsecureKeyWarning, MessageError
from deltaml_core.lessons.exercise import Exercise
from deltaml_core.lessons.patients import Shard
from deltaml_core.lessons.sheet import Sheet, fill, note, note_widget
from deltaml_core.messages import Message, OpenedSums, Products
from deltaml_core.randomness import SYSTEM
from deltaml_core.schedule import SECRET_BITS
from deltaml_core.schemes.base import PrivateKey, PublicKey
from deltaml_core.transport.base import Role
from deltaml_core.views.formats import number
from deltaml_core.views.table import Table

ROUNDS = 2
KEY_BITS = 640
EXTRA = 1 << 200
"""What is added to a squared error in fixed point, to make the model look worse."""

Lie = Callable[[Message, PublicKey], Message]


def _honest(answer: Message, key: PublicKey) -> Message:
    return answer


def _larger_product(answer: Message, key: PublicKey) -> Message:
    if not isinstance(answer, Products):
        return answer
    return replace(answer, products=key.add_plain(answer.products, [EXTRA] * len(answer.products)))


def _both_products(answer: Message, key: PublicKey) -> Message:
    if not isinstance(answer, Products):
        return answer
    guess = SYSTEM.randbits(SECRET_BITS) | 1
    products = key.add_plain(answer.products, [EXTRA] * len(answer.products))
    return replace(answer, products=products, scaled=key.add_plain(answer.scaled, [guess**2 * EXTRA] * len(answer.scaled)))


def _other_opening(answer: Message, key: PublicKey) -> Message:
    if not isinstance(answer, OpenedSums):
        return answer
    return replace(answer, plaintexts=tuple(plaintext + plaintext // 2 for plaintext in answer.plaintexts))


LIES: dict[str, Lie] = {
    "be honest": _honest,
    "enlarge the product Q": _larger_product,
    "enlarge Q and Q', with a guess at α": _both_products,
    "open another sum than was encrypted": _other_opening,
}


class Liar:
    """Answers as a buyer does, but for what its lie changes."""

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, honest: Role, key: PublicKey, lie: Lie) -> None:
        """`honest`: who would sit there."""
        self._honest, self._key, self._lie = honest, key, lie

    def handle(self, message: Message) -> list[Message]:
        """The honest answer, changed before it is signed. It begins after the first measurement, when training has begun."""
        answers = self._honest.handle(message)
        return [self._lie(answer, self._key) if answer.round else answer for answer in answers]


@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        history: (round, mse) as far as it was measured.
        caught: what the role that noticed says; empty when nobody did.
        by: which role that was.
        attempts: how many pairs of products the buyer sent.
        model: whether the buyer has the model.
    """

    history: tuple[tuple[int, float], ...]
    caught: str
    by: str
    attempts: int
    model: bool


def play(shards: Sequence[Shard], lie: str, *, validator: int = 1) -> Outcome:
    """Run a short training with a buyer that tells this lie, one of `LIES`."""
    key = _key()
    with warnings.catch_warnings():  # the data is public and the key is thrown away
        warnings.simplefilter("ignore", InsecureKeyWarning)
        table = seated(shards, [validator], key, rounds=ROUNDS, step=1.5)
    session = table.session
    session.transport.join(table.buyer, Liar(session.buyer, key.public, LIES[lie]))
    names = {table.buyer.address: "the buyer", **{owner: f"owner {place + 1}" for place, owner in enumerate(table.owners)}}
    caught = by = ""
    try:
        session.run()
        session.deliver_model()
    except MessageError as fault:
        caught = _named(str(fault), names)
        by = "the validator, in its zero test" if "zero test" in caught else "whoever checks the opening"
    history = tuple((number_, metric.mse) for number_, metric in session.aggregator.history)
    return Outcome(history, caught, by, session.transport.sent[Products.kind], _has_model(session.buyer))


class CheatingDesk(Sheet):
    """A buyer's desk with the lies at hand, and a button."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        """`shards`: everybody's."""
        self._shards = shards
        self.lie = widgets.Dropdown(options=list(LIES), value="enlarge the product Q", description="As the buyer,")
        self.button = widgets.Button(description="Measure")
        self.button.add_class("t-cheat")
        self.button.on_click(lambda _: self.play())
        self.verdict = note_widget()
        self.table = Table("What happened", ["", ""], css="t-outcome")
        super().__init__([widgets.HBox([self.lie, self.button]), self.verdict, self.table])
        self.play()

    def play(self) -> None:
        """Train for two rounds with this buyer."""
        self.button.disabled = True
        try:
            self._show(play(self._shards, self.lie.value))
        finally:
            self.button.disabled = False

    def _show(self, outcome: Outcome) -> None:
        if outcome.caught:
            self.verdict.value = note(f"Caught by {outcome.by}: {outcome.caught}", "bad")
        else:
            self.verdict.value = note("Nobody has anything to object: the products and openings hold.", "good")
        measured = ", ".join(f"{number(mse)} after round {round_}" for round_, mse in outcome.history)
        rows = [
            ("pairs of products the buyer sent", outcome.attempts),
            ("errors that were established", measured or "none"),
            ("the buyer has the model", "yes" if outcome.model else "no"),
            ("on the market, the request would", "fail: minimum rewards, the rest back" if outcome.caught else "settle"),
        ]
        fill(self.table, rows)


def luck_exercise() -> Exercise:
    """How often would one have to cheat?"""
    return Exercise(
        [float(2 ** (SECRET_BITS - 1))],
        f"α is one of 2^{SECRET_BITS - 1} odd numbers, about {2.0 ** (SECRET_BITS - 1):.0e}; each lost request is one guess.",
        f"The buyer passes only if it guesses α, an odd number of {SECRET_BITS} bits. How many are there?",
    )


@cache
def _key() -> PrivateKey:
    return schemes.generate("paillier", KEY_BITS)


def _has_model(buyer: ModelBuyer) -> bool:
    return buyer.model is not None


def _named(text: str, names: dict[str, str]) -> str:
    for address, name in names.items():
        text = text.replace(address, name)
    return text
