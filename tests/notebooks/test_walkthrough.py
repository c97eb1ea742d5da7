"""The walkthrough's chapters, each alone in a kernel of its own; at its end the hidden solution is run, and called right."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from figures import around, shown, stated
from nbclient import NotebookClient

from deltaml_core import schedule
from deltaml_core.lessons import experiment
from deltaml_core.terms import TrainingTerms

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "00_walkthrough"
CHAPTERS = sorted(path for path in FOLDER.glob("[1-9]_*.ipynb"))
_SOLUTION = re.compile(r"<details><summary>Solution</summary>.*?```python\n(.*?)```\s*</details>", re.DOTALL)

DEFINED = {
    "the thesis's year": 2019,
    "NIST SP 800-57": 800,
    "NIST SP 800-57, its part": 57,
    "L. S. Shapley, 1953": 1953,
    "the default key": TrainingTerms.key_bits,
    "a mask's length over what it hides": schedule.MASK_BITS,
}
"""What prose may state without a cell that shows it: sources, and what a constant says."""

THESIS = {
    "T§8: the final error": experiment.THESIS_MSE,
    "T§8: minutes": experiment.THESIS_MINUTES,
    "T§8: rounds": experiment.ROUNDS,
    "T§8: step": experiment.STEP,
    "T§8: owners": 5,
    "T§8: rows an owner": 50,
    "T§8: trainers": 4,
}
"""What chapter 8 cites of the thesis's experiment, in the cell that names the thesis."""


def solution_of(notebook: nbformat.NotebookNode) -> str:
    """The code hidden below the chapter's exercise."""
    (found,) = _SOLUTION.findall("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"))
    return str(found)


def said(cell: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)


@cache
def executed(path: Path) -> nbformat.NotebookNode:
    """A chapter after a run from top to bottom, with its solution as one more cell."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(solution_of(notebook)))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return notebook


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_alone_and_its_solution_is_right(path: Path) -> None:
    *asked, solution = executed(path).cells
    checks = [said(cell) for cell in asked if cell.cell_type == "code" and "exercise.check" in cell.source]
    assert [check.startswith("Not yet: no answer so far") for check in checks] == [True]
    assert said(solution).startswith("Right: ")


@pytest.mark.slow
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_where_the_text_states_a_number_a_cell_beside_it_shows_it(path: Path) -> None:
    notebook = executed(path)
    cited = {float(number) for number in DEFINED.values()}
    unshown = {}
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            known = cited.union(*(shown(notebook, other) for other in around(notebook, place)))
            known |= {float(number) for number in THESIS.values()} if "The thesis (Graffe & Rojas" in cell.source else set()
            if missing := stated(cell.source) - known:
                unshown[cell.source[:60]] = missing
    assert unshown == {}


def test_a_number_in_prose_is_found_whether_in_digits_or_in_words() -> None:
    prose = "## 3 · Heading\n1. In chapter 4 two laws and five owners have 1,268 of 3.14, two hundred, "
    prose += "sixteen, a billionth; $x^{7}$ `8` [nine](10.md), T§5.4."
    assert stated(prose) == {5, 1268, 3.14, 200, 16, 10**9}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_cells_hold_no_loops_and_little_of_anything(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            nodes = ast.walk(ast.parse(cell.source))
            assert not [node for node in nodes if isinstance(node, ast.For | ast.While | ast.FunctionDef | ast.ClassDef | ast.Lambda)]
            assert len(cell.source.splitlines()) <= 12


def test_the_index_leads_to_every_chapter_in_order_and_states_no_number() -> None:
    index = "".join(cell.source for cell in nbformat.read(FOLDER / "0_index.ipynb", as_version=4).cells)
    assert re.findall(r"\((\d_\w+\.ipynb)\)", index) == [path.name for path in CHAPTERS]
    assert [path.name[0] for path in CHAPTERS] == list("12345678")
    assert stated(index) <= {float(DEFINED["the thesis's year"])}
