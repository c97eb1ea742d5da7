"""The role notebooks, each in a kernel of its own, side by side on a real chain: together they play a whole training."""

from __future__ import annotations

import ast
import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from deltaml_core.chain import Status
from deltaml_core.local.market import LocalMarket, open_market

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ALL = sorted(path for path in NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMarket]:
    """A market without nodes: the notebooks bring them."""
    stopping = threading.Event()
    folder = Path(os.path.relpath(tmp_path_factory.mktemp("market")))  # as by default, not where the notebooks' kernels work
    with open_market(folder, lambda name, line: None, lambda text: None) as opened:

        def tend() -> None:
            while not stopping.wait(0.2):
                opened.tend()

        thread = threading.Thread(target=tend)
        thread.start()
        yield opened
        stopping.set()
        thread.join()


async def _run(market: LocalMarket, name: str, wallet: str | None = None) -> str:
    """What a notebook printed, run from top to bottom."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    client = NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(NOTEBOOKS)}})
    own = {"DELTAML_PASSWORD_FILE": str(market.password_file), **({"DELTAML_WALLET": wallet} if wallet else {})}
    await client.async_execute(env={**market.environment, **own})
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs if output.output_type == "stream")


@pytest.mark.slow
def test_five_notebooks_play_a_whole_training(market: LocalMarket) -> None:
    async def together() -> list[str]:
        return await asyncio.gather(
            _run(market, "3_federated_aggregator"),
            _run(market, "1_data_owner", "owner-1"),
            _run(market, "1_data_owner", "owner-2"),
            _run(market, "2_model_buyer"),
        )

    aggregator, *owners, buyer = asyncio.run(together())
    request = market.marketplace.request(1)
    assert request.status is Status.SETTLED
    assert request.final_mse < request.initial_mse / 2
    assert "messages" in aggregator
    assert sorted(said.splitlines()[1] for said in owners) == ["you train", "you validate"]
    assert "LinearRegression()" in buyer
    assert market.marketplace.balance_wei() == 0
    said = asyncio.run(_run(market, "4_marketplace"))
    assert "settled: the error fell by" in said
    assert "holds                        0 wei" in said


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_without_logic(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
            tree = ast.parse(cell.source.replace("await ", ""))
            assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.While)]
