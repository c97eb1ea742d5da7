"""The first page: what DeltaML is, who takes part, how the market stands."""

from __future__ import annotations

import ipywidgets as widgets

from deltaml_core.views.figures import Figures
from deltaml_core.views.market_desk import PublicRequests, state_figures
from deltaml_core.views.source import Sight

_WORDS = """
<section class="d-hero"><h1>Models from data that never leaves its owners</h1>
<p>DeltaML is a market for machine learning. A buyer posts a request with an encrypted model and locks ether. Owners whose data fit train
that model without decrypting it, on their own machines. Validators' errors become a figure that nobody can forge and everybody can check. A
contract pays each owner for what it contributed, and returns the rest.</p></section>
"""

_ROLES = (
    ("Data Owner", "data_owner", "Keep your rows. Train or validate on them, and earn by what they contribute."),
    ("Model Buyer", "model_buyer", "Say what you want to predict and what it is worth. Pay for improvement only."),
    ("Federated Aggregator", "federated_aggregator", "Relay and average encrypted updates. You see no model and no row."),
    ("Marketplace", "marketplace", "Every event, every payment, and the contract's balance, for everybody."),
)


class Welcome(widgets.VBox):
    """The landing page's content."""

    def __init__(self) -> None:
        cards = "".join(f'<a class="d-card d-role" href="{page}.ipynb"><h3>{name}</h3><p>{text}</p></a>' for name, page, text in _ROLES)
        self._figures, self._requests = Figures(), PublicRequests()
        roles = widgets.HTML(f'<div class="d-grid">{cards}</div>')
        now = widgets.HTML("<h2>The market now</h2>")
        super().__init__([widgets.HTML(_WORDS), roles, now, self._figures, self._requests])

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self._requests.paint(dark=dark)

    def show(self, sight: Sight) -> None:
        """Show what was seen."""
        self._figures.show(state_figures(sight.market))
        self._requests.show(sight)
