"""Data dictionaries: which columns a kind of data has, what they mean, in which unit and range a request may ask for them.

A dictionary is JSON: `{"name": ..., "columns": [{"name", "meaning", "unit", "low", "high", "target"}], "preprocessing": {...}}`; it
holds no data. A category has "levels" in place of a range, and stands for a column `name=level` of 0 and 1 for each of them.
Its preprocessing is that of a request (`statistics.Preprocessing`); requests made from it carry what speaks of their columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltaml_core.errors import TermsError
from deltaml_core.statistics import Column, Preprocessing
from deltaml_core.statistics.preprocessing import AS_THEY_ARE


@dataclass(frozen=True)
class Entry:
    """A column as the dictionary describes it.

    Attributes:
        column: its name and the range of its values, in its unit.
        meaning: for people.
        unit: of its values; empty where they have none.
        target: whether it is what models predict by default.
    """

    column: Column
    meaning: str
    unit: str = ""
    target: bool = False


@dataclass(frozen=True)
class DataDictionary:
    """The columns of one kind of data.

    Attributes:
        name: for people.
        entries: the columns.
        preprocessing: how owners' columns become these.
    """

    name: str
    entries: tuple[Entry, ...]
    preprocessing: Preprocessing = AS_THEY_ARE

    @property
    def target(self) -> Entry:
        """What is predicted by default: the column marked so, else the last one."""
        return next((entry for entry in self.entries if entry.target), self.entries[-1])

    @classmethod
    def read(cls, path: Path) -> DataDictionary:
        """Read a dictionary.

        Raises:
            TermsError: the file cannot be read, or is no dictionary; says why.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            entries = tuple(entry for one in content["columns"] for entry in _entries(one))
            levels = {str(one["name"]): one["levels"] for one in content["columns"] if "levels" in one}
            stated = dict(content.get("preprocessing", {}))
            preprocessing = Preprocessing.of_content(stated | {"categories": levels})
            preprocessing.check([entry.column.name for entry in entries])
            if len(entries) < 2:
                raise TermsError(f"the dictionary {path} needs a feature and a target at least")
            return cls(str(content.get("name", path.stem)), entries, preprocessing)
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, TermsError):
                raise
            raise TermsError(f"the dictionary {path} cannot be read: {error!r}") from error


def _entries(one: Mapping[str, Any]) -> list[Entry]:
    """A column, or a column for each level of a category."""
    name, is_target = str(one["name"]), bool(one.get("target", False))
    about = str(one.get("meaning", "")), str(one.get("unit", ""))
    if "levels" in one:
        return [Entry(Column(f"{name}={level}", 0.0, 1.0), *about, is_target) for level in one["levels"]]
    return [Entry(Column(name, float(one["low"]), float(one["high"])), *about, is_target)]
