"""Requests as rows: for everybody, and with what a role may do."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from deltaml_core.chain.picture import MarketPicture, RequestPicture
from deltaml_core.views.badge import badge_cell
from deltaml_core.views.formats import ether, number, percent, span, wei
from deltaml_core.views.states import State, public_state
from deltaml_core.views.table import Cell, Row, Table

StateOf = Callable[[RequestPicture], State]
CellsOf = Callable[[RequestPicture], Sequence[Cell]]

COLUMNS = ("request", "state", "asks for", "buyer", "owners", "escrow", "error now", "improvement", "accepts until")


class RequestTable(Table):
    """Requests of a market, the newest first."""

    def __init__(
        self,
        caption: str = "Requests",
        *,
        state_of: StateOf = public_state,
        columns: Sequence[str] = COLUMNS,
        extra: Sequence[str] = (),
        opens: bool = False,
    ) -> None:
        """What it is made of.

        Args:
            caption: of the table.
            state_of: what the viewer is shown as a request's state.
            columns: those of `COLUMNS` that are shown.
            extra: headings of the cells that `show_requests` is given a function for.
            opens: whether a request's number is a button, the action `open`.
        """
        super().__init__(caption, (*columns, *extra), empty="no request yet", css="t-request-table")
        self._state_of, self._columns, self._opens = state_of, tuple(columns), opens

    def show_requests(
        self, market: MarketPicture, pictures: Sequence[RequestPicture], *, extra: CellsOf = lambda one: (), chosen: int | None = None
    ) -> None:
        """Show these requests of a market."""
        ordered = sorted(pictures, key=lambda one: one.request.id, reverse=True)
        self.show([self._row(market, one, extra, chosen) for one in ordered])

    def _row(self, market: MarketPicture, one: RequestPicture, extra: CellsOf, chosen: int | None) -> Row:
        request, history = one.request, one.history
        features, target = asks_for(one.document)
        left = request.terms.acceptance_deadline - market.head.timestamp
        named = f"#{request.id}"
        cells = {
            "request": Cell(named, f"Open request {request.id}", action="open", css="d-link") if self._opens else Cell(named),
            "state": badge_cell(self._state_of(one)),
            "asks for": Cell(f"{target} from {len(features)} columns" if features else "–", title=", ".join(features)),
            "buyer": Cell(market.name(request.buyer), title=request.buyer),
            "owners": Cell(f"{len(request.owners)} of {_range(request.terms.min_owners, request.terms.max_owners)}", numeric=True),
            "escrow": Cell(ether(request.escrow_wei), title=wei(request.escrow_wei), numeric=True),
            "error now": Cell(
                number(history[-1][1]) if history else "–", title=f"after round {history[-1][0]}" if history else "", numeric=True
            ),
            "improvement": Cell(percent(one.improvement), numeric=True),
            "accepts until": Cell(span(left) if left > 0 and self._state_of(one) in _OPEN else "–", numeric=True),
        }
        return Row(str(request.id), (*(cells[name] for name in self._columns), *extra(one)), chosen=request.id == chosen)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


_OPEN = frozenset({State.WAITING, State.READY, State.INITIATED})


def asks_for(document: str) -> tuple[list[str], str]:
    """The features and the target that a request's document names; nothing where it is no document of ours."""
    try:
        requirements = json.loads(document)["terms"]["requirements"]
        return [str(column["name"]) for column in requirements["features"]], str(requirements["target"]["name"])
    except (ValueError, KeyError, TypeError):
        return [], ""
