"""A model for nothing: the buyer has what it wants before it pays, and never finishes the request.

    who attacks     the Model Buyer
    what it holds   its secret key, and the only hand that could finish a request of 2019
    what it sees    with the thesis's refresh, every weight every few rounds
    what it learns  the model, as it was at the last refresh; the escrow stays locked, and nobody is paid

Under `metrics="verifiable"` a refresh shows t = w + sum r + 2**drop sum s, and a measurement v + s: sums with masks that other
owners drew, 80 bits longer than what they hide. `everything_readable` decrypts all that the buyer was ever sent, so that it can be
compared with the weights. And the contract does not wait for the buyer: a result settles when the challenge window ends, a training
that stalls expires, owners get their minimum reward, and no model is delivered (contract.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from deltaml_core import fixedpoint
from deltaml_core.attacks.captured import AttackFailed, BuyersView, of_kind
from deltaml_core.errors import TermsError
from deltaml_core.messages import FinalModel, MaskedErrors, Message, OpenMasked, OpenResiduals, OpenSums, Refresh, ZeroTest
from deltaml_core.schedule import SECRET_BITS, error_slots, masked_weight_slots, residual_slots, weight_slots
from deltaml_core.schemes.base import Ciphertexts
from deltaml_core.statistics import Array


@dataclass(frozen=True)
class StolenModel:
    """The weights the buyer has without paying.

    Attributes:
        weights: (d,), intercept last.
        round: after which they stood so.
    """

    weights: Array
    round: int


def last_weights_shown(view: BuyersView) -> StolenModel:
    """The model of the last refresh the buyer was asked for.

    Raises:
        AttackFailed: it was never shown one.
    """
    refreshes = of_kind(Refresh, view.received)
    if not refreshes:
        raise AttackFailed(f"none of the {len(view.received)} messages the buyer was sent shows it the weights")
    weights = np.array([reading.number for reading in _read(view, refreshes[-1])])
    return StolenModel(weights, refreshes[-1].round)


class Escrow2019:
    """What decided over the money of a request in 2019, as far as this attack needs it: the buyer's word.

    Attributes:
        escrow_wei: what the buyer locked.
        finished: whether the buyer said that training was over.
    """

    def __init__(self, buyer: str, escrow_wei: int) -> None:
        """The request is posted."""
        self._buyer = buyer
        self.escrow_wei = escrow_wei
        self.finished = False

    def finish(self, caller: str) -> None:
        """End the request; there is no deadline after which somebody else could.

        Raises:
            TermsError: the caller is not its buyer.
        """
        if caller != self._buyer:
            raise TermsError(f"{caller} is not the buyer: only the buyer finishes a request")
        self.finished = True

    def payable_wei(self, shares: Mapping[str, float]) -> dict[str, int]:
        """What each owner can have sent to it now."""
        return {owner: int(self.escrow_wei * share) if self.finished else 0 for owner, share in shares.items()}


@dataclass(frozen=True)
class Reading:
    """A number the buyer could decrypt.

    Attributes:
        kind, round: of the message that held it.
        number: at the scale of what the message is about.
    """

    kind: str
    round: int
    number: float


def everything_readable(view: BuyersView) -> list[Reading]:
    """Every number in every ciphertext the buyer was sent, decrypted and taken out of its slot."""
    return [reading for message in view.received for reading in _read(view, message)]


def _read(view: BuyersView, message: Message) -> list[Reading]:
    terms, capacity = view.terms, view.capacity
    match message:
        case Refresh():
            parts = [(message.packed, weight_slots(terms, capacity, message.scale), terms.weights, 0)]
            scale = message.scale
        case OpenMasked():
            parts = [(message.packed, masked_weight_slots(terms, capacity, message.scale), terms.weights, 0)]
            scale = message.scale
        case OpenResiduals():
            slots = residual_slots(terms, capacity, message.scale)
            sizes = [slots.plaintexts(rows) for rows in message.rows]
            starts = [sum(sizes[:position]) for position in range(len(sizes))]
            pieces = [message.packed[start : start + size] for start, size in zip(starts, sizes, strict=True)]
            parts = [(piece, slots, rows, 0) for piece, rows in zip(pieces, message.rows, strict=True)]
            scale = message.scale + terms.row_bits
        case MaskedErrors():
            slots = error_slots(terms, capacity, message.scale)
            slots = slots if message.attempt == 1 else replace(slots, per_plaintext=1)
            count = message.models * message.entries
            parts = [(message.masked, slots, count, 0), (message.scaled, slots, count, SECRET_BITS)]
            scale = message.scale + terms.row_bits
        case ZeroTest():
            return _bare(view, message, message.ciphertext, 0)
        case OpenSums():
            return _bare(view, message, message.sums, 2 * (message.scale + terms.row_bits))
        case FinalModel():
            return _bare(view, message, message.weights, message.scale)
        case _:
            return []  # numbers in the clear: noise that was revealed
    return [
        Reading(message.kind, message.round, fixedpoint.decode(digit - (slots.offset << lift), scale))
        for packed, slots, count, lift in parts
        for digit in slots.split_all(view.key.decrypt(packed), count)
    ]


def _bare(view: BuyersView, message: Message, ciphertexts: Ciphertexts, scale: int) -> list[Reading]:
    return [Reading(message.kind, message.round, fixedpoint.decode(value, scale)) for value in view.key.decrypt(ciphertexts)]
