"""A role by hand in a notebook: the wallet, the node in this kernel, live views, and steps one can wait for.

    me = Workbench("owner-1")
    me.start_node()
    me.desk()                                   # live from here on
    request = await me.next_request()
    await me.accept(request)

`await` leaves the kernel free, so that what is live stays live while a cell waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import TypeVar

import ipywidgets as widgets

from deltaml_core.bought import BoughtModel
from deltaml_core.chain.picture import MarketPicture, RequestPicture
from deltaml_core.chain.types import Role, Status
from deltaml_core.errors import NodeError
from deltaml_core.node.home import PASSWORD_FILE_VARIABLE, read_password
from deltaml_core.node.hosting import HostedNode, host
from deltaml_core.node.offer import Offer
from deltaml_core.verification import verify_result
from deltaml_core.views.background import Poller
from deltaml_core.views.desks import desk_of
from deltaml_core.views.formats import amount, mono
from deltaml_core.views.market_desk import MarketDesk
from deltaml_core.views.request_detail import RequestDetail
from deltaml_core.views.shell import STYLE
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Surroundings
from deltaml_core.views.verification_view import VerificationView

WALLET_VARIABLE = "DELTAML_WALLET"
_LOOK_SECONDS = 0.3
PATIENCE_SECONDS = 3600.0

T = TypeVar("T")


class Workbench:
    """One participant in one notebook.

    Attributes:
        session: whose wallet is open; None for somebody who only looks.
        source: the chain and the node's store.
        node: in this kernel, once it was started.
    """

    def __init__(self, name: str | None = None) -> None:
        """Open a wallet of this machine; the password comes from `DELTAML_PASSWORD_FILE`, `DELTAML_PASSWORD`, or is asked for.

        Args:
            name: of the wallet; `DELTAML_WALLET` takes its place. None opens none.

        Raises:
            NodeError: there is no such wallet, or no market is stated.
            WrongPasswordError, KeystoreError: it cannot be opened.
        """
        surroundings = Surroundings.of()
        self.source = Source(surroundings)
        self.node: HostedNode | None = None
        self.session = None
        if name is not None:
            chosen = os.environ.get(WALLET_VARIABLE) or name
            file = os.environ.get(PASSWORD_FILE_VARIABLE)
            password = read_password(Path(file) if file else None, f"Password of the wallet {chosen}: ")
            self.session = surroundings.log_in(chosen, password)
            self.source.log_in(self.session)
        self._live: list[widgets.Widget] = []
        self._banner = widgets.HTML()
        self._poller = Poller(self.source.look, self._show, self._trouble)
        self._polling = False

    def _repr_html_(self) -> str:
        """Who this is."""
        if self.session is None:
            return "<p>Nobody in particular: what follows is public.</p>"
        sight, role = self.source.look(), self.session.role.name.replace("_", " ").capitalize()
        return f"<p>{role} <strong>{self.session.name}</strong> {mono(self.session.address)} with {amount(sight.balance_wei)}.</p>"

    # --- looking ---

    @property
    def market(self) -> MarketPicture:
        """The market now.

        Raises:
            ChainError: the chain does not answer.
        """
        return self.source.look().market

    def request(self, number: int) -> RequestPicture:
        """A request now.

        Raises:
            NodeError: there is none of that number.
        """
        found = self.market.requests.get(number)
        if found is None:
            raise NodeError(f"there is no request {number}; there are {', '.join(map(str, self.market.requests)) or 'none'}")
        return found

    def desk(self) -> widgets.Widget:
        """Everything this role sees and does, live, as on its dashboard."""
        return self.live(MarketDesk() if self.session is None else desk_of(self.session, self.source))

    def detail(self, number: int) -> widgets.Widget:
        """One request in full, live."""
        return self.live(_Detail(RequestDetail(self.request(number), self.market)))

    def live(self, content: widgets.Widget) -> widgets.Widget:
        """Keep a view up to date from now on; it has the methods of `shell.Content`."""
        if not self._polling:
            self._poller.start()
            self._polling = True
        content.show(self.source.look())
        self._live.append(content)
        style = widgets.HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>")
        page = widgets.VBox([style, self._banner, content])
        page.add_class("d-page")
        return page

    # --- acting ---

    def start_node(self, files: Sequence[str | Path] = ()) -> None:
        """Run this participant's node in this kernel, beside its cells.

        Args:
            files: an owner's data sets, comma-separated with a header line.

        Raises:
            DataError: a file cannot be used.
            NodeError: nobody has logged in.
        """
        if self.session is None:
            raise NodeError("nobody has logged in: open a Workbench with a wallet's name")
        if self.node is not None and self.node.is_running:
            return
        self.node = host(self.session.home, self.session.password, files=[Path(file) for file in files])
        self.node.start()

    def stop(self) -> None:
        """End the node; it goes on where it was when it is started again."""
        if self.node is not None:
            self.node.stop()

    async def next_request(self) -> int:
        """The next request that this role has something to decide about, once there is one."""
        return await self.until(self._undecided, "a request to decide about")

    async def take_on(self, number: int) -> None:
        """As an aggregator, agree to run a training."""
        self.source.answer(number, "yes")
        await self.until(lambda sight: sight.market.requests[number].request.taken_on or None, "the aggregator's agreement")

    async def accept(self, number: int) -> None:
        """As a data owner, take part with the data set that matches."""
        me = self._me
        self.source.answer(number, "yes")
        await self.until(lambda sight: me in sight.market.requests[number].accepted or None, "the acceptance")

    async def post(self, offer: Offer) -> int:
        """As a buyer, lock the escrow and post the request; returns its number."""
        before = set(self.market.requests)
        await self._order("post", {"offer": offer.to_json()}, f"post {offer.token} after {len(before)}")
        me = self._me

        def posted(sight: Sight) -> int | None:
            return next((n for n, one in sight.market.requests.items() if n not in before and one.request.buyer == me), None)

        return await self.until(posted, "the new request")

    async def confirm(self, number: int) -> None:
        """As a buyer, end the challenge window."""
        await self._order("confirm", {"request": number}, f"confirm {number}")

    async def withdraw(self) -> None:
        """Send what was earned, or returned, to the wallet."""
        orders = self.source.look().node
        times = sum(order.action == "withdraw" for order in orders.orders.values()) if orders else 0
        await self._order("withdraw", {}, f"withdraw by hand {times + 1}")

    async def reaches(self, number: int, status: Status) -> RequestPicture:
        """The request, once it is that far."""

        def find(sight: Sight) -> RequestPicture | None:
            one = sight.market.requests.get(number)
            if one is not None and one.request.status in (Status.FAILED, Status.CANCELLED) and status is not one.request.status:
                raise NodeError(f"request {number} has ended without a result: {one.request.status.name}")
            return one if one is not None and one.request.status >= status else None

        return await self.until(find, status.name)

    async def model(self, number: int) -> BoughtModel:
        """The model that was bought, once it has arrived."""
        assert self.session is not None
        path = self.session.home.model(number)
        await self.until(lambda sight: path.exists() or None, "the model")
        return BoughtModel.read(path)

    def verify(self, number: int) -> VerificationView:
        """Check a result from this buyer's own store and the chain."""
        found = verify_result(self.source.marketplace(), self.request(number), self.source.mail, self._me)
        view = VerificationView(lambda: verify_result(self.source.marketplace(), self.request(number), self.source.mail, self._me))
        view.show(found)
        return view

    async def until(self, condition: Callable[[Sight], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
        """What a condition finds in what is seen, once it finds something.

        Raises:
            NodeError: that does not happen in time, or the node in this kernel has ended.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (found := condition(await asyncio.to_thread(self.source.look))) is None:
            if self.node is not None and self.node.error is not None:
                raise NodeError(f"the node in this notebook has ended: {self.node.error}")
            if loop.time() > deadline:
                raise NodeError(f"{what} did not come within {seconds:g} s")
            await asyncio.sleep(_LOOK_SECONDS)
        return found

    async def _order(self, action: str, arguments: dict[str, object], purpose: str) -> None:
        self.source.place(action, arguments, purpose)

        def ended(sight: Sight) -> str | None:
            order = sight.node.orders.get(purpose) if sight.node else None
            if order is not None and order.state == "refused":
                raise NodeError(f"your node could not {action}: {order.note}")
            return order.note if order is not None and order.state == "done" else None

        await self.until(ended, action)

    @property
    def _me(self) -> str:
        if self.session is None:
            raise NodeError("nobody has logged in: open a Workbench with a wallet's name")
        return self.session.address

    def _undecided(self, sight: Sight) -> int | None:
        assert self.session is not None
        for number, one in sight.market.requests.items():
            note = sight.node.notes.get(number) if sight.node else None
            if one.request.status is not Status.OPEN or (note is not None and note.answer is not None):
                continue
            if self.session.role is Role.FEDERATED_AGGREGATOR:
                if one.request.aggregator == self._me and not one.request.taken_on:
                    return number
            elif note is not None and None in (note.matches or {}).values() and one.request.taken_on:
                return number
        return None

    def _show(self, sight: Sight) -> None:
        for content in self._live:
            content.show(sight)

    def _trouble(self, text: str) -> None:
        self._banner.value = f'<div class="d-banner d-bad" role="alert">{escape(text)}</div>' if text else ""


class _Detail(widgets.VBox):
    """A request's detail that finds its request in what is seen."""

    def __init__(self, detail: RequestDetail) -> None:
        self._detail = detail
        super().__init__([detail])

    def show(self, sight: Sight) -> None:
        self._detail.show(sight.market.requests[self._detail.number], sight.market)
