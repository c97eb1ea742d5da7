"""From gains to payouts, in exact integers: the money rules of the marketplace contract.

`contracts/src/libraries/Payouts.sol` computes the same, and `tests/vectors/payouts.json` holds both to the same numbers. Every
division rounds down, so payouts never exceed the escrow; what is left, dust included, is the buyer's refund.

    rest      = escrow - minimum * owners
    I         = max(0, (initial - final) / initial)           18 decimals; 0 when initial is 0
    aggregator  rest * aggregator_bps / 10000
    validator   minimum + rest * validators_bps / 10000 / validators
    trainer i   minimum + (rest * trainers_bps / 10000) * I * max(0, gain_i) / sum_j max(0, gain_j)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltaml_core.errors import TermsError

ONE = 10**18
"""One, in the 18 decimals of errors, gains and improvements."""

BASIS_POINTS = 10_000
"""One hundred percent in basis points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payouts:
    """Who is credited what when a request settles, in wei; together exactly the escrow."""

    trainers_wei: tuple[int, ...]
    validators_wei: tuple[int, ...]
    aggregator_wei: int
    refund_wei: int


VALIDATORS_OF_TEN = 3
"""The contract deals so many of ten owners the validator's role, one at least (T§7.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Who would get what in wei, each group together, if the error fell by a share of `improvement` (0 to 1)."""

    improvement: float
    trainers_wei: int
    validators_wei: int
    aggregator_wei: int
    refund_wei: int


def outcomes(
    escrow_wei: int,
    owners: int,
    improvements: Sequence[float],
    *,
    minimum_wei: int = 0,
    shares_bps: tuple[int, int, int] = (7000, 2000, 1000),
) -> list[Outcome]:
    """What a request would cost its buyer, for several improvements; how trainers share does not matter for that.

    Args:
        escrow_wei: what the buyer would lock.
        owners: how many take part, 2 at least.
        improvements: shares of one by which the error might fall.
        minimum_wei: minimum reward of every owner.
        shares_bps: as in `split_escrow`.

    Raises:
        TermsError: as in `split_escrow`.
    """
    validators = max(1, VALIDATORS_OF_TEN * owners // 10)
    found = []
    for share in improvements:
        paid = split_escrow(
            escrow_wei=escrow_wei,
            initial=ONE,
            final=ONE - round(share * ONE),
            gains=[1] * (owners - validators),
            validators=validators,
            minimum_wei=minimum_wei,
            shares_bps=shares_bps,
        )
        found.append(
            Outcome(
                improvement=share,
                trainers_wei=sum(paid.trainers_wei),
                validators_wei=sum(paid.validators_wei),
                aggregator_wei=paid.aggregator_wei,
                refund_wei=paid.refund_wei,
            )
        )
    return found


def improvement(initial: int, final: int) -> int:
    """`max(0, (initial - final) / initial)` with 18 decimals, rounded down; 0 when `initial` is 0."""
    if initial == 0 or final >= initial:
        return 0
    return (initial - final) * ONE // initial


def split_escrow(
    *,
    escrow_wei: int,
    initial: int,
    final: int,
    gains: Sequence[int],
    validators: int,
    minimum_wei: int = 0,
    shares_bps: tuple[int, int, int] = (7000, 2000, 1000),
) -> Payouts:
    """Split an escrow as the contract does.

    Args:
        escrow_wei: what the buyer locked.
        initial: the error before training, any unit that `final` shares.
        final: the error after training.
        gains: one for each trainer, any common unit; those of zero or less earn nothing beyond the minimum.
        validators: how many owners validated.
        minimum_wei: minimum reward of every owner.
        shares_bps: shares of trainers, validators and aggregator in basis points; they sum to 10000.

    Raises:
        TermsError: a negative amount or error, shares that do not sum to 10000, nobody to validate, or minimum rewards above the escrow.
    """
    if min(escrow_wei, minimum_wei, initial, final, *shares_bps) < 0:
        raise TermsError("amounts, errors and shares must not be negative")
    if sum(shares_bps) != BASIS_POINTS:
        raise TermsError(f"shares must sum to {BASIS_POINTS} basis points, not {sum(shares_bps)}")
    if validators < 1:
        raise TermsError("a result needs at least one validator")
    rest_wei = escrow_wei - minimum_wei * (len(gains) + validators)
    if rest_wei < 0:
        raise TermsError(f"an escrow of {escrow_wei} wei cannot pay {minimum_wei} wei to each of {len(gains) + validators} owners")

    trainers_bps, validators_bps, aggregator_bps = shares_bps
    aggregator_wei = rest_wei * aggregator_bps // BASIS_POINTS
    validator_wei = minimum_wei + rest_wei * validators_bps // BASIS_POINTS // validators
    earned_wei = rest_wei * trainers_bps // BASIS_POINTS * improvement(initial, final) // ONE
    gain_sum = sum(gain for gain in gains if gain > 0)
    trainers_wei = tuple(minimum_wei + (earned_wei * gain // gain_sum if gain > 0 else 0) for gain in gains)
    return Payouts(
        trainers_wei=trainers_wei,
        validators_wei=(validator_wei,) * validators,
        aggregator_wei=aggregator_wei,
        refund_wei=escrow_wei - sum(trainers_wei) - validator_wei * validators - aggregator_wei,
    )
