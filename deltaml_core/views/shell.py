"""The frame of a page: a header with role, account, balance and chain, a banner for what is wrong, the content, the one poller."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from html import escape
from typing import Protocol

import ipywidgets as widgets

from deltaml_core.chain.picture import short
from deltaml_core.views.background import Poller
from deltaml_core.views.formats import amount, mono
from deltaml_core.views.pulse import Pulse
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Session, Surroundings
from deltaml_core.views.table import STATIC

STYLE = STATIC / "deltaml.css"

LINKS = (
    ("Home", "landing"),
    ("Data Owner", "data_owner"),
    ("Model Buyer", "model_buyer"),
    ("Aggregator", "federated_aggregator"),
    ("Marketplace", "marketplace"),
    ("Log in", "login"),
)


class Content(Protocol):
    """What stands in a page."""

    def show(self, sight: Sight) -> None:
        """Show what was seen."""

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""


class Shell(widgets.VBox):
    """A page. It begins to look at the chain when somebody looks at it."""

    def __init__(self, here: str, content: widgets.Widget, source: Source, *, server: str = "") -> None:
        """What it is made of.

        Args:
            here: the page's own name among `LINKS`.
            content: has the methods of `Content`.
            source: what it looks at.
            server: the address of the Voila that shows it: then its header leads to the other pages, and its kernel ends when nobody
                looks any more. Empty in JupyterLab, which does neither, but needs the style sheet.
        """
        self._here, self._source, self._links = here, source, bool(server)
        self._header, self._banner = widgets.HTML(), widgets.HTML()
        self._log_out = widgets.Button(description="Log out", layout={"display": "none"})
        self._log_out.add_class("t-log-out")
        self._log_out.on_click(lambda _: self.on_log_out())
        self.on_log_out: Callable[[], None] = source.log_out
        self.on_idle: Callable[[float], None] = lambda seconds: None
        self._content = content
        self.poller = Poller(source.look, self._show, self._trouble)
        self.pulse = Pulse(server=server, on_first=self.poller.start)
        self.pulse.observe(lambda _: content.paint(dark=self.pulse.dark), names=["dark"])
        self.pulse.observe(lambda change: self.on_idle(change["new"]), names=["idle"])
        head = widgets.HBox([self._header, self._log_out])
        head.add_class("d-header")
        style = [] if server else [widgets.HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>")]
        super().__init__([*style, self.pulse, head, self._banner, content])
        self.add_class("d-page")
        self._draw_header(None)

    def _show(self, sight: Sight) -> None:
        self._draw_header(sight)
        self._content.show(sight)

    def _trouble(self, text: str) -> None:
        since = time.strftime("%H:%M:%S")
        self._banner.value = (
            f'<div class="d-banner d-bad" role="alert"><strong>Since {since}:</strong> {escape(text)} '
            "This page tries again by itself; what it shows may be old.</div>"
            if text
            else ""
        )

    def _draw_header(self, sight: Sight | None) -> None:
        session = None if sight is None else sight.session
        self._log_out.layout.display = "none" if session is None else None
        self._header.value = f"{self._navigation()}{_who(session, sight)}{_chain(sight)}"

    def _navigation(self) -> str:
        if not self._links:
            return '<span class="d-brand">DeltaML</span>'
        items = "".join(
            f'<li><a href="{page}.ipynb"{" aria-current=page" if page == self._here else ""}>{text}</a></li>' for text, page in LINKS
        )
        return f'<span class="d-brand">DeltaML</span><nav aria-label="Pages"><ul class="d-links">{items}</ul></nav>'


def _who(session: Session | None, sight: Sight | None) -> str:
    if session is None or sight is None:
        return '<span class="d-who d-muted">not logged in</span>'
    account = mono(short(session.address), session.address)
    balance = f'<span data-figure="balance">{amount(sight.balance_wei)}</span>'
    return f'<span class="d-who"><strong>{escape(session.name)}</strong> {account} {balance}</span>'


def _chain(sight: Sight | None) -> str:
    if sight is None:
        return '<span class="d-chain d-muted" role="status">looking for the chain …</span>'
    market = sight.market
    shown = f"chain {market.chain_id} · block {market.head.number}"
    return f'<span class="d-chain" role="status" title="contract {market.contract}">{shown}</span>'


class Gate(widgets.VBox):
    """Content for everybody, and below it either a login or what its role can do."""

    def __init__(
        self,
        public: widgets.Widget,
        login: widgets.Widget,
        source: Source,
        desk_of: Callable[[Session], widgets.Widget],
        *,
        idle_seconds: float = math.inf,
    ) -> None:
        """What it is made of.

        Args:
            public: for everybody; has `Content`'s methods.
            login: shown while nobody has logged in; its wallets are looked for again whenever something has changed.
            source: told who has.
            desk_of: makes a role's content.
            idle_seconds: without a click or a key after which a wallet is closed, unless its node runs on this page.
        """
        self._idle_seconds, self._node_here = idle_seconds, False
        self._public, self._login, self._source, self._desk_of = public, login, source, desk_of
        self._desk: widgets.Widget | None = None
        self._dark = False
        super().__init__([login, public])

    def enter(self, session: Session) -> None:
        """Somebody has opened a wallet."""
        self._source.log_in(session)
        self._desk = self._desk_of(session)
        self._desk.paint(dark=self._dark)
        self.children = [self._desk]

    def leave(self) -> None:
        """Nobody is logged in any more."""
        self._source.log_out()
        self._desk, self._node_here = None, False
        self.children = [self._login, self._public]

    def idle(self, seconds: float) -> None:
        """Nobody has touched the page for so long."""
        if self._desk is not None and not self._node_here and seconds >= self._idle_seconds:
            self.leave()
            self._login.say(f"You were logged out after {self._idle_seconds / 60:g} minutes without a click or a key.")

    def show(self, sight: Sight) -> None:
        """Show it in what stands here."""
        if self._desk is not None and sight.node is not None:
            self._node_here = sight.node.process == os.getpid()
            self._desk.show(sight)
        else:
            self._login.refresh()
            self._public.show(sight)

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self._dark = dark
        self._public.paint(dark=dark)
        if self._desk is not None:
            self._desk.paint(dark=dark)


def surroundings_and_source() -> tuple[Surroundings, Source]:
    """Of this process's environment."""
    surroundings = Surroundings.of()
    return surroundings, Source(surroundings)
