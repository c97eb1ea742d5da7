"""A whole semi-honest training: rounds, measurements, contributions, the final model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deltaml_core import schemes
from deltaml_core.contributions import gains_with_errors
from deltaml_core.errors import TermsError
from deltaml_core.schemes import ckks, integers, mpc
from deltaml_core.schemes.vectors import Keyring
from deltaml_core.semihonest.cubic import CubicWork
from deltaml_core.semihonest.linear import LinearWork
from deltaml_core.semihonest.work import Work
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.terms import TrainingTerms

SCHEMES = ("ckks", "mpc")
"""Schemes that nothing else than this engine can use."""

_PLAIN_BITS = 2048


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        weights: (d,), intercept last.
        history: (round, mse).
        gains: each trainer's, as `contributions.gains`.
        gain_errors: their standard errors.
    """

    weights: Array
    history: list[tuple[int, float]]
    gains: dict[str, int]
    gain_errors: dict[str, float]


def open_keyring(scheme: str, dimension: int, depth: int, parties: Sequence[str] = ()) -> Keyring:
    """A new key, or parties that are started or reached.

    Args:
        scheme: "ckks", "mpc", or "plain" (no encryption, for comparison).
        dimension: the most numbers in a vector.
        depth: products in a row, 2 or 4.
        parties: with "mpc", the control addresses of computing parties that run elsewhere; none: three are started here.

    Raises:
        MissingExtraError: the scheme's package is not installed.
        TermsError: no such scheme, or parties for one that has none.
        ScaleBudgetError: a dimension or depth that it does not bear.
        ComputingPartyError: the parties do not answer.
    """
    if parties and scheme != "mpc":
        raise TermsError(f'parties compute for scheme="mpc" only, not for {scheme!r}')
    if scheme == "ckks":
        return ckks.generate(dimension, depth)
    if scheme == "mpc":
        return mpc.connect(parties, depth) if parties else mpc.local_parties(depth)
    if scheme == "plain":
        return integers.of_key(schemes.generate("plain", _PLAIN_BITS), depth)
    raise TermsError(f"scheme={scheme!r} does not serve here; choose one of {', '.join((*SCHEMES, 'plain'))}")


def run(
    terms: TrainingTerms,
    trainers: Mapping[str, Statistics] | Mapping[str, Dataset],
    validators: Sequence[Statistics] | Sequence[Dataset],
    *,
    scheme: str,
    parties: Sequence[str] = (),
    on_round: Callable[[int, float], None] | None = None,
) -> Outcome:
    """Train; statistics are trained with affine steps, data sets with the cubic sigmoid.

    Args:
        terms: what was agreed; its own `scheme` and `key_bits` do not count.
        trainers: by name.
        validators: at least one.
        scheme: see `open_keyring`.
        parties: likewise.
        on_round: called with (round, mse) after every measurement.

    Raises:
        DivergentStepError, ScaleBudgetError, TermsError: as the owners find.
        ComputingPartyError: a party is gone.
    """
    statistics = {name: owner for name, owner in trainers.items() if isinstance(owner, Statistics)}
    data = {name: owner for name, owner in trainers.items() if isinstance(owner, Dataset)}
    work: Work
    kind = LinearWork if statistics else CubicWork
    rows = [] if statistics else [owner.rows for owner in (*data.values(), *validators)]
    with contextlib.closing(open_keyring(scheme, max(terms.weights, *rows, 2), kind.depth, parties)) as ring:
        if statistics:
            work = LinearWork(ring, terms, statistics, [owner for owner in validators if isinstance(owner, Statistics)])
        else:
            work = CubicWork(ring, terms, data, [owner for owner in validators if isinstance(owner, Dataset)])
        return follow(work, on_round)


def follow(work: Work, on_round: Callable[[int, float], None] | None = None) -> Outcome:
    """Train, measure and compare, as a kind of work does it."""
    terms, weights = work.terms, work.hidden_zero()
    history: list[tuple[int, float]] = []
    for number in range(terms.rounds + 1):
        if number:
            weights = work.advance(work.refreshed(weights, work.round_depth))
        if number % terms.evaluate_every == 0 or number == terms.rounds:
            weights = work.refreshed(weights, work.error_depth)
            history.append((number, work.error(weights)))
            if on_round:
                on_round(*history[-1])
    gained, errors = gains_with_errors(terms.contributions, work.trainers, work.coalition_errors(terms.contributions))
    return Outcome(
        work.final_weights(weights), history, dict(zip(work.trainers, gained, strict=True)), dict(zip(work.trainers, errors, strict=True))
    )
