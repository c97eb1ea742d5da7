"""An owner's data sets as files: which of them serve a request, and the sums of the one that was accepted with.

Files are CSV or Parquet of any size, scanned out of core; their rows stay in them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

from deltaml_core.errors import DataError
from deltaml_core.statistics import Requirements, Selection
from deltaml_core.statistics.sources.files import FileTable
from deltaml_core.store.book import Book, Card

MOST_SCANS = 64
"""Results of scans (sums, no rows) that are kept, so that a request is matched, accepted and served with one."""

log = logging.getLogger(__name__)


class Shelf:
    """Reads files when they are asked for; keeps cards of them, no rows."""

    def __init__(self, files: Sequence[Path], book: Book) -> None:
        """Look at every file once and note its card; the files of earlier days are taken up again, as far as they are what they were.

        Raises:
            DataError: one cannot be read as a table with numbers.
        """
        self._book = book
        self._files: dict[str, Path] = {}
        self._scanned: dict[tuple[str, Requirements], Selection] = {}
        for path in files:
            self.add(path)
        known = [(card.digest, Path(card.path)) for card in book.cards()]
        faults = {digest: fault for digest, path in known if (fault := _fault(path, digest))}
        for digest, path in sorted(known, key=lambda one: one[0] in faults):  # what a changed file holds now goes before what it held
            if digest not in self._files and path not in self._files.values():
                self._files[digest] = path
                if digest in faults:
                    log.warning("%s", faults[digest])

    def add(self, path: Path) -> Card:
        """Take a data set up.

        Raises:
            DataError: it cannot be read as a table with numbers.
        """
        path = path.resolve()
        card = card_of(path)
        self._files = {digest: known for digest, known in self._files.items() if known != path} | {card.digest: path}
        self._book.note_card(card)
        return card

    def reasons(self, requirements: Requirements) -> dict[str, str | None]:
        """By digest of each data set, why it does not serve a request; None where it does."""
        found: dict[str, str | None] = {}
        for digest in self._files:
            try:
                self._read(digest, requirements)
                found[digest] = None
            except DataError as error:
                found[digest] = str(error)
        return found

    def name(self, digest: str) -> str:
        """A data set's name for people: its file's."""
        return self._files[digest].name

    def rows(self, digest: str) -> int:
        """How many rows a data set has."""
        return next(card.rows for card in self._book.cards() if card.digest == digest)

    def dataset(self, digest: str, requirements: Requirements) -> Selection:
        """The data a request was accepted with, scanned.

        Raises:
            DataError: they are not here any more, or were changed since.
        """
        if digest not in self._files:
            raise DataError("the data set it was accepted with is not among the files of this node, or was changed since: bring it back")
        return self._read(digest, requirements)

    def _read(self, digest: str, requirements: Requirements) -> Selection:
        path = self._files[digest]
        if fault := _fault(path, digest):
            raise DataError(fault)
        if (digest, requirements) not in self._scanned:
            while len(self._scanned) >= MOST_SCANS:
                del self._scanned[next(iter(self._scanned))]
            self._scanned[digest, requirements] = FileTable([path]).select(requirements)
        return self._scanned[digest, requirements]


def card_of(path: Path) -> Card:
    """A data set's columns of numbers, about their ranges, and its size. Ranges are widened to two digits: no value of a row is in them.

    Raises:
        DataError: it cannot be read as a table, or none of its columns holds numbers.
    """
    digest = _digest(path)
    rows, spans = FileTable([path]).spans()
    if not spans:
        raise DataError(f"{path} has no column of numbers")
    columns = ((name, _widened(low, ROUND_FLOOR), _widened(high, ROUND_CEILING)) for name, low, high in spans)
    return Card(digest, str(path), rows, tuple(columns))


def _widened(value: float, direction: str) -> float:
    exact = Decimal(value)
    return float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), rounding=direction)) if exact else 0.0


def _fault(path: Path, digest: str) -> str | None:
    """Why a file is not the data set it was; None where it is."""
    try:
        return None if _digest(path) == digest else f"{path} was changed since: bring it back, or add it anew"
    except DataError as error:
        return str(error)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
