"""Chapter 2: why what leaves an owner is re-randomised: a patient's age out of a ciphertext that was not (protocol.md §2).

    who attacks     the Model Buyer, who holds the secret key
    what it sends   a ciphertext `[[w]]` of its own, whose randomness r it knows
    what it gets    `[[age w + mask]]`: the mask hides the plaintext perfectly
    what it does    it opens the ciphertext. Without re-randomisation its randomness is `r**age mod n`: it tries every age there is
    what it learns  the age; with re-randomisation every age is as likely as before

`owner.py` and `metrics/verifiable/validator.py` re-randomise all they send.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deltaml_core.lessons.sheet import Sheet, sheet_of_rows
from deltaml_core.randomness import SYSTEM
from deltaml_core.schemes.base import Opening, PrivateKey

MASK_BITS = 120
AGES = range(1, 120)


@dataclass(frozen=True)
class Answer:
    """What the buyer has afterwards.

    Attributes:
        sent: what it knows of its own ciphertext.
        received: what its key shows of the answer: a masked plaintext, and the randomness.
    """

    sent: Opening
    received: Opening


def ask_for_age(key: PrivateKey, age: int, *, rerandomised: bool) -> Answer:
    """Play buyer and owner: the owner multiplies the buyer's ciphertext by an age, and masks it.

    Args:
        key: the buyer's.
        age: the owner's secret.
        rerandomised: whether the owner does what the protocol says.
    """
    public = key.public
    ciphertext = key.encrypt([1000])
    (sent,) = key.open(ciphertext)
    product = public.scale(ciphertext, [age])
    mask = [SYSTEM.randbits(MASK_BITS)]
    answer = public.add_plain(product, mask) if rerandomised else public.shift(product, mask)
    (received,) = key.open(answer)
    return Answer(sent, received)


def ages_that_fit(answer: Answer, modulus: int, candidates: Iterable[int] = AGES) -> list[int]:
    """The ages under which the answer's randomness is what it is."""
    return [age for age in candidates if pow(answer.sent.randomness, age, modulus) == answer.received.randomness]


def guess_table(key: PrivateKey, age: int) -> Sheet:
    """The attack against an owner that re-randomises and one that does not."""
    rows = []
    for rerandomised in (False, True):
        answer = ask_for_age(key, age, rerandomised=rerandomised)
        fitting = ages_that_fit(answer, key.public.modulus)
        found = ", ".join(map(str, fitting)) or "none"
        rows.append(
            (
                "re-randomised" if rerandomised else "as it comes out",
                f"{answer.received.plaintext:.4e}",
                f"{answer.received.randomness:.4e}",
                found,
                f"the patient is {fitting[0]}" if fitting else "nothing",
            )
        )
    headings = ["the owner's answer", "plaintext (masked)", "randomness", "ages that fit", "the buyer learns"]
    return sheet_of_rows(f"{len(AGES)} guesses at an age", headings, rows, numeric=[1, 2, 3], css="t-guess")
