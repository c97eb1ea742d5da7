"""An owner's data sets as files: which of them serves a request, and the rows of the one that was accepted with."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

import numpy as np

from deltaml_core.errors import DataError, RequirementsError
from deltaml_core.statistics import Dataset, Requirements
from deltaml_core.store.book import Book, Card


class Shelf:
    """Reads files when they are asked for; keeps cards of them, no rows."""

    def __init__(self, files: Sequence[Path], book: Book) -> None:
        """Look at every file once and note its card.

        Raises:
            DataError: one cannot be read as a table of numbers.
        """
        self._files: dict[str, Path] = {}
        for path in files:
            card = card_of(path)
            self._files[card.digest] = path
            book.note_card(card)

    def match(self, requirements: Requirements) -> tuple[str, Dataset]:
        """The first data set that serves a request, with the digest it is known by.

        Raises:
            RequirementsError: none does; says why not, of each.
        """
        faults = []
        for digest, path in self._files.items():
            try:
                return digest, self._read(digest, requirements)
            except DataError as error:
                faults.append(f"{path.name}: {error}")
        raise RequirementsError("; ".join(faults) or "there are no data sets here")

    def dataset(self, digest: str, requirements: Requirements) -> Dataset:
        """The rows a request was accepted with.

        Raises:
            DataError: they are not here any more, or were changed since.
        """
        if digest not in self._files:
            raise DataError("the data set it was accepted with is not among the files of this node, or was changed since: bring it back")
        return self._read(digest, requirements)

    def _read(self, digest: str, requirements: Requirements) -> Dataset:
        path = self._files[digest]
        if _digest(path) != digest:
            raise DataError(f"{path} was changed since this node started: start it again")
        return Dataset.from_csv(path, requirements.target.name).select(requirements)


def card_of(path: Path) -> Card:
    """A data set's columns, about their ranges, and its size. Ranges are widened to two digits: no value of a row is in them.

    Raises:
        DataError: it cannot be read as a table of numbers.
    """
    digest = _digest(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not header:
        raise DataError(f"{path} is empty")
    dataset = Dataset.from_csv(path, header[-1].strip())
    values = np.column_stack([dataset.X, dataset.y])
    names = (*dataset.features, dataset.target)
    lowest = (_widened(low, ROUND_FLOOR) for low in values.min(axis=0).tolist())
    highest = (_widened(high, ROUND_CEILING) for high in values.max(axis=0).tolist())
    return Card(digest, str(path), dataset.rows, tuple(zip(names, lowest, highest, strict=True)))


def _widened(value: float, direction: str) -> float:
    exact = Decimal(value)
    return float(exact.quantize(Decimal((0, (1,), exact.adjusted() - 1)), rounding=direction)) if exact else 0.0


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
