"""The Data Owner's two roles (T§7.1): a trainer improves the encrypted model on its rows, a validator measures it on its own.

Who learns what: neither sees a weight. What leaves an owner is encrypted and freshly randomised; the aggregator cannot read it, and
the buyer is shown sums only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np

from deltaml_core import fixedpoint, models
from deltaml_core.contributions import ErrorOf, GramErrors, gains, worst_harm
from deltaml_core.errors import MessageError, MetricError, TermsError
from deltaml_core.measurement import Measurement, pairs
from deltaml_core.messages import (
    ApproveResult,
    AskMasks,
    Evaluate,
    FinalModel,
    LeaveOut,
    Measured,
    Message,
    MetricAnnounced,
    OwnerDropped,
    OwnerReady,
    ProposeResult,
    SentErrors,
    SentModel,
    SoloModel,
    SquaredErrors,
    Subject,
    Train,
    TrainAlone,
    Update,
)
from deltaml_core.metrics import validator_part
from deltaml_core.models import AffineMap
from deltaml_core.party import Party
from deltaml_core.recent import Recent
from deltaml_core.refresh import draw_masks
from deltaml_core.releases import Releases
from deltaml_core.schedule import MAXIMUM_PARTIES, Kind, final_scale, measurements, most_measurements, rests_on
from deltaml_core.schemes.base import LinearMap
from deltaml_core.schemes.levelling import public_matrix
from deltaml_core.statistics import Source, Statistics
from deltaml_core.told import Told, tell_errors, tell_model
from deltaml_core.transcript import ciphertexts_hash

_ROUNDING = 1e-6  # of the bound on v: it is computed in floating point


class _Owner:
    """What both roles do.

    Attributes:
        dropped: whether it was silent for so long that the run goes on without it; it answers nothing any more.
    """

    def __init__(self, party: Party, rows: int) -> None:
        self._party = party
        self._reported_rows = rows
        self._final: FinalModel | None = None
        self.dropped = False

    def ready(self) -> Message:
        """Report for work."""
        return self._party.say(OwnerReady, self._party.aggregator, 0, rows=self._reported_rows)

    def deliver(self) -> Message:
        """The final encrypted model for the buyer, once the contract has settled: an aggregator cannot withhold it.

        Raises:
            MessageError: this owner has not received it.
        """
        if self._final is None:
            raise MessageError(f"{self._party.name} has not received the final model")
        content = {"scale": self._final.scale, "weights": self._final.weights}
        return self._party.say(FinalModel, self._party.buyer, self._final.round, **content)

    def _check_initial(self, asked: Train | TrainAlone | Evaluate) -> None:
        """Weights somebody else chose to start from could be so large that no mask hides what is computed from them.

        Raises:
            MessageError: they are not the zeros everybody recognises.
        """
        if asked.weights != self._party.key.zeros(self._party.terms.weights):
            raise self._party.unexpected(asked, "training starts from zeros that everybody recognises, not from these weights")

    def _admit(self, message: Message, senders: Collection[str]) -> None:
        self._party.admit(message, senders)
        if self.dropped:
            raise self._party.gone(message, self._party.name)

    def _note_drop(self, message: OwnerDropped) -> list[Message]:
        self.dropped = message.owner == self._party.name
        return []

    def _keep(self, model: FinalModel) -> list[Message]:
        if model.round != self._party.terms.rounds or model.scale != final_scale(self._party.steps):
            raise self._party.unexpected(model, "it is not the last round's model")
        self._party.key.check(model.weights, self._party.terms.weights, model.sender)
        self._final = model
        return []


class Trainer(_Owner):
    """An owner that trains."""

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = (Train, AskMasks, TrainAlone, MetricAnnounced)

    def __init__(self, party: Party, dataset: Source, validators: Collection[str] = (), *, statistics: Statistics | None = None) -> None:
        """Scan the data once and check that training on it stays within the terms' bounds.

        Args:
            party: the seat.
            dataset: the rows.
            validators: who is told which models were sent to be compared.
            statistics: what to train on instead of what the rows give (`privacy.Release.for_training`).

        Raises:
            RequirementsError: the data does not match the request.
            DivergentStepError: the terms' step is too long for it.
            ScaleBudgetError: the key is too small for the terms.
        """
        terms = party.terms
        if statistics is None:
            statistics = dataset.select(terms.requirements).statistics()
            terms.objective.check(statistics)
        self._statistics = terms.objective.prepare(statistics)
        super().__init__(party, self._statistics.rows)
        self._scales = {step.round: step.scale for step in party.steps if step.kind is Kind.TRAIN}
        self._update = terms.objective.update(self._statistics, terms.step, terms.local_steps)
        if np.linalg.norm(self._update.v) > terms.update_bound * (1 + _ROUNDING):
            raise TermsError("this data's update exceeds the bound that follows from the terms' ranges")
        self._validators = tuple(validators) if terms.metrics == "verifiable" else ()
        self._prepared: Recent[int, tuple[AffineMap, LinearMap]] = Recent(1)

    def handle(self, message: Message) -> list[Message]:
        """Answer a message; metrics are only noted. What validators are told comes first.

        Raises:
            MessageError: it is not due, its numbers are malformed, or this owner was dropped.
        """
        self._admit(message, {self._party.aggregator})
        match message:
            case Train():
                update = self._train(message)
                return [*tell_model(self._party, update, self._validators if self._party.terms.robust else ()), update]
            case AskMasks():
                return [draw_masks(self._party, message, trains=True)]
            case TrainAlone():
                solo = self._train_alone(message)
                return [*tell_model(self._party, solo, self._validators), solo]
            case MetricAnnounced():
                return []
            case OwnerDropped():
                self._validators = tuple(validator for validator in self._validators if validator != message.owner)
                return self._note_drop(message)
            case FinalModel():
                return self._keep(message)
        raise self._party.unexpected(message)

    def _train(self, asked: Train) -> Update:
        if self._scales.get(asked.round) != asked.scale:
            raise self._party.unexpected(asked, f"a scale of {asked.scale} bits is not on the schedule")
        if not 1 <= asked.trainers <= MAXIMUM_PARTIES:
            raise MessageError(f"{asked.trainers} trainers are not between 1 and {MAXIMUM_PARTIES}", asked.sender)
        prepared = self._prepared.get(asked.trainers, lambda: self._prepare(self._update, asked.trainers))
        scale, weights = self._apply(asked, *prepared)
        return self._party.say(Update, asked.sender, asked.round, scale=scale, trainers=asked.trainers, weights=weights)

    def _train_alone(self, asked: TrainAlone) -> SoloModel:
        terms, key = self._party.terms, self._party.sending_key
        if (asked.round, asked.scale) != (terms.rounds, terms.base_scale) or asked.rows < self._statistics.rows:
            raise self._party.unexpected(asked, "its round, scale or number of rows cannot be right")
        scale, weights = self._apply(asked, *self._prepare(models.power(self._update, terms.rounds), 1))
        share = key.encrypt([fixedpoint.encode(Fraction(self._statistics.target_sum) / asked.rows, scale)])
        content = {"scale": scale, "rows": asked.rows, "weights": weights, "target_share": share}
        return self._party.say(SoloModel, asked.sender, asked.round, **content)

    def _prepare(self, update: AffineMap, trainers: int) -> tuple[AffineMap, LinearMap]:
        share = AffineMap(update.M / trainers, update.v / trainers)
        bits, d = self._party.terms.map_bits, self._party.terms.weights
        matrix = [fixedpoint.encode_array(row, bits) for row in share.M]
        scale = 2.0**bits / (trainers * math.sqrt(d))  # |M|_2 <= 1, so the squares of M's d**2 entries sum to d at most
        return share, self._party.key.prepare(matrix, public_matrix([[scale] * d] * d))

    def _apply(self, asked: Train | TrainAlone, share: AffineMap, linear: LinearMap) -> tuple[int, tuple[int, ...]]:
        terms, key = self._party.terms, self._party.sending_key
        weights = key.check(asked.weights, terms.weights, asked.sender)
        if isinstance(asked, TrainAlone) or asked.round == 1:
            self._check_initial(asked)
        scale = asked.scale + terms.map_bits
        return scale, key.affine(linear, fixedpoint.encode_array(share.v, scale), weights)


class Validator(_Owner):
    """An owner that measures, and stands for the result with its signature.

    Attributes:
        approved: the result it stands for, once it has recomputed it; its node signs that, and nothing else.
    """

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(
        self,
        party: Party,
        dataset: Source,
        releases: Releases | None = None,
        *,
        validators: Sequence[str],
        trainers: Sequence[str],
        statistics: Statistics | None = None,
    ) -> None:
        """Check the data against the terms.

        Args:
            party: the seat.
            dataset: the rows.
            releases: what was opened of them before; by default nothing.
            validators: all who measure, as the contract dealt them.
            trainers: all who train, in the contract's order.
            statistics: what to measure on instead of the rows (`privacy.Release.for_measuring`).

        Raises:
            RequirementsError: the data does not match the request.
            TermsError: these statistics cannot take the rows' place in the terms' measurement.
            ScaleBudgetError: the key is too small for the terms.
        """
        rows = dataset.select(party.terms.requirements)
        if statistics is None and party.terms.objective.classifies:
            party.terms.objective.check(rows.statistics())
        super().__init__(party, rows.rows)
        self._due = measurements(party.terms, party.steps)
        self._most = most_measurements(party.terms)
        self._metrics = validator_part(party, rows, statistics)
        self._asked: dict[int, Evaluate] = {}
        self._evaluated: dict[int, bytes] = {}
        self._history: dict[int, Measurement] = {}
        self._coalitions: dict[tuple[str, ...], Measurement] = {}
        self._solo_models: Measurement | None = None
        self._updates: dict[int, Measurement] = {}
        self._left_out: set[str] = set()
        self._dropped_validators = 0
        self._releases = releases or Releases()
        self._told = Told(party, validators, trainers)
        self.approved: ProposeResult | None = None

    def handle(self, message: Message) -> list[Message]:
        """Answer a message. What other validators are told comes first.

        Raises:
            MessageError: it is not due, its numbers are malformed, it proposes a result that does not follow from the metrics, or this
                owner was dropped.
        """
        if isinstance(message, SentErrors | SentModel):
            self._admit(message, {message.sender})
            return self._told.hear(message)
        of_metrics = isinstance(message, self._metrics.kinds)
        self._admit(message, {self._party.buyer if of_metrics else self._party.aggregator})
        if of_metrics:
            answers = self._metrics.handle(message)
            sent = [answer for answer in answers if isinstance(answer, SquaredErrors)]
            return [*(told for errors in sent for told in tell_errors(self._party, errors, self._told.validators)), *answers]
        match message:
            case Evaluate():
                return self._measure(message)
            case MetricAnnounced() | Measured():
                return self._note(message)
            case LeaveOut():
                return self._confirm(message)
            case OwnerDropped():
                return self._drop(message)
            case AskMasks():
                return [draw_masks(self._party, message, trains=False)]
            case ProposeResult():
                return [self._approve(message)]
            case FinalModel():
                return self._keep(message)
        raise self._party.unexpected(message)

    def _measure(self, asked: Evaluate) -> list[Message]:
        if asked.subject not in set(Subject):
            raise self._party.unexpected(asked, f"there is no subject {asked.subject!r}")
        small = all(1 <= number <= MAXIMUM_PARTIES for number in (asked.models, asked.numerator, asked.denominator))
        if not small or (asked.round, asked.scale) not in self._due.get(Subject(asked.subject), frozenset()):
            raise self._party.unexpected(asked, "it is not on the schedule")
        others = [o for n, o in self._asked.items() if (o.subject, o.round) == (asked.subject, asked.round) and n != asked.evaluation]
        if len(others) >= self._most_of(Subject(asked.subject), asked.round):
            raise self._party.unexpected(asked, f"everything that is to be measured of subject {asked.subject!r} was measured before")
        federated = asked.subject == Subject.MODEL
        factor = (asked.models if asked.subject == Subject.UPDATES else 1, 1)
        verifiable = self._party.terms.metrics == "verifiable"  # the noise metric measures sums of solo models, one at a time
        if (federated or verifiable) and (asked.numerator, asked.denominator) != factor:
            raise self._party.unexpected(asked, f"{asked.subject} is measured times {factor[0]}, and nothing else")
        if federated and asked.models != 1:
            raise self._party.unexpected(asked, "there is one federated model")
        if not verifiable and asked.models != 1:
            raise self._party.unexpected(asked, "the noise metric measures one model at a time")
        # at the same weights once more it is the same equation in this validator's statistics
        known = federated and asked.round in (0, self._party.terms.rounds) and asked.round not in self._evaluated
        weights = self._party.key.check(asked.weights, asked.models * self._party.terms.weights, asked.sender)
        measured = ciphertexts_hash(weights, self._party.key)
        if federated and asked.round == 0:
            self._check_initial(asked)
        if federated and self._evaluated.get(asked.round, measured) != measured:
            raise self._party.unexpected(asked, "it has measured other weights of that round")
        comparing = verifiable and asked.subject in (Subject.COALITION, Subject.SOLO_MODELS)
        if comparing and any(other.weights != asked.weights for other in others):
            raise self._party.unexpected(asked, "it has compared other solo models")
        if self._asked.get(asked.evaluation, asked) != asked:
            raise self._party.unexpected(asked, f"measurement {asked.evaluation} was asked for otherwise before")
        if asked.evaluation not in self._asked:  # the same once more tells nothing more
            self._releases.spend(len(pairs(asked.models)), known=known, weights=self._party.terms.weights)
        answers = self._metrics.measure(asked)
        if federated:
            self._evaluated[asked.round] = measured
        self._asked[asked.evaluation] = asked
        return answers

    def _most_of(self, subject: Subject, number: int) -> int:
        """Measurements of a kind in a round: what a result rests on once more for every validator that was dropped."""
        again = self._dropped_validators if rests_on(self._party.terms, subject, number) else 0
        return self._most[subject] * (1 + again)

    def _drop(self, message: OwnerDropped) -> list[Message]:
        """Go on without an owner. What was measured with a validator that is gone no longer counts."""
        validators = self._told.validators
        self._told.drop(message)
        if message.owner in validators:
            self._dropped_validators += 1
            self._history, self._coalitions, self._solo_models = {}, {}, None
        return self._note_drop(message)

    def _note(self, announced: MetricAnnounced | Measured) -> list[Message]:
        asked = self._asked.get(announced.evaluation)
        measurement = self._metrics.check(announced)
        if asked is None or measurement is None or asked.round != announced.round or asked.models != measurement.models:
            raise self._party.unexpected(announced, "it was not measured here")
        if measurement.scale != asked.scale + self._party.terms.row_bits:
            raise MetricError(f"measurement {asked.evaluation} is announced at another scale than it was asked for", announced.sender)
        if isinstance(announced, Measured):
            self._told.check_errors(announced)
        match asked.subject:
            case Subject.MODEL:
                self._history[asked.round] = measurement
            case Subject.SOLO_MODELS:
                self._solo_models = measurement
            case Subject.UPDATES:
                self._updates[asked.evaluation] = measurement
            case _:
                coalition = announced.coalition if isinstance(announced, MetricAnnounced) else ()
                self._coalitions[coalition] = measurement
        return []

    def _confirm(self, proposed: LeaveOut) -> list[Message]:
        gram = self._updates.get(proposed.evaluation)
        if gram is None or gram.models != len(proposed.trainers):
            raise self._party.unexpected(proposed, "these updates were not measured here")
        if proposed.trainers != tuple(trainer for trainer in self._told.trainers if trainer not in self._left_out):
            raise MetricError("the trainers it compares are not those still training, in their order", proposed.sender)
        self._told.check_models(self._asked[proposed.evaluation], proposed.trainers, proposed.sender)
        if worst_harm(proposed.trainers, GramErrors(proposed.trainers, gram)) != proposed.left:
            raise MetricError(f"leaving {proposed.left} out does not follow from the measured updates", proposed.sender)
        self._left_out.add(proposed.left)
        return []

    def _approve(self, proposed: ProposeResult) -> ApproveResult:
        last = self._party.terms.rounds
        if proposed.round != last:
            raise self._party.unexpected(proposed, "a result is proposed in the last round")
        if not {0, last} <= self._history.keys():
            raise self._party.unexpected(proposed, "the first or the last measurement is missing")
        if proposed.trainers != self._told.dealt:
            raise MetricError("its trainers are not those that the contract dealt, in its order", proposed.sender)
        means = [asked for asked in self._asked.values() if asked.subject == Subject.COALITION]
        for asked in self._asked.values():
            if asked.subject == Subject.SOLO_MODELS:
                told = self._told.check_models(asked, self._told.trainers, proposed.sender)
                for mean in means:
                    self._told.check_mean(mean, told, proposed.sender)
        final = self._history[last]
        claims: dict[str, tuple[object, object]] = {
            "initial error": (proposed.initial, self._history[0].metric.units),
            "final error": (proposed.final, final.metric.units),
            "scale": (proposed.scale, 2 * final.scale),
            "rows": (proposed.rows, final.rows),
            "rows before and after": (self._history[0].rows, final.rows),
            "gains": (proposed.gains, self._gains(proposed)),
            "final weights": (proposed.weights_hash, self._evaluated.get(last, b"").hex()),
        }
        if final.ciphertexts:  # the noise metric ends in none that a validator could know
            claims["metric"] = (proposed.metric_hash, ciphertexts_hash(final.ciphertexts, self._party.key).hex())
        for name, (claimed, found) in claims.items():
            if claimed != found:
                raise MetricError(f"the proposed result's {name} does not follow from the measurements", proposed.sender)
        self._metrics.stand(proposed.sender)
        self.approved = proposed
        return self._party.say(ApproveResult, proposed.sender, proposed.round, weights_hash=proposed.weights_hash)

    def _gains(self, proposed: ProposeResult) -> tuple[int, ...]:
        error: ErrorOf = {coalition: measurement.metric for coalition, measurement in self._coalitions.items()}.__getitem__
        try:
            if self._solo_models is not None:
                error = GramErrors(self._told.trainers, self._solo_models, self._coalitions[()].metric)
            return tuple(gains(self._party.terms.contributions, proposed.trainers, error, self._left_out, self._told.dropped))
        except (KeyError, ValueError) as error:
            raise self._party.unexpected(proposed, f"the measurements do not tell these trainers' gains ({error})") from error
