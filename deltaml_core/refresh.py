"""Bringing the scale of encrypted weights down, when the key has no room for another round (protocol.md §6).

    every owner     sends masks [[s]], and trainers [[r]] with 0 <= r < 2**drop
    aggregator      forms [[t = w + sum r + 2**drop sum s]]
    buyer           opens t with proof; t hides w
    aggregator      computes floor(t / 2**drop) in the clear, and takes the same [[s]] off again

Who learns what: nobody a weight, unless the aggregator and every owner tell each other their masks. The r hide the low bits and
stay in, at most one unit each at the new scale. The buyer cannot swap w: t is opened with proof, and the masks cancel by their
ciphertexts. (The thesis's system had the buyer decrypt, round and re-encrypt the weights: that is `BareRefresh`, used with
`metrics="noise"`, and shows the buyer every weight.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from deltaml_core import fixedpoint
from deltaml_core.errors import MessageError
from deltaml_core.fixedpoint import Slots
from deltaml_core.messages import AskMasks, Masks, Message, OpenedMasked, OpenMasked, Refresh, Refreshed
from deltaml_core.party import Party
from deltaml_core.schedule import Kind, high_mask_bits, masked_weight_slots, weight_slots
from deltaml_core.schemes.base import Ciphertexts, Opening, PrivateKey

Blinding = Callable[..., bytes]
"""A secret seed for each purpose (`Transcript.blinding`), so that an auditor who is shown the secret can recompute the products."""


class AggregatorRefresh(Protocol):
    """The aggregator's part of a refresh."""

    kinds: ClassVar[tuple[type[Message], ...]]

    @property
    def awaited(self) -> frozenset[str]:
        """The owners whose masks the refresh under way still lacks."""

    def drop(self, owner: str) -> list[Message]:
        """Go on without an owner, whose masks are awaited or who is asked nothing now."""

    def begin(self, number: int, weights: Ciphertexts, scale: int) -> list[Message]:
        """Have weights of a round brought from `scale` to the base scale."""

    def handle(self, message: Message) -> tuple[list[Message], Ciphertexts]:
        """Answer one of `kinds`; the weights, once they are refreshed, else nothing."""


def draw_masks(party: Party, asked: AskMasks, *, trains: bool) -> Masks:
    """An owner's part: fresh masks for every weight.

    Raises:
        MessageError: no refresh from that scale is on the schedule.
    """
    if (asked.round, asked.scale) not in _scheduled(party):
        raise party.unexpected(asked, f"a refresh at {asked.scale} bits is not on the schedule")
    count, drop = party.terms.weights, asked.scale - party.terms.base_scale
    draw = party.randomness.randbits
    high = party.sending_key.encrypt([draw(high_mask_bits(party.terms, asked.scale)) for _ in range(count)])
    low = party.sending_key.encrypt([draw(drop) for _ in range(count)]) if trains else ()
    return party.say(Masks, asked.sender, asked.round, high=high, low=low)


class MaskedRefresh:
    """The aggregator's part, without showing the model."""

    kinds: ClassVar[tuple[type[Message], ...]] = (Masks, OpenedMasked)

    def __init__(self, party: Party, trainers: Sequence[str], validators: Sequence[str], blinding: Blinding) -> None:
        """Everybody who masks, and where the aggregator's randomness comes from."""
        self._party = party
        self._blinding = blinding
        self._trainers = tuple(trainers)
        self._owners = (*trainers, *validators)
        self._number, self._scale = -1, 0
        self._weights: Ciphertexts = ()
        self._masks: dict[str, Masks] = {}
        self._packed: Ciphertexts = ()

    @property
    def awaited(self) -> frozenset[str]:
        """The owners whose masks are missing."""
        return frozenset(self._owners) - self._masks.keys() if self._weights else frozenset()

    def drop(self, owner: str) -> list[Message]:
        """Go on with the masks of the others."""
        was_awaited = owner in self.awaited
        self._owners = tuple(other for other in self._owners if other != owner)
        self._trainers = tuple(other for other in self._trainers if other != owner)
        return self._have_opened() if was_awaited and self._owners and not self.awaited else []

    def begin(self, number: int, weights: Ciphertexts, scale: int) -> list[Message]:
        """Ask every owner for masks."""
        self._number, self._scale, self._weights, self._masks, self._packed = number, scale, weights, {}, ()
        return [self._party.say(AskMasks, owner, number, scale=scale) for owner in self._owners]

    def handle(self, message: Message) -> tuple[list[Message], Ciphertexts]:
        """Take the next step."""
        if message.round != self._number or not self._weights:
            raise self._party.unexpected(message, "no refresh of that round is under way")
        match message:
            case Masks():
                return self._collect(message), ()
            case OpenedMasked():
                return [], self._finish(message)
        raise self._party.unexpected(message)

    def _collect(self, masks: Masks) -> list[Message]:
        if masks.sender not in self._owners or masks.sender in self._masks:
            raise self._party.unexpected(masks, "it is not an owner of this request, or has sent its masks")
        count = self._party.terms.weights
        self._party.key.check(masks.high, count, masks.sender)
        self._party.key.check(masks.low, count if masks.sender in self._trainers else 0, masks.sender)
        self._masks[masks.sender] = masks
        return [] if self.awaited else self._have_opened()

    def _have_opened(self) -> list[Message]:
        count, key, slots = self._party.terms.weights, self._party.key, self._slots
        drop = self._scale - self._party.terms.base_scale
        low = self._weights
        for trainer in self._trainers:
            low = key.add(low, self._masks[trainer].low)
        masked = slots.join_rows([[*row, *(entry << drop for entry in row)] for row in _identity(count)])
        joined = key.combine(key.prepare(masked), low + self._high)
        positive = key.shift(joined, slots.join_all([slots.offset] * count))
        self._packed = key.rerandomise_from(self._blinding("refresh", self._number), positive)
        return [self._party.say(OpenMasked, self._party.buyer, self._number, scale=self._scale, packed=self._packed)]

    def _finish(self, opened: OpenedMasked) -> Ciphertexts:
        if not self._packed:
            raise self._party.unexpected(opened, "nothing was to be opened yet")
        key = self._party.key
        if len(opened.plaintexts) != len(self._packed) or len(opened.randomness) != len(self._packed):
            raise MessageError(f"it opened {len(opened.plaintexts)} of {len(self._packed)} masked weights", opened.sender)
        openings = [Opening(m, r) for m, r in zip(opened.plaintexts, opened.randomness, strict=True)]
        if not all(key.verify(ciphertext, opening) for ciphertext, opening in zip(self._packed, openings, strict=True)):
            raise MessageError("its opening of the masked weights does not hold", opened.sender)
        unmasked = unmask(self._party, self._high, self._scale, opened)
        refreshed = key.rerandomise_from(self._blinding("refreshed", self._number), unmasked)
        self._weights, self._packed = (), ()
        return refreshed

    @property
    def _high(self) -> Ciphertexts:
        first, *others = (self._masks[owner].high for owner in self._owners)
        for other in others:
            first = self._party.key.add(first, other)
        return first

    @property
    def _slots(self) -> Slots:
        return masked_weight_slots(self._party.terms, self._party.key.capacity, self._scale)


def unmask(party: Party, high: Ciphertexts, scale: int, opened: OpenedMasked) -> Ciphertexts:
    """`[[floor(t / 2**drop) - sum s]]` from the opened t and the summed masks' ciphertexts. Not fresh.

    Raises:
        MessageError: what was opened does not hold masked weights.
    """
    slots = masked_weight_slots(party.terms, party.key.capacity, scale)
    try:
        digits = slots.split_all(opened.plaintexts, party.terms.weights)
    except ValueError as error:
        raise MessageError("what was opened does not hold masked weights: an update was not honest", opened.sender) from error
    drop = scale - party.terms.base_scale
    return party.key.shift(party.key.scale(high, [-1] * len(high)), [(digit - slots.offset) >> drop for digit in digits])


class BareRefresh:
    """The aggregator's part of the thesis's refresh."""

    kinds: ClassVar[tuple[type[Message], ...]] = (Refreshed,)

    awaited: frozenset[str] = frozenset()

    def __init__(self, party: Party) -> None:
        """Only the buyer takes part."""
        self._party = party
        self._number = -1

    def drop(self, owner: str) -> list[Message]:
        """No owner takes part."""
        return []

    def begin(self, number: int, weights: Ciphertexts, scale: int) -> list[Message]:
        """Send the buyer the packed weights."""
        self._number = number
        key, slots = self._party.key, weight_slots(self._party.terms, self._party.key.capacity, scale)
        joined = key.combine(key.prepare(slots.join_rows(_identity(len(weights)))), weights)
        packed = key.add_plain(joined, slots.join_all([slots.offset] * len(weights)))
        return [self._party.say(Refresh, self._party.buyer, number, scale=scale, packed=packed)]

    def handle(self, message: Message) -> tuple[list[Message], Ciphertexts]:
        """Take the refreshed weights."""
        if not isinstance(message, Refreshed) or message.round != self._number:
            raise self._party.unexpected(message, "no refresh of that round is under way")
        weights = self._party.key.check(message.weights, self._party.terms.weights, message.sender)
        self._number = -1
        return [], weights


class BuyerRefresh:
    """The buyer's part of either, each refresh of the schedule once."""

    kinds: ClassVar[tuple[type[Message], ...]] = (Refresh, OpenMasked)

    def __init__(self, party: Party, key: PrivateKey) -> None:
        """`key`: what the weights are encrypted under."""
        self._party = party
        self._key = key
        self._due = _scheduled(party)

    def handle(self, message: Message) -> list[Message]:
        """Open what hides the weights, or with `metrics="noise"` round the weights themselves."""
        bare = self._party.terms.metrics == "noise"
        if not isinstance(message, Refresh if bare else OpenMasked):
            raise self._party.unexpected(message, f'that is no refresh of metrics="{self._party.terms.metrics}"')
        return [self._round(message) if isinstance(message, Refresh) else self._open(message)]

    def _open(self, asked: OpenMasked) -> OpenedMasked:
        slots = masked_weight_slots(self._party.terms, self._party.key.capacity, asked.scale)
        packed = self._check(asked, asked.scale, asked.packed, slots)
        openings = self._key.open(packed)
        self._due.remove((asked.round, asked.scale))
        plaintexts, randomness = tuple(o.plaintext for o in openings), tuple(o.randomness for o in openings)
        return self._party.say(OpenedMasked, asked.sender, asked.round, plaintexts=plaintexts, randomness=randomness)

    def _round(self, asked: Refresh) -> Refreshed:
        terms = self._party.terms
        slots = weight_slots(terms, self._party.key.capacity, asked.scale)
        packed = self._check(asked, asked.scale, asked.packed, slots)
        try:
            digits = slots.split_all(self._key.decrypt(packed), terms.weights)
        except ValueError as error:
            raise MessageError("what it sent to be refreshed does not hold weights", asked.sender) from error
        rounded = [fixedpoint.round_shift(digit - slots.offset, asked.scale - terms.base_scale) for digit in digits]
        bound = fixedpoint.encode(terms.weight_bound * (1 + 1e-6), terms.base_scale)
        if any(abs(weight) > bound for weight in rounded):
            raise MessageError(
                "the weights it sent to be refreshed are larger than the terms allow: an update was not honest", asked.sender
            )
        self._due.remove((asked.round, asked.scale))
        return self._party.say(Refreshed, asked.sender, asked.round, weights=self._key.encrypt(rounded))

    def _check(self, asked: Message, scale: int, packed: Sequence[int], slots: Slots) -> Ciphertexts:
        if (asked.round, scale) not in self._due:
            raise self._party.unexpected(asked, f"a refresh at {scale} bits is not on the schedule, or was done before")
        return self._party.key.check(packed, slots.plaintexts(self._party.terms.weights), asked.sender)


def aggregator_refresh(party: Party, trainers: Sequence[str], validators: Sequence[str], blinding: Blinding) -> AggregatorRefresh:
    """The refresh that goes with the terms' metrics."""
    return BareRefresh(party) if party.terms.metrics == "noise" else MaskedRefresh(party, trainers, validators, blinding)


def _scheduled(party: Party) -> set[tuple[int, int]]:
    return {(step.round, step.scale) for step in party.steps if step.kind is Kind.REFRESH}


def _identity(size: int) -> list[list[int]]:
    return [[int(row == column) for column in range(size)] for row in range(size)]
