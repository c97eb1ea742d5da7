"""What a role needs of an owner's data, wherever the rows are: in memory, in a file, on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from deltaml_core.statistics.requirements import Array, Requirements

if TYPE_CHECKING:
    from deltaml_core.statistics.dataset import Dataset
    from deltaml_core.statistics.moments import Statistics


class Source(Protocol):
    """Data of an owner, of which a request may want some columns."""

    def mismatches(self, requirements: Requirements) -> list[str]:
        """Why this data does not serve a request, a sentence each; empty when it does."""

    def select(self, requirements: Requirements) -> Selection:
        """The columns a request asks for, in its order, preprocessed as it says.

        Raises:
            RequirementsError: listing every mismatch.
        """


class Selection(Source, Protocol):
    """Rows that serve a request."""

    @property
    def rows(self) -> int:
        """Number of rows, m."""

    def statistics(self) -> Statistics:
        """The sums over the rows, computed once."""

    def folded(self) -> Array:
        """F with F'F = Z'Z for Z = [X 1 y], of at most d + 1 rows, (k, d + 1): what is measured on the rows can be measured on F."""

    def load(self) -> Dataset:
        """The rows themselves, in memory: only where a protocol works row by row."""

    def commitment(self, salt: bytes) -> bytes:
        """SHA-256 of a secret salt and the data: binds the owner to what it accepted with, and shows nothing of it."""
