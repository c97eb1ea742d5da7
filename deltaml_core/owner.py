"""The Data Owner's two roles (T§7.1): a trainer improves the encrypted model on its rows, a validator measures it on its own.

Who learns what: neither sees a weight. A trainer's update leaves encrypted and freshly randomised; the aggregator cannot read it,
the buyer is shown sums only.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from deltaml_core import fixedpoint, models
from deltaml_core.contributions import gains
from deltaml_core.errors import MessageError, MetricError, TermsError
from deltaml_core.messages import (
    ApproveResult,
    Evaluate,
    Message,
    MetricAnnounced,
    OwnerReady,
    ProposeResult,
    SoloModel,
    Train,
    TrainAlone,
    Update,
)
from deltaml_core.metrics.base import Metric
from deltaml_core.metrics.noise import NoiseValidator
from deltaml_core.models import AffineMap
from deltaml_core.party import Party
from deltaml_core.schedule import Kind
from deltaml_core.schemes.base import LinearMap
from deltaml_core.statistics import Dataset, Statistics
from deltaml_core.transcript import ciphertexts_hash

_MAXIMUM_PARTIES = 64  # of a request, as in the contract
_ROUNDING = 1e-6  # of the bound on v: it is computed in floating point


class Trainer:
    """An owner that trains."""

    def __init__(self, party: Party, dataset: Dataset) -> None:
        """Scan the data once and check that training on it stays within the terms' bounds.

        Raises:
            RequirementsError: the data does not match the request.
            DivergentStepError: the terms' step is too long for it.
            ScaleBudgetError: the key is too small for the terms.
        """
        self._party = party
        self._aggregator = ""
        terms = party.terms
        self._scales = {step.round: step.scale for step in party.steps if step.kind is Kind.TRAIN}
        self._statistics = Statistics.of(dataset.select(terms.requirements))
        self._update = models.local_steps(self._statistics, terms.step, terms.local_steps)
        if np.linalg.norm(self._update.v) > terms.update_bound * (1 + _ROUNDING):
            raise TermsError("this data's update exceeds the bound that follows from the terms' ranges")
        self._prepared: dict[int, tuple[AffineMap, LinearMap]] = {}

    def ready(self, aggregator: str) -> Message:
        """Report for work; from then on this aggregator is listened to, and nobody else."""
        self._aggregator = aggregator
        return self._party.say(OwnerReady, aggregator, 0, rows=self._statistics.rows)

    def handle(self, message: Message) -> list[Message]:
        """Answer a message; metrics are only noted.

        Raises:
            MessageError: it is not due, or its numbers are malformed.
        """
        self._party.admit(message, self._aggregator)
        match message:
            case Train():
                return [self._train(message)]
            case TrainAlone():
                return [self._train_alone(message)]
            case MetricAnnounced():
                return []
        raise self._party.unexpected(message)

    def _train(self, asked: Train) -> Update:
        if self._scales.get(asked.round) != asked.scale:
            raise self._party.unexpected(asked, f"a scale of {asked.scale} bits is not on the schedule")
        if asked.trainers not in self._prepared:
            self._prepared[asked.trainers] = self._prepare(self._update, self._count(asked.trainers, asked))
        scale, weights = self._apply(asked, *self._prepared[asked.trainers])
        return self._party.say(Update, asked.sender, asked.round, scale=scale, weights=weights)

    def _train_alone(self, asked: TrainAlone) -> SoloModel:
        terms, key = self._party.terms, self._party.key
        if asked.scale != terms.base_scale or asked.rows < self._statistics.rows:
            raise self._party.unexpected(asked, "its scale or number of rows cannot be right")
        alone = models.power(self._update, terms.rounds)
        scale, weights = self._apply(asked, *self._prepare(alone, self._count(asked.trainers, asked)))
        share = key.encrypt([fixedpoint.encode(Fraction(self._statistics.target_sum) / asked.rows, scale)])
        return self._party.say(SoloModel, asked.sender, asked.round, scale=scale, weights=weights, target_share=share)

    def _prepare(self, update: AffineMap, trainers: int) -> tuple[AffineMap, LinearMap]:
        share = AffineMap(update.M / trainers, update.v / trainers)
        matrix = [fixedpoint.encode_array(row, self._party.terms.map_bits) for row in share.M]
        return share, self._party.key.prepare(matrix)

    def _apply(self, asked: Train | TrainAlone, share: AffineMap, linear: LinearMap) -> tuple[int, tuple[int, ...]]:
        terms, key = self._party.terms, self._party.key
        weights = key.check(asked.weights, terms.weights, asked.sender)
        scale = asked.scale + terms.map_bits
        return scale, key.affine(linear, fixedpoint.encode_array(share.v, scale), weights)

    def _count(self, trainers: int, message: Message) -> int:
        if not 1 <= trainers <= _MAXIMUM_PARTIES:
            raise MessageError(f"{trainers} trainers are not between 1 and {_MAXIMUM_PARTIES}", message.sender)
        return trainers


class Validator:
    """An owner that measures."""

    def __init__(self, party: Party, dataset: Dataset) -> None:
        """Check the data against the terms.

        Raises:
            RequirementsError: the data does not match the request.
            ScaleBudgetError: the key is too small for the terms.
        """
        self._party = party
        self._aggregator = ""
        self._measured = [(step.round, step.scale) for step in party.steps if step.kind is Kind.EVALUATE]
        dataset = dataset.select(party.terms.requirements)
        self._rows = dataset.rows
        self._metrics = NoiseValidator(party, dataset)
        self._history: dict[int, Metric] = {}
        self._coalitions: dict[tuple[str, ...], Metric] = {}
        self._evaluated: dict[int, bytes] = {}

    def ready(self, aggregator: str) -> Message:
        """Report for work; from then on this aggregator is listened to, and nobody else."""
        self._aggregator = aggregator
        return self._party.say(OwnerReady, aggregator, 0, rows=self._rows)

    def handle(self, message: Message) -> list[Message]:
        """Answer a message.

        Raises:
            MessageError: it is not due, its numbers are malformed, or it proposes a result that does not follow from the metrics.
        """
        self._party.admit(message, self._aggregator)
        match message:
            case Evaluate():
                return self._measure(message)
            case MetricAnnounced():
                metric = self._metric(message)
                if message.of_coalition:
                    self._coalitions[message.coalition] = metric
                else:
                    self._history[message.round] = metric
                return []
            case ProposeResult():
                return [self._approve(message)]
        raise self._party.unexpected(message)

    def _measure(self, asked: Evaluate) -> list[Message]:
        terms = self._party.terms
        federated = asked.evaluation < len(self._measured)
        due = self._measured[asked.evaluation] if federated else (terms.rounds, terms.base_scale + terms.map_bits)
        largest = 1 if federated else _MAXIMUM_PARTIES
        if (asked.round, asked.scale) != due or not (1 <= asked.numerator <= largest and 1 <= asked.denominator <= largest):
            raise self._party.unexpected(asked, "it is not on the schedule")
        answers = self._metrics.measure(asked)
        if federated:
            measured = ciphertexts_hash(asked.weights, self._party.key)
            if self._evaluated.setdefault(asked.round, measured) != measured:
                raise self._party.unexpected(asked, "it has measured other weights of that round")
        return answers

    def _metric(self, announced: MetricAnnounced) -> Metric:
        if announced.squared_error < 0 or announced.rows < self._rows or announced.scale > self._party.key.capacity:
            raise MetricError("its squared error, rows and scale cannot be those of a measurement", announced.sender)
        return Metric(announced.squared_error, announced.scale, announced.rows)

    def _approve(self, proposed: ProposeResult) -> ApproveResult:
        terms = self._party.terms
        if not {0, terms.rounds} <= self._history.keys():
            raise self._party.unexpected(proposed, "the first or the last measurement is missing")
        try:
            gained = tuple(gains(terms.contributions, proposed.trainers, self._coalitions))
        except TermsError as error:
            raise self._party.unexpected(proposed, str(error)) from error
        claims: Mapping[str, tuple[object, object]] = {
            "initial error": (proposed.initial, self._history[0].units),
            "final error": (proposed.final, self._history[terms.rounds].units),
            "gains": (proposed.gains, gained),
            "final weights": (proposed.weights_hash, self._evaluated.get(terms.rounds, b"").hex()),
        }
        for name, (claimed, found) in claims.items():
            if claimed != found:
                raise MetricError(f"the proposed result's {name} does not follow from the measurements", proposed.sender)
        return self._party.say(ApproveResult, proposed.sender, proposed.round, weights_hash=proposed.weights_hash)
