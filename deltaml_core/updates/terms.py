"""What the participants of a training with a visible model agree on, and what each seat at it knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from deltaml_core import schemes
from deltaml_core.errors import TermsError, TooFewOwnersError
from deltaml_core.fixedpoint import bits_for
from deltaml_core.party import Seat
from deltaml_core.randomness import SYSTEM, Randomness
from deltaml_core.schemes.base import PublicKey
from deltaml_core.terms import MAXIMUM_ROUNDS
from deltaml_core.updates.packing import UpdatePacking

WEIGHTINGS = ("rows", "equal")

MINIMUM_TRAINERS = 2
"""The sum over one trainer is its update."""

METRIC_BITS = 64
"""Fractional bits of a validator's metric times its rows."""


@dataclass(frozen=True)
class UpdateTerms:
    """How a visible model is trained.

    Attributes:
        trainers: each trainer's rows, which it states when it accepts and everybody may know; at least two trainers.
        validators: likewise; at least one, and none of the trainers.
        parameters: numbers in the model.
        rounds: number of rounds, at least 1.
        local_steps: passes over its rows that a trainer makes in a round.
        evaluate_every: the model is measured before the first round, then every so many rounds and after the last.
        clip_norm: a trainer's update is shortened to this Euclidean norm.
        fractional_bits: of an update's entries, 1 to 512; entries are right to half of `2**-fractional_bits`.
        weighting: "rows" weighs a trainer's update by its rows (McMahan et al., 2017), "equal" takes the plain mean.
        scheme: encryption, one of `schemes.SCHEMES`.
        key_bits: length of the buyer's modulus.
    """

    trainers: Mapping[str, int]
    validators: Mapping[str, int]
    parameters: int
    rounds: int
    local_steps: int = 1
    evaluate_every: int = 1
    clip_norm: float = 10.0
    fractional_bits: int = 24
    weighting: str = "rows"
    scheme: str = "paillier"
    key_bits: int = 2048

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            TermsError: naming the term and what it may be.
            TooFewOwnersError: fewer than two trainers.
        """
        for name in ("parameters", "rounds", "local_steps", "evaluate_every", "fractional_bits", "key_bits"):
            _check_count(name, getattr(self, name))
        for owner, rows in (*self.trainers.items(), *self.validators.items()):
            _check_count(f"the rows of {owner}", rows)
        if self.rounds > MAXIMUM_ROUNDS:
            raise TermsError(f"rounds must be at most {MAXIMUM_ROUNDS}, not {self.rounds}: take more local steps a round instead")
        if self.fractional_bits > 512:
            raise TermsError(f"fractional_bits must be at most 512, not {self.fractional_bits}")
        clip = self.clip_norm
        if isinstance(clip, bool) or not isinstance(clip, int | float) or not (math.isfinite(clip) and clip > 0):
            raise TermsError(f"clip_norm must be a positive number, not {clip!r}")
        if self.weighting not in WEIGHTINGS:
            raise TermsError(f"weighting={self.weighting!r} is not known; choose one of {', '.join(WEIGHTINGS)}")
        if len(self.trainers) < MINIMUM_TRAINERS:
            raise TooFewOwnersError(
                f"{len(self.trainers)} trainer(s) are too few: a sum hides one update among at least {MINIMUM_TRAINERS}; find more owners"
            )
        if not self.validators:
            raise TermsError("no validator is left: at least one owner has to measure the model")
        if both := sorted(set(self.trainers) & set(self.validators)):
            raise TermsError(f"{', '.join(both)} cannot train and validate at once")

    @cached_property
    def weights(self) -> dict[str, int]:
        """What each trainer's update counts: its rows without the common factor of all, or 1."""
        if self.weighting == "equal":
            return dict.fromkeys(self.trainers, 1)
        common = math.gcd(*self.trainers.values())
        return {name: rows // common for name, rows in self.trainers.items()}

    @cached_property
    def packing(self) -> UpdatePacking:
        """The layout of updates.

        Raises:
            ScaleBudgetError: the key is too short for it.
        """
        capacity = schemes.capacity(self.scheme, self.key_bits)
        return UpdatePacking(self.parameters, self.clip_norm, self.fractional_bits, sum(self.weights.values()), capacity)

    @cached_property
    def metric_bound(self) -> float:
        """A validator's metric times its rows is smaller in size, so that the sum over all of them fits a plaintext."""
        spare = schemes.capacity(self.scheme, self.key_bits) - METRIC_BITS - bits_for(len(self.validators)) - 1
        return math.ldexp(1.0, min(spare, 1000))

    def measured(self, round_number: int) -> bool:
        """Whether the model after so many rounds is measured."""
        return round_number % self.evaluate_every == 0 or round_number == self.rounds


@dataclass(frozen=True)
class UpdateSeat(Seat):
    """A seat at one training with a visible model.

    Attributes:
        request: identifies the training request.
        name: who sits here.
        terms: what was agreed.
        key: the buyer's public key, with randomness of this participant's own.
        buyer: the Model Buyer's name.
        aggregator: the Federated Aggregator's.
        randomness: what everything drawn at this seat is drawn from; the key's as well.
    """

    request: str
    name: str
    terms: UpdateTerms
    key: PublicKey
    buyer: str
    aggregator: str
    randomness: Randomness = SYSTEM

    @classmethod
    def take(
        cls,
        request: str,
        name: str,
        terms: UpdateTerms,
        modulus: int,
        proof: Sequence[int],
        *,
        buyer: str,
        aggregator: str,
        randomness: Randomness = SYSTEM,
    ) -> UpdateSeat:
        """Take a seat, after checking the stranger's key and that the numbers of the run fit it.

        Raises:
            PublicKeyError: the modulus is not of the stated length, or not proven fit.
            ScaleBudgetError: the key is too short for an update's sums.
        """
        key = schemes.public_key(terms.scheme, modulus, randomness)
        key.check_modulus(terms.key_bits, proof)
        _ = terms.packing.slots
        return cls(request, name, terms, key, buyer, aggregator, randomness)


def _check_count(name: str, count: object) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise TermsError(f"{name} must be a whole number of at least 1, not {count!r}")
