"""How an owner's columns become a request's, stated once for all owners and all kinds of sources.

Applied to every row in this order: renames, texts that stand for nothing, categories and days, units, missing values. What is not
stated here is refused, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from deltaml_core.errors import TermsError

MISSING = ("refuse", "drop")
MAXIMUM_ENTRIES = 10_000
"""A request anybody may post must not keep its readers busy with its preprocessing: names, levels and texts in all."""


@dataclass(frozen=True)
class Day:
    """A column of days, counted from one of them; hours are cut off.

    Attributes:
        since: day 0, as 2000-12-31.
        format: how days are written where they are text, as in `datetime.strptime`; None for 2000-12-31.
    """

    since: str
    format: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no day.

        Raises:
            TermsError: says so.
        """
        try:
            date.fromisoformat(self.since)
        except (TypeError, ValueError) as error:
            raise TermsError(f"days are counted from a day written as 2000-12-31, not {self.since!r}") from error
        if self.format is not None and not (_is_text(self.format) and "%" in self.format):
            raise TermsError(f"days are written as %d/%m/%Y or the like, not {self.format!r}")


@dataclass(frozen=True)
class Preprocessing:
    """What is done to rows before they are summed; nothing by default.

    Names are the request's, but for the first of each rename. Mappings are kept as sorted pairs; `of` takes mappings.

    Attributes:
        missing: what is done with a row that lacks a value (empty, NULL, NaN, infinite): "refuse" the data set, or "drop" the row.
        fill: (column, number) that stands for its missing values instead, in the request's unit.
        missing_texts: texts and numbers that stand for a missing value, for example "NA" and "-9".
        categories: (column, its levels); the request may ask for the columns `column=level`, which are 1 or 0.
        days: (column, how it is counted).
        renames: (an owner's name, the request's); owners may use any of several.
        units: (column, factor) that turns the owners' unit into the request's.
    """

    missing: str = "refuse"
    fill: tuple[tuple[str, float], ...] = ()
    missing_texts: tuple[str, ...] = ()
    categories: tuple[tuple[str, tuple[str, ...]], ...] = ()
    days: tuple[tuple[str, Day], ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    units: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            TermsError: naming the entry.
        """
        if self.missing not in MISSING:
            raise TermsError(f"missing={self.missing!r} is not known; choose one of {', '.join(MISSING)}")
        _check_names("missing_texts", self.missing_texts)
        for field in ("fill", "categories", "days", "renames", "units"):
            _check_names(field, [name for name, _ in getattr(self, field)])
        for name, levels in self.categories:
            _check_names(f"the levels of {name!r}", levels)
            if not levels:
                raise TermsError(f"the category {name!r} needs its levels")
        for name, wanted in self.renames:
            if not _is_text(wanted):
                raise TermsError(f"{name!r} is renamed to {wanted!r}: a name is text that is not empty")
        for field, numbers in (("fill", self.fill), ("units", self.units)):
            for name, number in numbers:
                if not _is_number(number) or (field == "units" and number == 0):
                    raise TermsError(f"{field} of {name!r} must be a {'finite number' if field == 'fill' else 'factor'}, not {number!r}")
        categories = {name for name, _ in self.categories}
        for field in ("fill", "days", "units"):
            if both := sorted(categories & {name for name, _ in getattr(self, field)}):
                raise TermsError(f"{both[0]!r} is a category: it can have no {field}")
        entries = sum(len(levels) for _, levels in self.categories) + len(self.missing_texts)
        entries += sum(len(getattr(self, field)) for field in ("fill", "categories", "days", "renames", "units"))
        if entries > MAXIMUM_ENTRIES:
            raise TermsError(f"{entries} entries of preprocessing are more than {MAXIMUM_ENTRIES}")

    def __bool__(self) -> bool:
        """Whether it does anything."""
        return self != AS_THEY_ARE

    @classmethod
    def of(
        cls,
        *,
        missing: str = "refuse",
        fill: Mapping[str, float] | None = None,
        missing_texts: Sequence[str] = (),
        categories: Mapping[str, Sequence[str]] | None = None,
        days: Mapping[str, Day] | None = None,
        renames: Mapping[str, str] | None = None,
        units: Mapping[str, float] | None = None,
    ) -> Preprocessing:
        """The same from mappings.

        Raises:
            TermsError: it cannot be meant; names the entry.
        """
        return cls(
            missing,
            _pairs(fill),
            _texts("missing_texts", missing_texts),
            tuple((name, _texts(f"the levels of {name!r}", levels)) for name, levels in _pairs(categories)),
            _pairs(days),
            _pairs(renames),
            _pairs(units),
        )

    @property
    def level_of(self) -> dict[str, tuple[str, str]]:
        """The category and the level that a column `category=level` stands for, by its name."""
        return {f"{name}={level}": (name, level) for name, levels in self.categories for level in levels}

    def check(self, columns: Collection[str]) -> None:
        """Refuse what speaks of columns that nobody asks for: it would do nothing, and somebody means something by it.

        Raises:
            TermsError: naming the entry.
        """
        used = set(columns) | {self.level_of[column][0] for column in columns if column in self.level_of}
        for field in ("fill", "categories", "days", "units"):
            for name, _ in getattr(self, field):
                if name not in used or (field == "categories") == (name in columns):
                    raise TermsError(f"{field} of the preprocessing speaks of {name!r}, which is not asked for")
        for name, wanted in self.renames:
            if wanted not in used:
                raise TermsError(f"the preprocessing renames {name!r} to {wanted!r}, which is not asked for")

    def only(self, columns: Collection[str]) -> Preprocessing:
        """What of it speaks of these columns."""
        used = set(columns) | {self.level_of[column][0] for column in columns if column in self.level_of}
        return replace(
            self,
            fill=tuple(pair for pair in self.fill if pair[0] in used),
            categories=tuple(pair for pair in self.categories if pair[0] in used),
            days=tuple(pair for pair in self.days if pair[0] in used),
            renames=tuple(pair for pair in self.renames if pair[1] in used),
            units=tuple(pair for pair in self.units if pair[0] in used),
        )

    def content(self) -> dict[str, Any]:
        """As JSON holds it: what is said, and nothing that is not."""
        said: dict[str, Any] = {
            "missing": "" if self.missing == "refuse" else self.missing,
            "fill": dict(self.fill),
            "missing_texts": list(self.missing_texts),
            "categories": {name: list(levels) for name, levels in self.categories},
            "days": {name: {"since": day.since} | ({"format": day.format} if day.format else {}) for name, day in self.days},
            "renames": dict(self.renames),
            "units": dict(self.units),
        }
        return {field: value for field, value in said.items() if value}

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> Preprocessing:
        """Read what `content` wrote, or somebody by hand.

        Raises:
            TermsError: it is none, or cannot be meant; says why.
        """
        try:
            stated = dict(content)
            stated["days"] = {name: Day(**day) for name, day in stated.get("days", {}).items()}
            return cls.of(**stated)
        except (AttributeError, TypeError, ValueError) as error:
            if isinstance(error, TermsError):
                raise
            raise TermsError(f"this is no preprocessing: {error}") from error


def _pairs(mapping: Mapping[str, Any] | None) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((mapping or {}).items(), key=lambda pair: pair[0]))


def _texts(field: str, texts: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(texts, list | tuple):  # one text is a sequence, too
        raise TermsError(f"{field} must be a list of texts, not {texts!r}")
    return tuple(texts)


def _check_names(field: str, names: tuple[str, ...] | list[str]) -> None:
    if not all(_is_text(name) for name in names) or len(set(names)) != len(names):
        raise TermsError(f"{field} must be texts, none of them empty or there twice, not {list(names)!r}")


def _is_text(value: object) -> bool:
    """Text that a data set can hold: not empty, no NUL, no half of a surrogate pair."""
    return isinstance(value, str) and bool(value) and "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)


AS_THEY_ARE = Preprocessing()
"""Columns are taken as they are, and none of their values may be missing."""
