"""Opening a wallet, or making one (T§7.7, figure 7.5). The password goes from the input to the kernel, and the input is emptied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import ipywidgets as widgets

from deltaml_core.chain.types import Role
from deltaml_core.views import background
from deltaml_core.views.surroundings import Session, Surroundings, role_of

_ROLES = {"Data Owner": Role.DATA_OWNER, "Model Buyer": Role.MODEL_BUYER, "Federated Aggregator": Role.FEDERATED_AGGREGATOR}
_WIDE = {"description_width": "11em"}
_LAYOUT = {"width": "min(100%, 28em)"}


class LoginForm(widgets.VBox):
    """A choice of wallets and a password; below it, a new wallet."""

    def __init__(self, surroundings: Surroundings, on_login: Callable[[Session], None], *, roles: Sequence[Role] = tuple(Role)) -> None:
        """What it is made of.

        Args:
            surroundings: where wallets are looked for.
            on_login: told who has opened a wallet.
            roles: whose wallets are offered.
        """
        self._surroundings, self._on_login, self._roles = surroundings, on_login, tuple(roles)
        self._wallet = widgets.Dropdown(description="Wallet", style=_WIDE, layout=_LAYOUT)
        self._wallet.add_class("t-wallet")
        self._password = widgets.Password(description="Password", style=_WIDE, layout=_LAYOUT)
        self._password.add_class("t-password")
        self._enter = widgets.Button(description="Unlock", button_style="primary")
        self._enter.add_class("t-unlock")
        self._enter.on_click(lambda _: self._log_in())
        self._password.on_msg(self._submitted)
        self._said = widgets.HTML()
        self._said.add_class("t-login-message")
        known = widgets.VBox([self._wallet, self._password, self._enter])
        super().__init__([widgets.HTML("<h2>Unlock your wallet</h2>"), known, self._said, self._creation()])
        self.add_class("t-login")
        self.add_class("d-card")
        self.refresh()

    def refresh(self) -> None:
        """Look again which wallets there are."""
        everybody = set(self._roles) == set(Role)
        found = {name: role_of(home) for name, home in self._surroundings.known().items()}
        options = tuple(name for name, role in found.items() if role in self._roles or (role is None and everybody))
        if options != self._wallet.options:
            self._wallet.options = options

    def say(self, text: str, tone: str = "d-muted") -> None:
        """Say how it went."""
        self._said.value = f'<p role="status" class="{tone}">{escape(text)}</p>' if text else ""

    def _creation(self) -> widgets.Widget:
        names = {label: role for label, role in _ROLES.items() if role in self._roles}
        self._name = widgets.Text(description="Name", placeholder="hospital-north", style=_WIDE, layout=_LAYOUT)
        self._role = widgets.Dropdown(description="Role", options=list(names.items()), style=_WIDE, layout=_LAYOUT)
        self._name.add_class("t-new-name")
        self._first = widgets.Password(description="Password", style=_WIDE, layout=_LAYOUT)
        self._first.add_class("t-new-password")
        self._second = widgets.Password(description="The same again", style=_WIDE, layout=_LAYOUT)
        self._second.add_class("t-new-password-again")
        create = widgets.Button(description="Create wallet")
        create.add_class("t-create-wallet")
        create.on_click(lambda _: self._create())
        fields = widgets.VBox([self._name, self._role, self._first, self._second, create])
        return widgets.Accordion([fields], titles=("Create a new wallet",))

    def _submitted(self, _: object, content: dict[str, object], __: object) -> None:
        """The Enter key, in the password's field."""
        if content.get("event") == "submit":
            self._log_in()

    def _log_in(self) -> None:
        if self._enter.disabled:
            return
        name, password = self._wallet.value or "", self._password.value
        self._password.value = ""
        self._begin(lambda: self._surroundings.log_in(name, password))

    def _create(self) -> None:
        name, role, first, second = self._name.value.strip(), self._role.value, self._first.value, self._second.value
        self._first.value = self._second.value = ""
        self._begin(lambda: self._surroundings.create(name, role, first, second))

    def _begin(self, opening: Callable[[], Session]) -> None:
        self._enter.disabled = True
        self.say("Opening the keystore …")
        background.do(opening, self._opened, self._refused)

    def _opened(self, session: Session) -> None:
        self._enter.disabled = False
        self.say("")
        self.refresh()
        self._on_login(session)

    def _refused(self, why: str) -> None:
        self._enter.disabled = False
        self.say(why, "d-bad")
