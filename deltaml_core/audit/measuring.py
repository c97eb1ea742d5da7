"""A measurement as the record tells of it, and a trainer that is left out for what one shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from deltaml_core.contributions import Coalition
from deltaml_core.measurement import Measurement
from deltaml_core.messages import OpenResiduals, SentErrors, SquaredErrors, Subject
from deltaml_core.schemes.base import Ciphertexts


@dataclass
class Measuring:
    """One measurement as it must be, and as far as it has come.

    Attributes:
        number, round, subject, weights, scale, models, coalition, factor: as `metrics.base.Evaluation` has them; the weights are
            unknown in the public part.
        asked: the validators that were asked.
        sent: with `metrics="verifiable"`, what they have told each other of their squared errors.
        answers: those.
        sums: what is to be opened.
        rows: with `metrics="noise"`, of the residuals that arrived.
        opening, digits, squared_error: with `metrics="noise"`, what is to be opened, what was, and what follows.
        result: what came of it.
        told: who was told the metric.
        shown: who was shown the proof.
    """

    number: int
    round: int
    subject: Subject
    weights: Ciphertexts
    scale: int
    models: int = 1
    coalition: Coalition = ()
    factor: tuple[int, int] = (1, 1)
    asked: set[str] = field(default_factory=set)
    sent: dict[str, list[SentErrors]] = field(default_factory=dict)
    answers: dict[str, SquaredErrors] = field(default_factory=dict)
    sums: Ciphertexts = ()
    rows: dict[str, int] = field(default_factory=dict)
    opening: OpenResiduals | None = None
    digits: tuple[int, ...] = ()
    squared_error: int | None = None
    result: Measurement | None = None
    openings: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    told: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)


@dataclass
class LeavingOut:
    """A trainer that is left out, and the validators that were told so."""

    number: int
    trainers: tuple[str, ...]
    left: str
    told: set[str] = field(default_factory=set)
