"""A wallet without ether can do nothing on the chain: says so, and on a development chain offers some."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from deltaml_core.chain.ganache import hand_out, hands_out_ether
from deltaml_core.views import background
from deltaml_core.views.formats import ETHER
from deltaml_core.views.source import Sight, Source
from deltaml_core.views.surroundings import Session

TEST_ETHER_WEI = 10 * ETHER


class Funding(widgets.VBox):
    """Shown while the wallet is empty."""

    def __init__(self, session: Session, source: Source) -> None:
        self._session, self._source = session, source
        self._asked = False
        self._said = widgets.HTML()
        self._button = widgets.Button(description="Get 10 ether of this test chain", button_style="primary", layout={"display": "none"})
        self._button.add_class("t-test-ether")
        self._button.on_click(lambda _: self._fund())
        super().__init__([self._said, self._button])
        self.layout.display = "none"

    def show(self, sight: Sight) -> None:
        """Show whether there is ether."""
        self.layout.display = "none" if sight.balance_wei else None
        if not sight.balance_wei and not self._asked:
            self._asked = True
            self._say(f"Your wallet {self._session.address} holds no ether, and every transaction needs some for its gas. Send it some.")
            background.do(lambda: hands_out_ether(self._source.marketplace().web3), self._offer, self._say)

    def _offer(self, offered: bool) -> None:
        self._button.layout.display = None if offered else "none"

    def _fund(self) -> None:
        self._button.disabled = True
        background.do(self._hand_out, lambda _: self._done(), self._refused)

    def _hand_out(self) -> None:
        hand_out(self._source.marketplace().web3, self._session.address, TEST_ETHER_WEI)

    def _done(self) -> None:
        self._button.disabled = False

    def _refused(self, why: str) -> None:
        self._button.disabled = False
        self._say(why)

    def _say(self, text: str) -> None:
        self._said.value = f'<p class="d-banner d-warn" role="status">{escape(text)}</p>'
