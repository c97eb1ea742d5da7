"""From a request's columns to SQL: every kind of source runs the same expressions, on DuckDB.

No name of a column and no text of a request is part of a query as it came: columns are `c0, c1, ...` by position, texts are literals
with their quotes doubled, numbers are written by Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deltaml_core.errors import RequirementsError
from deltaml_core.statistics.preprocessing import Day, Preprocessing

_FLOATS = ("FLOAT", "DOUBLE")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "BOOLEAN")
_DAYS = ("DATE", "TIMESTAMP", "DATETIME")
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True)
class Part:
    """Something that DuckDB can read, and what it holds.

    Attributes:
        relation: stands behind FROM; its columns are named `c0, c1, ...`.
        names: of the columns, as its owner has them.
        types: of the columns, as DuckDB has them.
        decimal: the mark before decimals in text.
    """

    relation: str
    names: tuple[str, ...]
    types: tuple[str, ...]
    decimal: str = "."


@dataclass(frozen=True)
class Cell:
    """SQL of one column of a request.

    Attributes:
        name: as the request has it.
        own: as the owner has it.
        wants: what its values have to be, for people.
        text: the value as text, to show one that is wrong.
        lacking: whether there is no value.
        wrong: whether there is one, and it cannot be understood.
        value: the number; NULL where it is lacking or wrong, infinite or NaN perhaps where it is lacking.
    """

    name: str
    own: str
    wants: str
    text: str
    lacking: str
    wrong: str
    value: str


def literal(text: str) -> str:
    """Text as SQL has it. (`Preprocessing` refuses NUL and what is no Unicode.)"""
    return "'" + text.replace("'", "''") + "'"


def number(value: float) -> str:
    """A number as SQL has it, all its digits."""
    return f"{float(value)!r}::DOUBLE"


def position(part: Part, name: str, preprocessing: Preprocessing) -> int:
    """Where a part has the column of this name.

    Raises:
        RequirementsError: nowhere, or in several places.
    """
    accepted = {name, *(own for own, wanted in preprocessing.renames if wanted == name)}
    found = [place for place, own in enumerate(part.names) if own in accepted]
    if not found:
        also = "".join(f", nor {other!r}" for other in sorted(accepted - {name}))
        raise RequirementsError(f"there is no column {name!r}{also}")
    if len(found) > 1:
        names = ", ".join(repr(part.names[place]) for place in found)
        raise RequirementsError(f"{len(found)} columns stand for {name!r}: {names}; keep one of them")
    return found[0]


def cell(part: Part, name: str, preprocessing: Preprocessing) -> Cell:
    """SQL of a column that a request asks for.

    Raises:
        RequirementsError: the part does not have it, or holds something in its place that can be no number.
    """
    category, level = preprocessing.level_of.get(name, (name, None))
    place = position(part, category, preprocessing)
    column, kind = f"c{place}", part.types[place].split("(")[0]
    text = _text(column, kind)
    texts = ", ".join(literal(one) for one in ("", *preprocessing.missing_texts))
    unreal = f" OR NOT isfinite({column})" if kind in _FLOATS else ""
    nothing = f"({column} IS NULL OR {text} IN ({texts}){unreal})"
    fill = dict(preprocessing.fill).get(name)
    if level is not None:
        levels = dict(preprocessing.categories)[category]
        among = ", ".join(literal(one) for one in levels)
        raw = f"CASE WHEN {text} = {literal(level)} THEN 1.0 WHEN {text} IN ({among}) THEN 0.0 END"
        wants, lacking = f"one of {', '.join(levels)}", nothing
    elif (day := dict(preprocessing.days).get(name)) is not None:
        raw, lacking = _days(column, text, kind, name, day), nothing
        wants = f"days written as {day.format or '2000-12-31'}"
    else:
        raw = _number(column, text, kind, name, part.decimal)
        wants, lacking = "numbers", nothing if unreal else f"({nothing} OR NOT isfinite({raw}))"
        if stand_ins := _numbers(preprocessing.missing_texts):
            lacking = f"({lacking} OR {raw} IN ({', '.join(number(one) for one in stand_ins)}))"
    lacking = f"coalesce({lacking}, FALSE)"
    wrong = f"({raw} IS NULL AND NOT {lacking})"
    value = raw if (factor := dict(preprocessing.units).get(name)) is None else f"({raw}) * {number(factor)}"
    if fill is not None:
        value = f"CASE WHEN {lacking} THEN {number(fill)} ELSE {value} END"
    elif preprocessing.missing == "drop" or preprocessing.missing_texts or level is not None:
        value = f"CASE WHEN NOT {lacking} THEN {value} END"
    return Cell(name, part.names[place], wants, text, lacking if fill is None else "FALSE", wrong, value)


def _text(column: str, kind: str) -> str:
    """A value as its owner would write it: whole numbers without a decimal point."""
    if kind in _FLOATS:
        whole = f"{column} = trunc({column}) AND abs({column}) < 9007199254740992"
        return f"CASE WHEN {whole} THEN TRY_CAST({column} AS BIGINT)::VARCHAR ELSE {column}::VARCHAR END"
    return f"trim({column}::VARCHAR)"


def _number(column: str, text: str, kind: str, name: str, decimal: str) -> str:
    if kind in (*_FLOATS, *_INTEGERS, "DECIMAL"):
        return f"{column}::DOUBLE"
    if kind not in ("VARCHAR", "ENUM", '"NULL"'):
        hint = ": the request's preprocessing must say from which day they count" if kind.startswith(_DAYS) else ""
        raise RequirementsError(f"the column {name!r} holds {kind}, no numbers{hint}")
    if decimal == ".":
        # DuckDB 2.0.1 lets its CSV reader cast where a column is used in a cast alone, and then fails where TRY_CAST says NULL.
        return f"TRY_CAST(coalesce({column}::VARCHAR, '') AS DOUBLE)"
    return f"CASE WHEN NOT contains({text}, '.') THEN TRY_CAST(replace({text}, {literal(decimal)}, '.') AS DOUBLE) END"


def _days(column: str, text: str, kind: str, name: str, day: Day) -> str:
    if kind.startswith(_DAYS):
        moment = column
    elif kind not in ("VARCHAR", "ENUM", '"NULL"'):
        raise RequirementsError(f"the column {name!r} holds {kind}, no days")
    elif day.format is not None:
        moment = f"try_strptime({text}, {literal(day.format)})"
    else:
        moment = f"CASE WHEN regexp_full_match({text}, '\\d{{4}}-\\d\\d-\\d\\d([ T].*)?') THEN TRY_CAST({text} AS TIMESTAMP) END"
    return f"floor(epoch({moment}) / {_SECONDS_A_DAY}.0) - floor(epoch(DATE {literal(day.since)}) / {_SECONDS_A_DAY}.0)"


def _numbers(texts: Sequence[str]) -> list[float]:
    found = []
    for text in texts:
        try:
            found.append(float(text))
        except ValueError:
            continue
    return [value for value in found if abs(value) < float("inf")]


# --- the queries --------------------------------------------------------------------------------------------------


def _rows(part: Part, cells: Sequence[Cell], *, drop: bool) -> str:
    """A relation of `kept` and the values `v0, v1, ...`, which are NULL in a row that is not kept."""
    kept = " AND ".join(f"NOT {one.lacking}" for one in cells) if drop else "TRUE"
    values = ", ".join(f"{one.value} AS v{j}" for j, one in enumerate(cells))
    if not drop:
        return f"(SELECT TRUE AS kept, {values} FROM {part.relation})"
    masked = ", ".join(f"CASE WHEN kept THEN v{j} END AS v{j}" for j in range(len(cells)))
    return f"(SELECT kept, {masked} FROM (SELECT {kept} AS kept, {values} FROM {part.relation}))"


def head(part: Part, cells: Sequence[Cell], rows: int, *, drop: bool) -> str:
    """A value in the middle of the first rows', of each column; NULL where none of them has a value."""
    middles = ", ".join(f"quantile_disc(v{j}, 0.5) FILTER (isfinite(v{j}))" for j in range(len(cells)))
    return f"SELECT {middles} FROM (SELECT * FROM {_rows(part, cells, drop=drop)} LIMIT {rows})"


def sums(part: Part, cells: Sequence[Cell], ranges: Sequence[tuple[float, float]], shift: Sequence[float], *, drop: bool) -> str:
    """Rows read and kept; count of every column, and whether all lie in its range; sums about the shift, and of their products, i <= j."""
    columns = range(len(cells))
    shifted = ", ".join(f"v{j} - {number(shift[j])} AS u{j}" for j in columns)
    kept = "count(*) FILTER (kept)" if drop else "count(*)"
    wanted = ["count(*)", kept]
    wanted += [f"count(v{j})" for j in columns]
    wanted += [f"bool_and(v{j} BETWEEN {_bound(low)} AND {_bound(high)})" for j, (low, high) in enumerate(ranges)]
    wanted += [f"sum(u{j})" for j in columns]
    wanted += [f"sum(u{i} * u{j})" for i in columns for j in columns if i <= j]
    return f"SELECT {', '.join(wanted)} FROM (SELECT *, {shifted} FROM {_rows(part, cells, drop=drop)})"


def census(part: Part, cells: Sequence[Cell], ranges: Sequence[tuple[float, float]], *, drop: bool) -> str:
    """Rows read; of every column: how many values are lacking, wrong, out of range; smallest, largest; one that is wrong."""
    wanted, inner = ["count(*)"], []
    for j, (one, (low, high)) in enumerate(zip(cells, ranges, strict=True)):
        inner += [f"{one.lacking} AS l{j}", f"{one.wrong} AS w{j}", f"{one.text} AS t{j}", f"{one.value} AS v{j}"]
        wrong = f"w{j} AND kept" if drop else f"w{j}"
        usable = f"NOT l{j} AND isfinite(v{j})" + (" AND kept" if drop else "")
        outside = f"(v{j} < {_bound(low)} OR v{j} > {_bound(high)})"
        wanted += [f"count(*) FILTER (l{j})", f"count(*) FILTER ({wrong})", f"count(*) FILTER ({usable} AND {outside})"]
        wanted += [f"min(v{j}) FILTER ({usable})", f"max(v{j}) FILTER ({usable})", f"min(t{j}) FILTER ({wrong})"]
    kept = " AND ".join(f"NOT l{j}" for j in range(len(cells)))
    rows = f"(SELECT *, {kept} AS kept FROM (SELECT {', '.join(inner)} FROM {part.relation}))"
    return f"SELECT {', '.join(wanted)} FROM {rows}"


def rows(part: Part, cells: Sequence[Cell], *, drop: bool) -> str:
    """Of every row, whether it is kept, and its values."""
    columns = ", ".join(f"v{j}::DOUBLE AS v{j}" for j in range(len(cells)))
    return f"SELECT kept, {columns} FROM {_rows(part, cells, drop=drop)}"


def values(part: Part, cells: Sequence[Cell], *, drop: bool) -> str:
    """The values of the rows kept."""
    columns = ", ".join(f"v{j}::DOUBLE AS v{j}" for j in range(len(cells)))
    return f"SELECT {columns} FROM {_rows(part, cells, drop=drop)} WHERE kept"


def spans(part: Part) -> str:
    """Rows; of every column: how many values are numbers, how many are something else, the smallest and the largest."""
    wanted, inner = ["count(*)"], []
    for j, (column, kind) in enumerate(_columns(part)):
        text = _text(column, kind)
        try:
            raw = _number(column, text, kind, column, part.decimal)
        except RequirementsError:
            raw = "NULL::DOUBLE"
        inner += [f"{raw} AS v{j}", f"({column} IS NOT NULL AND {text} <> '') AS p{j}"]
        usable = f"isfinite(v{j})"
        wanted += [f"count(*) FILTER ({usable})", f"count(*) FILTER (p{j} AND v{j} IS NULL)"]
        wanted += [f"min(v{j}) FILTER ({usable})", f"max(v{j}) FILTER ({usable})"]
    return f"SELECT {', '.join(wanted)} FROM (SELECT {', '.join(inner)} FROM {part.relation})"


def _columns(part: Part) -> list[tuple[str, str]]:
    return [(f"c{place}", kind.split("(")[0]) for place, kind in enumerate(part.types)]


def _bound(value: float) -> str:
    return f"'{value}'::DOUBLE" if abs(value) == float("inf") else number(value)
