"""How often a data set may be measured: every opened error tells a little about the rows behind it (protocol.md §5.7).

An error at weights the buyer knows (the initial and the final model's) is an equation in the validator's statistics; as many of
those as there are weights would begin to determine them. Errors at weights nobody knows tell less, and are limited in total.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from deltaml_core.errors import ReleasesSpentError

TOTAL_RELEASES = 10_000
"""Numbers opened in all from one data set."""

KNOWN_OF_A_TRAINING = 2
"""Numbers that a training opens of a validator's data set at weights the buyer knows: of the initial and of the final model."""


@dataclass
class Releases:
    """Counts over a data set's lifetime what was opened of it; its owner keeps it between requests.

    Attributes:
        known: opened at weights the buyer knows.
        total: opened in all.
        limit: how many in all.
    """

    known: int = 0
    total: int = 0
    limit: int = TOTAL_RELEASES

    def spend(self, numbers: int, *, known: bool, weights: int) -> None:
        """Count numbers that are about to be opened.

        Args:
            numbers: how many.
            known: whether the buyer knows, or will know, the weights they are opened at.
            weights: d; no more are opened at known weights.

        Raises:
            ReleasesSpentError: the limit would be passed; nothing is counted.
        """
        if fault := self.fault(numbers, known=known, weights=weights):
            raise ReleasesSpentError(fault)
        self.known += numbers if known else 0
        self.total += numbers

    def fault(self, numbers: int, *, known: bool, weights: int) -> str | None:
        """Why these numbers may not be opened any more; arguments as in `spend`, which counts them."""
        if known and self.known + numbers > weights:
            return (
                f"this data set has been measured {self.known} times at models its buyers know; more than {weights} times would tell "
                f"its {weights} statistics: offer other rows"
            )
        if self.total + numbers > self.limit:
            return f"{self.total} errors of this data set were opened, and {self.limit} is its limit: offer other rows"
        return None


@dataclass
class ReleasesOfSeat(Releases):
    """What one training opened of a data set that several may use at the same time.

    Attributes:
        data_set: the count of all of them.
    """

    data_set: Releases = field(default_factory=Releases)

    def spend(self, numbers: int, *, known: bool, weights: int) -> None:
        """Count with this training's what the data set can still bear."""
        self.data_set.spend(numbers, known=known, weights=weights)
        self.known += numbers if known else 0
        self.total += numbers
