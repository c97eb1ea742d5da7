"""A new request: what is asked for, on which data, for how much; with what it would cost beside it (T§7.7, figure 7.7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from html import escape

import ipywidgets as widgets

from deltaml_core.dictionary import DataDictionary
from deltaml_core.errors import DeltaMLError, TermsError
from deltaml_core.node.offer import HOUR, Offer
from deltaml_core.objectives import MODELS
from deltaml_core.payouts import outcomes
from deltaml_core.statistics import Column, Requirements
from deltaml_core.terms import METRICS, TrainingTerms
from deltaml_core.views.charts import OutcomesChart
from deltaml_core.views.formats import ETHER, amount

_WIDE = {"description_width": "13em"}
_LAYOUT = {"width": "min(100%, 30em)"}
IMPROVEMENTS = (0.0, 0.25, 0.5, 0.75, 0.9)


class RequestForm(widgets.VBox):
    """Fields with sensible values; `offer` makes of them what a buyer's node posts."""

    def __init__(self, dictionaries: Sequence[DataDictionary], aggregators: Mapping[str, str] | None = None, balance_wei: int = 0) -> None:
        """What it is made of.

        Args:
            dictionaries: of the data that may be asked for.
            aggregators: addresses by what they are called.
            balance_wei: of the buyer.
        """
        self._dictionaries = {dictionary.name: dictionary for dictionary in dictionaries}
        self._ranges: dict[str, tuple[widgets.FloatText, widgets.FloatText]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._make_fields()
        self._balance, self._fault = widgets.HTML(), widgets.HTML()
        self.outcomes = OutcomesChart()
        data = [self._dictionary, self._features, self._target, self._ranges_box, self._minimum_rows]
        training = [self._model, self._penalty, self._rounds, self._step, self._evaluate_every, self._metrics, self._key_bits]
        market = [self._aggregator, self._fewest, self._most, self._accept_minutes, self._train_hours, self._challenge_hours]
        money = [self._escrow, self._balance, self._minimum_reward, self._trainers, self._validators, self._share, self.outcomes]
        titles = ("What the data must have", "How to train", "Who takes part, and until when", "Money")
        groups = (data, training, market, money)
        boxes = [widgets.VBox([widgets.HTML(f"<h3>{title}</h3>"), *group]) for title, group in zip(titles, groups, strict=True)]
        for box in boxes:
            box.add_class("d-card")
        grid = widgets.VBox(boxes)
        grid.add_class("d-grid")
        super().__init__([grid, self._fault])
        self.add_class("t-request-form")
        self._choose_dictionary()
        self.update(aggregators or {}, balance_wei)
        self._preview()

    def update(self, aggregators: Mapping[str, str], balance_wei: int) -> None:
        """What has changed on the chain."""
        options = list(aggregators.items())
        if options != list(self._aggregator.options):
            kept = self._aggregator.value
            self._aggregator.options = options
            self._aggregator.value = kept if kept in aggregators.values() else next(iter(aggregators.values()), None)
        self._balance.value = f'<p class="d-muted">Your wallet holds {amount(balance_wei)}; the escrow and the gas come from it.</p>'

    def paint(self, *, dark: bool) -> None:
        """Take on the page's scheme."""
        self.outcomes.paint(dark=dark)

    def offer(self) -> Offer:
        """What the fields say.

        Raises:
            TermsError: they contradict each other; says what, and is shown in the form, too.
        """
        try:
            offer = self._offer()
        except DeltaMLError as error:
            self._fault.value = f'<p class="d-bad" role="alert">{escape(str(error))}</p>'
            raise
        self._fault.value = ""
        return offer

    def _offer(self) -> Offer:
        if not self._aggregator.value:
            raise TermsError("no aggregator is registered on this market yet: a request needs one")
        features = tuple(self._column(name) for name in self._features.value)
        if not features:
            raise TermsError("choose a feature at least")
        dictionary = self._dictionaries[self._dictionary.value]
        preprocessing = dictionary.preprocessing.only([*self._features.value, self._target.value])
        requirements = Requirements(features, self._column(self._target.value), self._minimum_rows.value, preprocessing)
        terms = TrainingTerms(
            requirements,
            model=self._model.value,
            penalty=0.0 if self._model.value == "linear" else self._penalty.value,
            rounds=self._rounds.value,
            step=self._step.value,
            evaluate_every=self._evaluate_every.value,
            metrics=self._metrics.value,
            contributions="shapley" if self._metrics.value == "verifiable" else "leave_one_out",
            key_bits=self._key_bits.value,
        )
        trainers, validators = self._trainers.value, self._validators.value
        if trainers + validators > 100:
            raise TermsError(f"trainers' {trainers} % and validators' {validators} % are more than everything: lower one of them")
        return Offer(
            terms=terms,
            aggregator=self._aggregator.value,
            escrow_wei=_wei(self._escrow.value, "the escrow"),
            minimum_owners=self._fewest.value,
            maximum_owners=self._most.value,
            acceptance_seconds=self._accept_minutes.value * 60,
            training_seconds=self._train_hours.value * HOUR,
            challenge_seconds=self._challenge_hours.value * HOUR,
            minimum_reward_wei=_wei(self._minimum_reward.value, "the minimum reward", zero=True),
            trainers_bps=100 * trainers,
            validators_bps=100 * validators,
            aggregator_bps=10_000 - 100 * (trainers + validators),
        )

    def _column(self, name: str) -> Column:
        low, high = self._ranges[name]
        if not low.value < high.value:
            raise TermsError(f"the range of {name} ends at {high.value:g}, which is not above its beginning {low.value:g}")
        return Column(name, low.value, high.value)

    def _make_fields(self) -> None:
        self._dictionary = widgets.Dropdown(description="Data dictionary", options=list(self._dictionaries), style=_WIDE, layout=_LAYOUT)
        self._dictionary.observe(lambda _: self._choose_dictionary(), names=["value"])
        self._features = widgets.SelectMultiple(description="Features", rows=8, style=_WIDE, layout=_LAYOUT)
        self._features.observe(lambda _: self._draw_ranges(), names=["value"])
        self._target = widgets.Dropdown(description="Target", style=_WIDE, layout=_LAYOUT)
        self._target.observe(lambda _: self._draw_ranges(), names=["value"])
        self._ranges_box = widgets.VBox()
        self._minimum_rows = _whole("Rows an owner needs", 20, 1, 10**9)
        self._model = widgets.Dropdown(description="Model", options=MODELS, style=_WIDE, layout=_LAYOUT)
        self._model.add_class("t-model-kind")
        self._penalty = widgets.FloatText(description="Penalty of the weights", value=0.01, step=0.01, style=_WIDE, layout=_LAYOUT)
        self._penalty.layout.display = "none"
        self._model.observe(lambda _: self._offer_penalty(), names=["value"])
        self._rounds = _whole("Rounds", 100, 1, 100_000)
        self._rounds.add_class("t-rounds")
        self._step = widgets.FloatText(description="Step of the gradient", value=1.5, step=0.1, style=_WIDE, layout=_LAYOUT)
        self._evaluate_every = _whole("Measure every … rounds", 2, 1, 100_000)
        self._metrics = widgets.Dropdown(description="Measurement", options=METRICS, style=_WIDE, layout=_LAYOUT)
        self._metrics.add_class("t-metrics")
        self._key_bits = widgets.Dropdown(
            description="Key", options=[("2048 bits", 2048), ("3072 bits", 3072)], style=_WIDE, layout=_LAYOUT
        )
        self._aggregator = widgets.Dropdown(description="Aggregator", style=_WIDE, layout=_LAYOUT)
        self._fewest = _whole("Owners, at least", 2, 2, 64)
        self._fewest.add_class("t-fewest")
        self._most = _whole("Owners, at most", 5, 2, 64)
        self._most.add_class("t-most")
        self._accept_minutes = _whole("Minutes to accept", 60, 1, 60 * 24 * 365)
        self._train_hours = _whole("Hours to train", 24, 1, 24 * 365)
        self._challenge_hours = _whole("Hours to refute the result", 1, 1, 24 * 30)
        self._escrow = widgets.Text(description="Escrow, ether", value="5", style=_WIDE, layout=_LAYOUT)
        self._escrow.add_class("t-escrow")
        self._minimum_reward = widgets.Text(description="Minimum reward, ether", value="0", style=_WIDE, layout=_LAYOUT)
        self._trainers = _whole("Trainers get, %", 70, 0, 100)
        self._validators = _whole("Validators get, %", 20, 0, 100)
        self._share = widgets.HTML()
        for field in (self._escrow, self._minimum_reward, self._trainers, self._validators, self._most):
            field.observe(lambda _: self._preview(), names=["value"])

    def _choose_dictionary(self) -> None:
        dictionary = self._dictionaries.get(self._dictionary.value or "")
        if dictionary is None:
            return
        self._ranges = {entry.column.name: _range_fields(entry.column) for entry in dictionary.entries}
        labels = [
            (f"{entry.column.name} – {entry.meaning}" if entry.meaning else entry.column.name, entry.column.name)
            for entry in dictionary.entries
        ]
        self._target.options = labels
        self._target.value = dictionary.target.column.name
        self._features.options = labels
        self._features.value = tuple(name for _, name in labels if name != dictionary.target.column.name)
        self._draw_ranges()

    def _draw_ranges(self) -> None:
        chosen = [name for name in (*self._features.value, self._target.value) if name in self._ranges]
        fold = widgets.Accordion([widgets.VBox([widgets.HBox(self._ranges[name]) for name in chosen])], titles=("Ranges of the values",))
        self._ranges_box.children = (fold,)

    def _offer_penalty(self) -> None:
        self._penalty.layout.display = "none" if self._model.value == "linear" else None

    def _preview(self) -> None:
        left = 100 - self._trainers.value - self._validators.value
        rest = f"The aggregator gets the rest, {left} %. Trainers earn by improvement; what they do not earn returns to you."
        self._share.value = f'<p class="d-muted">{rest}</p>'
        try:
            shares = (100 * self._trainers.value, 100 * self._validators.value, 100 * left)
            escrow, minimum = _wei(self._escrow.value, "the escrow"), _wei(self._minimum_reward.value, "the minimum reward", zero=True)
            self.outcomes.show(outcomes(escrow, self._most.value, IMPROVEMENTS, minimum_wei=minimum, shares_bps=shares))
            self._fault.value = ""
        except DeltaMLError as error:
            self._fault.value = f'<p class="d-bad" role="alert">{escape(str(error))}</p>'


def _whole(label: str, value: int, low: int, high: int) -> widgets.BoundedIntText:
    return widgets.BoundedIntText(description=label, value=value, min=low, max=high, style=_WIDE, layout=_LAYOUT)


def _range_fields(column: Column) -> tuple[widgets.FloatText, widgets.FloatText]:
    narrow = {"width": "13em"}
    low = widgets.FloatText(description=f"{column.name} from", value=column.low, style={"description_width": "8em"}, layout=narrow)
    high = widgets.FloatText(description="to", value=column.high, style={"description_width": "2em"}, layout={"width": "8em"})
    return low, high


def _wei(text: str, what: str, *, zero: bool = False) -> int:
    """An amount of ether that a person typed, in wei."""
    try:
        amount = Decimal(text.strip().replace(",", ".")) * ETHER
    except InvalidOperation:
        raise TermsError(f"{what} is {text!r}, which is no amount of ether: write a number such as 2.5") from None
    if not amount.is_finite() or amount < 0 or (amount == 0 and not zero) or amount != int(amount):
        raise TermsError(f"{what} must be a positive amount of ether with at most 18 decimals, not {text!r}")
    return int(amount)
