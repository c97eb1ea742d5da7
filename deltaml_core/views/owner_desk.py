"""What a Data Owner sees and does (T§7.7, figure 7.6): its data sets, the requests in its states, its answers, its earnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets as widgets

from deltaml_core.chain.picture import RequestPicture
from deltaml_core.chain.types import Status
from deltaml_core.errors import NodeError
from deltaml_core.store.book import RequestNote
from deltaml_core.views.dataset_card import DatasetCard
from deltaml_core.views.dataset_form import DatasetForm
from deltaml_core.views.deed import Deed, Plan
from deltaml_core.views.earnings import Withdrawal, earned_wei
from deltaml_core.views.figures import Figure, Figures
from deltaml_core.views.formats import ether, wei
from deltaml_core.views.node_card import NodeCard
from deltaml_core.views.request_table import RequestTable, asks_for
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.states import State, owner_state
from deltaml_core.views.surroundings import Session
from deltaml_core.views.table import Cell

_COLUMNS = ("request", "state", "asks for", "owners", "escrow", "accepts until")
_EXTRA = ("accept", "decline", "your part", "you earned", "note")


class OwnerDesk(widgets.VBox):
    """A data owner's page, once its wallet is open."""

    def __init__(self, session: Session, source: Source) -> None:
        self._session, self._source = session, source
        self._sight: Sight | None = None
        self._node = NodeCard(session, source)
        self._figures = Figures()
        self._withdrawal = Withdrawal(session, source)
        self._table = RequestTable("Requests, as they stand for you", state_of=self._state, columns=_COLUMNS, extra=_EXTRA)
        self._table.on_action(self._act)
        self._deed = Deed()
        self._cards = widgets.VBox()
        self._cards.add_class("d-grid")
        self._form = DatasetForm(session, source)
        sections = [self._node, self._figures, self._withdrawal]
        requests = [widgets.HTML("<h2>Requests</h2>"), self._deed, self._table]
        data = [widgets.HTML("<h2>Your data sets</h2>"), self._cards, self._form]
        super().__init__([*sections, *requests, *data])
        self._shown: dict[str, DatasetCard] = {}

    def paint(self, *, dark: bool) -> None:
        """Nothing here depends on the scheme but what the style sheet does."""

    def show(self, sight: Sight) -> None:
        """Show what was seen."""
        assert sight.node is not None
        self._sight = sight
        market, me = sight.market, self._session.address
        self._node.show(sight)
        earned, credit = earned_wei(market, me), market.credits_wei.get(me, 0)
        pictures = list(market.requests.values())
        training = sum(me in one.accepted and one.request.status in (Status.TRAINING, Status.SUBMITTED) for one in pictures)
        self._figures.show(
            [
                Figure("Earned so far", ether(earned), exact=wei(earned), key="earned"),
                Figure("To withdraw", ether(credit), "held by the contract for you", wei(credit), "credit"),
                Figure("In training", str(training), "requests you take part in"),
                Figure("Data sets", str(len(sight.node.cards))),
            ]
        )
        self._withdrawal.show(sight)
        self._table.show_requests(market, pictures, extra=self._extra)
        self._deed.show(sight)
        self._form.show(sight)
        self._show_cards(sight)

    def _show_cards(self, sight: Sight) -> None:
        assert sight.node is not None
        fresh = {card.digest: card for card in sight.node.cards}
        for digest, card in fresh.items():
            reasons = _reasons(digest, sight.node.notes, sight)
            account = sight.node.privacy.get(digest)
            if digest in self._shown:
                self._shown[digest].show(card, reasons, account)
            else:
                self._shown[digest] = DatasetCard(card, reasons, account)
        self._cards.children = tuple(self._shown[digest] for digest in fresh)

    def _state(self, one: RequestPicture) -> State:
        return owner_state(one, self._session.address, matches=self._matches(one))

    def _matches(self, one: RequestPicture) -> bool:
        note = self._note(one)
        return note is not None and None in (note.matches or {}).values()

    def _note(self, one: RequestPicture) -> RequestNote | None:
        return None if self._sight is None or self._sight.node is None else self._sight.node.notes.get(one.request.id)

    def _extra(self, one: RequestPicture) -> Sequence[Cell]:
        request, me, state, note = one.request, self._session.address, self._state(one), self._note(one)
        part = "trainer" if me in request.trainers else "validator" if me in request.validators else "–"
        earned = one.credits.get(me, 0)
        open_to_me = state in (State.READY, State.WAITING) and request.taken_on and (note is None or note.answer is None)
        accept = Cell("Accept", f"Accept request {request.id}", action="accept", css="t-accept mod-primary", enabled=not self._deed.busy)
        decline = Cell("Decline", f"Decline request {request.id}", action="decline", css="t-decline", enabled=not self._deed.busy)
        said = "" if note is None or note.note is None else note.note
        if state in (State.READY, State.WAITING) and not request.taken_on:
            said = "its aggregator has not taken it on yet"
        if state is State.WAITING:
            matched = note is not None and note.matches
            accept = Cell("Accept", said, action="accept", css="t-cannot-accept", enabled=False) if matched else Cell("")
        return (
            accept if open_to_me else Cell(""),
            decline if open_to_me else Cell(""),
            Cell(part),
            Cell(ether(earned) if earned else "–", title=wei(earned) if earned else "", numeric=True),
            Cell(said, css="d-note"),
        )

    def _act(self, action: str, row: str) -> None:
        number = int(row)
        self._deed.propose(lambda: self._accept(number) if action == "accept" else self._decline(number))

    def _accept(self, number: int) -> Plan:
        one = self._picture(number)
        features, target = asks_for(one.document)
        terms, me = one.request.terms, self._session.address
        question = (
            f"Your node accepts request {number} with your matching data set. It may become trainer or validator for {target} from "
            f"{len(features)} columns; your rows stay with your node. {self._noise(one)} "
            f"The minimum reward is {ether(terms.minimum_reward_wei)}. "
            "You pay the gas of one transaction, and you cannot take the acceptance back."
        )

        def outcome(sight: Sight) -> str | None:
            if me in sight.market.requests[number].accepted:
                return f"You have accepted request {number}."
            note = sight.node.notes.get(number) if sight.node else None
            refused = note is not None and note.note is not None and note.note.startswith("does not match")
            return f"Your node did not accept it: {note.note}" if refused and note else None

        return Plan(question, f"Yes, accept request {number}", lambda: self._source.answer(number, "yes"), outcome)

    def _noise(self, one: RequestPicture) -> str:
        """What an acceptance does for the privacy of rows, and to the budget of the data set it would be made with."""
        note, sight = self._note(one), self._sight
        digest = next((digest for digest, reason in ((note and note.matches) or {}).items() if reason is None), None)
        account = None if sight is None or sight.node is None or digest is None else sight.node.privacy.get(digest)
        if account is None:
            return "No noise is added: what is opened of the training is exact (docs/privacy.md)."
        return (
            f"Noise is added to their statistics, once: {account.rule.guarantee} for every row. With that the data set has spent "
            f"at most epsilon {account.following:.3g} of its budget of {account.rule.budget:g}; now it is {account.spent:.3g}."
        )

    def _decline(self, number: int) -> Plan:
        me = self._session.address
        question = f"Your node tells everybody that you will not take part in request {number}. You pay the gas of one transaction."

        def outcome(sight: Sight) -> str | None:
            return f"You have declined request {number}." if me in sight.market.requests[number].declined else None

        return Plan(question, f"Yes, decline request {number}", lambda: self._source.answer(number, "no"), outcome)

    def _picture(self, number: int) -> RequestPicture:
        if self._sight is None or number not in self._sight.market.requests:
            raise NodeError(f"there is no request {number} any more")
        return self._sight.market.requests[number]

    def close_desk(self) -> None:
        """End what runs on this page."""
        self._node.stop()


def _reasons(digest: str, notes: Mapping[int, RequestNote], sight: Sight) -> dict[int, str | None]:
    opened = {one.request.id for one in sight.market.in_status(Status.OPEN)}
    return {number: note.matches[digest] for number, note in notes.items() if number in opened and note.matches and digest in note.matches}
