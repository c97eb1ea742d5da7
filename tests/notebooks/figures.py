"""The numbers that a chapter's prose states, and the numbers that its cells show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nbformat import NotebookNode

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_TEENS = ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate([*_UNITS, *_TEENS])} | {word: 20 + 10 * place for place, word in enumerate(_TENS)}
_POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "billionth": 10**9}
_COUNTED = "bits|coalitions|ether|features|hospitals|owners|patients|percent|rounds|rows|times|trainers|unknowns|weights"
_SMALL = 10
"""A word below this is read as a number where what is counted follows it: "five owners", not "two laws"."""

_NO_NUMBERS = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`"  # code and formulas
    r"|\]\([^)]*\)|\bchapters? \d|T§[\d.]+|^#+ \d ·|\[\d ·|^\d\. |^\| \d \|",  # links, chapters, sections, lists
    re.DOTALL | re.MULTILINE,
)
_NUMERAL = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
_SCRIPT = re.compile(r"<style>.*?</style>|<[^>]*>", re.DOTALL)
_SPOKEN = re.compile(
    rf"\b(?:(?:{'|'.join(_WORDS)}|a|one) )?(?:{'|'.join(_POWERS)})\b|\b(?:{'|'.join(_WORDS)})\b(?=(?: ({_COUNTED})\b)?)", re.IGNORECASE
)
_LITERAL = re.compile(r"(?<![\w.])\d[\d_]*(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?")
_SETTINGS = ("value", "min", "max", "caption", "description", "headings", "rows", "_options_labels")


def stated(markdown: str) -> set[float]:
    """What a cell of prose states: numerals, and words from ten on; code, formulas, links and the numbers of chapters are left out."""
    prose = _NO_NUMBERS.sub(" ", markdown)
    found = {_value(numeral) for numeral in _NUMERAL.findall(prose)}
    for match in _SPOKEN.finditer(prose):
        *first, last = match[0].lower().split()
        factor = _WORDS.get(first[0], 1) if first else 1
        value = factor * _POWERS[last] if last in _POWERS else _WORDS[last]
        if value >= _SMALL or match[1]:
            found.add(float(value))
    return found


def shown(notebook: NotebookNode, cell: NotebookNode) -> set[float]:
    """What a cell of code shows once it has run: its own literals, what it printed, and the words and scales of its widgets."""
    state = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    texts = [cell.source]
    for output in cell.outputs:
        data = output.get("data", {})
        view = data.get("application/vnd.jupyter.widget-view+json")
        texts += _of_widget(state, view["model_id"]) if view else [output.get("text", ""), data.get("text/plain", "")]
    return {_value(literal) for text in texts for literal in _LITERAL.findall(_SCRIPT.sub(" ", text))}


def around(notebook: NotebookNode, place: int) -> list[NotebookNode]:
    """The cells of code that stand by a cell of prose: the last before it, the first after it, and all under the same headings."""
    cells = notebook.cells
    code = [number for number, cell in enumerate(cells) if cell.cell_type == "code"]
    heads = [number for number, cell in enumerate(cells) if cell.cell_type == "markdown" and re.search(r"^## ", cell.source, re.MULTILINE)]
    begin = max((number for number in heads if number <= place), default=0)
    end = min((number for number in heads if number > place), default=len(cells))
    near = {*[number for number in code if number < place][-1:], *[number for number in code if number > place][:1]}
    return [cells[number] for number in code if number in near or begin < number < end]


def _value(literal: str) -> float:
    return float(literal.replace(",", "").replace("_", ""))


def _of_widget(state: dict[str, Any], model: str) -> Iterator[str]:
    content = state[model]["state"]
    for name in _SETTINGS:
        yield from _texts(content.get(name))
    for axis in ("title", "xaxis", "yaxis"):
        yield from _texts(content.get("_widget_layout", {}).get(axis, {}).get("title", ""))
    for child in content.get("children", ()):
        yield from _of_widget(state, child.removeprefix("IPY_MODEL_"))


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        for inner in content.values():
            yield from _texts(inner)
    elif isinstance(content, list | tuple):
        for inner in content:
            yield from _texts(inner)
    elif content is not None:
        yield str(content)
