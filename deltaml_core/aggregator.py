"""The Federated Aggregator (T§7.1): walks the run's schedule, averages encrypted updates, and has the model measured.

Who learns what: it sees ciphertexts only, and the errors everybody sees; with `metrics="noise"` the validators' residuals too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar

from deltaml_core.comparison import Comparison
from deltaml_core.contributions import GramErrors, worst_harm
from deltaml_core.errors import MessageError
from deltaml_core.measurement import Measurement, Metric
from deltaml_core.messages import (
    ApproveResult,
    FinalModel,
    InitialModel,
    LeaveOut,
    Message,
    MetricConfirmed,
    OpenedMasked,
    OpenedResiduals,
    OpenedSums,
    OwnerDropped,
    OwnerReady,
    ProposeResult,
    Refreshed,
    Residuals,
    SoloModel,
    SquaredErrors,
    Subject,
    Train,
    Update,
)
from deltaml_core.metrics import aggregator_part
from deltaml_core.metrics.base import Evaluation, Finished, announcement
from deltaml_core.party import Party
from deltaml_core.refresh import aggregator_refresh
from deltaml_core.schedule import Kind, Step
from deltaml_core.schemes.base import Ciphertexts, Opening
from deltaml_core.transcript import Transcript, ciphertexts_hash

_OF_THE_BUYER = (InitialModel, OpenedMasked, OpenedResiduals, OpenedSums, MetricConfirmed, Refreshed)


class Aggregator:
    """The role that runs a training.

    Attributes:
        history: (round, metric) of the federated model, as measured so far. A round that was measured once more, without a validator
            that has vanished, is there again; the later one counts.
        opening: the ciphertext of the latest round's error with its opening, where the metrics prove one.
        gains: each trainer's gain in units of 10**-18, once measured.
        gain_errors: their standard errors, 0 unless they were sampled.
        left_out: trainers whose updates are no longer used (`robust`).
        dropped: owners that were silent for too long; the run goes on without them.
        proposal: the result, as proposed to the validators.
        approvals: the validators that stand for it.
        transcript: every message of the run; its transport writes it, the role reads its hash.
    """

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(
        self,
        party: Party,
        trainers: Sequence[str],
        validators: Sequence[str],
        transcript: Transcript,
        initial_hash: bytes | None = None,
    ) -> None:
        """Take the aggregator's seat.

        Args:
            party: the seat.
            trainers: as the contract dealt them, in its order.
            validators: likewise.
            transcript: what its transport writes.
            initial_hash: what the request states of the initial weights; None where no request stands behind the run.

        Raises:
            ScaleBudgetError: the key is too small for the terms.
        """
        self._party = party
        self._trainers = tuple(trainers)
        self._active = self._trainers
        self._validators = tuple(validators)
        self._comparison = Comparison(party, trainers, transcript.blinding)
        self._metrics = aggregator_part(party, validators)
        self._refresh = aggregator_refresh(party, trainers, validators, transcript.blinding)
        self._agenda: deque[Step] = deque(party.steps)
        self._step: Step | None = None
        self._held = False
        self._initial_hash = initial_hash
        self._metric_hash = b""
        self._initial: Ciphertexts = ()
        self._weights: Ciphertexts = ()
        self._scale = party.terms.base_scale
        self._rows: dict[str, int] = {}
        self._updates: dict[str, Update] = {}
        self._superseded: set[int] = set()
        self._evaluations: deque[Evaluation] = deque()
        self._measured = 0
        self._failed: str | None = None
        self.history: list[tuple[int, Metric]] = []
        self.opening: tuple[int, Opening] | None = None
        self.gains: dict[str, int] = {}
        self.gain_errors: dict[str, float] = {}
        self.left_out: list[str] = []
        self.dropped: list[str] = []
        self.proposal: ProposeResult | None = None
        self.approvals: list[str] = []
        self.transcript = transcript

    @property
    def done(self) -> bool:
        """Whether a majority of the validators stands for the result."""
        return 2 * len(self.approvals) > len(self._validators)

    @property
    def failed(self) -> str | None:
        """Why no result can come of the run any more; None while one can. Then nobody is asked for anything."""
        return self._failed or self._metrics.failed

    @property
    def awaited(self) -> frozenset[str]:
        """The owners whose own answer the step under way still lacks."""
        if self.failed or self.done:
            return frozenset()
        if self.proposal is not None:
            return frozenset(self._judges) - set(self.approvals)
        if self._step is None:
            return frozenset(self._owners) - self._rows.keys()
        training = frozenset(self._active) - self._updates.keys() if self._step.kind is Kind.TRAIN else frozenset()
        return training | self._comparison.awaited | self._refresh.awaited | self._metrics.awaited

    @property
    def weights_hash(self) -> bytes:
        """Of the encrypted weights as they stand; after the last round, the paid model's."""
        return ciphertexts_hash(self._weights, self._party.key)

    def handle(self, message: Message) -> list[Message]:
        """Take the next step the message allows.

        Raises:
            MessageError: it is not due, its numbers are malformed, or its sender was dropped; it names the sender, and nothing has
                changed, but for `failed` when a measurement is reported to have failed.
        """
        to_itself = {self._party.aggregator} if isinstance(message, OwnerDropped) else set()
        self._party.admit(message, to_itself or {self._party.buyer, *self._trainers, *self._validators})
        if message.sender in self.dropped:
            raise self._party.gone(message, message.sender)
        if self.failed:
            raise self._party.unexpected(message, f"the request has failed: {self.failed}")
        answers = self._dispatch(message)
        if self.gains and self.proposal is None:
            answers += self._propose()
        return answers

    def deliver(self, recipient: str | None = None) -> Message:
        """The final encrypted model: for the buyer once the contract has settled, for owners to keep."""
        content = {"scale": self._scale, "weights": self._weights}
        return self._party.say(FinalModel, recipient or self._party.buyer, self._party.terms.rounds, **content)

    def drop(self, owner: str) -> OwnerDropped:
        """What its node says to it in its name when an owner that is `awaited` was silent for the terms' `owner_timeout`."""
        return self._party.say(OwnerDropped, self._party.name, self._step.round if self._step else 0, owner=owner)

    def _dispatch(self, message: Message) -> list[Message]:
        if isinstance(message, _OF_THE_BUYER):
            self._from_buyer(message)
        if isinstance(message, self._metrics.kinds):
            return self._measure_on(message)
        if isinstance(message, self._refresh.kinds):
            return self._refresh_on(message)
        match message:
            case InitialModel():
                return self._initialise(message)
            case OwnerReady():
                return self._welcome(message)
            case Update():
                return self._collect_update(message)
            case SoloModel():
                return self._collect_solo_model(message)
            case ApproveResult():
                return self._approved(message)
            case OwnerDropped():
                return self._go_on_without(message)
        raise self._party.unexpected(message)

    # --- setting out ---

    def _initialise(self, message: InitialModel) -> list[Message]:
        if self._initial or message.round:
            raise self._party.unexpected(message, "training has its initial weights, or they are not of round 0")
        weights = self._party.key.check(message.weights, self._party.terms.weights, message.sender)
        if self._initial_hash not in (None, ciphertexts_hash(weights, self._party.key)):
            raise MessageError("these initial weights are not those the request was posted with", message.sender)
        self._initial = self._weights = weights
        return self._begin_when_complete()

    def _welcome(self, message: OwnerReady) -> list[Message]:
        if message.sender not in (*self._trainers, *self._validators) or message.sender in self._rows:
            raise self._party.unexpected(message, "it has no role in this request, or has reported before")
        if message.rows < 1 or message.round:
            raise MessageError("an owner brings at least one row, in round 0", message.sender)
        self._rows[message.sender] = message.rows
        return self._begin_when_complete()

    def _begin_when_complete(self) -> list[Message]:
        complete = self._initial and self._rows.keys() >= set(self._owners)
        return self._advance() if complete else []

    # --- the schedule ---

    def _advance(self) -> list[Message]:
        """Begin the next step. Training goes on while the model is measured, until the next measurement; what needs its result waits."""
        following = self._agenda[0].kind
        waits = self._party.terms.robust or following in (Kind.EVALUATE, Kind.CONTRIBUTIONS)
        self._held = self._metrics.busy and waits
        if self._held:
            return []
        self._step = self._agenda.popleft()
        match following:
            case Kind.TRAIN:
                self._superseded = set()
                return self._ask_trainers()
            case Kind.REFRESH:
                return self._refresh.begin(self._step.round, self._weights, self._scale)
            case Kind.EVALUATE:
                model = Evaluation(self._measured, self._step.round, Subject.MODEL, self._weights, self._scale)
                return self._measure([model]) + self._advance()
            case Kind.CONTRIBUTIONS:
                return self._ask_solo_models()

    def _ask_trainers(self) -> list[Message]:
        self._updates = {}
        content = {"scale": self._scale, "trainers": len(self._active), "weights": self._weights}
        return [self._party.say(Train, trainer, self._current.round, **content) for trainer in self._active]

    def _collect_update(self, update: Update) -> list[Message]:
        self._due(update, Kind.TRAIN)
        if update.sender not in self._active or update.sender in self._updates:
            raise self._party.unexpected(update, "it was not asked, or has answered")
        if update.trainers in self._superseded:
            return []  # it crossed the news that a trainer was dropped; the answer to the second question follows
        if update.scale != self._scale + self._party.terms.map_bits or update.trainers != len(self._active):
            raise self._party.unexpected(update, "its scale or number of trainers is not what was asked for")
        self._party.key.check(update.weights, self._party.terms.weights, update.sender)
        self._updates[update.sender] = update
        if len(self._updates) < len(self._active):
            return []
        if self._party.terms.robust and len(self._active) > 1:
            weights = tuple(value for trainer in self._active for value in self._updates[trainer].weights)
            models = len(self._active)
            evaluation = Evaluation(self._measured, update.round, Subject.UPDATES, weights, update.scale, models, numerator=models)
            return self._measure([evaluation])
        return self._average()

    def _average(self) -> list[Message]:
        total = self._party.sum([self._updates[trainer].weights for trainer in self._active])
        seed = self.transcript.blinding("average", self._current.round)
        self._weights = self._party.key.rerandomise_from(seed, total)
        self._scale += self._party.terms.map_bits
        return self._advance()

    def _average_without_harm(self, evaluation: Evaluation, gram: Measurement) -> list[Message]:
        """Average the updates, or ask the round again without the trainer that makes every coalition worse."""
        harmful = worst_harm(self._active, GramErrors(self._active, gram))
        if harmful is None:
            return self._average()
        content = {"evaluation": evaluation.number, "trainers": self._active, "left": harmful}
        notices = [self._party.say(LeaveOut, validator, evaluation.round, **content) for validator in self._judges]
        self.left_out.append(harmful)
        self._active = tuple(trainer for trainer in self._active if trainer != harmful)
        return [*notices, *self._ask_trainers()]

    def _refresh_on(self, message: Message) -> list[Message]:
        if self._step is None or self._step.kind is not Kind.REFRESH:
            raise self._party.unexpected(message, "no refresh is under way")
        answers, weights = self._refresh.handle(message)
        if not weights:
            return answers
        self._weights, self._scale = weights, self._party.terms.base_scale
        return answers + self._advance()

    # --- measuring ---

    def _measure(self, evaluations: Sequence[Evaluation]) -> list[Message]:
        self._evaluations.extend(evaluations)
        return self._measure_next()

    def _measure_next(self) -> list[Message]:
        self._measured += 1
        return self._metrics.begin(self._evaluations.popleft())

    def _measure_on(self, message: Message) -> list[Message]:
        if isinstance(message, Residuals | SquaredErrors) and message.rows != self._rows.get(message.sender):
            raise self._party.unexpected(message, "it measures another number of rows than it reported")
        answers, finished = self._metrics.handle(message)
        return answers if finished is None else answers + self._measured_now(finished)

    def _measured_now(self, finished: Finished) -> list[Message]:
        evaluation, measurement = finished
        self._comparison.keep(finished, self._judges)
        if evaluation.subject is Subject.MODEL:
            self._record(evaluation, measurement)
            trainers = [trainer for trainer in self._trainers if trainer not in self.dropped]
            told: list[Message] = [announcement(self._party, trainer, finished) for trainer in trainers]
            if self._current.kind is Kind.CONTRIBUTIONS:
                return told + self._conclude()
            return told + (self._advance() if self._held else [])
        if evaluation.subject is Subject.UPDATES:
            return self._average_without_harm(evaluation, measurement)
        return self._conclude()

    def _conclude(self) -> list[Message]:
        """With everything measured by the same validators, find the gains."""
        if self._evaluations:
            return self._measure_next()
        if stale := self._comparison.stale(self._judges, self._measured):
            return self._measure(stale)
        gained, errors = self._comparison.gains(self.left_out)
        self.gains = dict(zip(self._trainers, gained, strict=True))
        self.gain_errors = dict(zip(self._trainers, errors, strict=True))
        return []

    def _record(self, evaluation: Evaluation, measurement: Measurement) -> None:
        self.history.append((evaluation.round, measurement.metric))
        if evaluation.round < max(number for number, _ in self.history):
            return
        self._metric_hash = ciphertexts_hash(self._metrics.opened, self._party.key)
        if self._metrics.openings:
            self.opening = self._metrics.opened[0], self._metrics.openings[0]

    # --- contributions and the result ---

    def _ask_solo_models(self) -> list[Message]:
        trainers = [trainer for trainer in self._trainers if trainer not in self.dropped]
        return self._comparison.ask(trainers, sum(self._rows[trainer] for trainer in trainers), self._initial)

    def _collect_solo_model(self, solo: SoloModel) -> list[Message]:
        self._due(solo, Kind.CONTRIBUTIONS)
        if not self._comparison.collect(solo) or self._comparison.awaited:
            return []
        return self._measure(self._comparison.evaluations(self._measured))

    def _propose(self) -> list[Message]:
        errors = dict(self.history)
        last = errors[self._party.terms.rounds]
        content = {
            "initial": errors[0].units,
            "final": last.units,
            "scale": 2 * last.scale,
            "rows": last.rows,
            "trainers": self._trainers,
            "gains": tuple(self.gains[trainer] for trainer in self._trainers),
            "weights_hash": self.weights_hash.hex(),
            "metric_hash": self._metric_hash.hex(),
            "transcript_hash": self.transcript.marked_hash.hex(),
        }
        proposals = [self._party.say(ProposeResult, validator, self._party.terms.rounds, **content) for validator in self._judges]
        self.proposal = proposals[0]
        return list(proposals)

    def _approved(self, message: ApproveResult) -> list[Message]:
        if self.proposal is None or message.sender not in self._validators or message.sender in self.approvals:
            raise self._party.unexpected(message, "it is not a validator, has approved before, or nothing was proposed")
        if (message.round, message.weights_hash) != (self.proposal.round, self.proposal.weights_hash):
            raise MessageError("it approves other weights or another round than those proposed", message.sender)
        was_done = self.done
        self.approvals.append(message.sender)
        return [self.deliver(owner) for owner in self._owners] if self.done and not was_done else []

    # --- owners that vanish ---

    def _go_on_without(self, message: OwnerDropped) -> list[Message]:
        """Tell everybody, and take the step on without the owner."""
        owner = message.owner
        if owner not in self.awaited:
            raise self._party.unexpected(message, f"the step under way does not wait for {owner}")
        told = [self._party.buyer, *self._owners]
        notices: list[Message] = [self._party.say(OwnerDropped, name, message.round, owner=owner) for name in told]
        self.dropped.append(owner)
        was_training = owner in self._active
        self._active = tuple(trainer for trainer in self._active if trainer != owner)
        onwards = [*self._metrics.drop(owner), *self._refresh.drop(owner)]
        if not self._active:
            self._failed = "no trainer is left"
        elif 2 * len(self._judges) <= len(self._validators):
            self._failed = f"{len(self._judges)} of {len(self._validators)} validators are left, of whom no majority can approve a result"
        if self._failed or self.proposal is not None:
            return notices
        if self._step is None:
            onwards += self._begin_when_complete()
        elif self._step.kind is Kind.TRAIN and was_training:
            self._superseded.add(len(self._active) + 1)
            onwards += self._ask_trainers()
        elif self._step.kind is Kind.CONTRIBUTIONS and owner in self._trainers:
            onwards += self._ask_solo_models()
        return notices + onwards

    # --- common ---

    @property
    def _current(self) -> Step:
        assert self._step is not None  # set before anybody is asked for anything
        return self._step

    @property
    def _owners(self) -> list[str]:
        """All that still take part."""
        return [owner for owner in (*self._trainers, *self._validators) if owner not in self.dropped]

    @property
    def _judges(self) -> list[str]:
        """The validators among them."""
        return [validator for validator in self._validators if validator not in self.dropped]

    def _due(self, answer: Message, kind: Kind) -> None:
        if self._step is None or self._step.kind is not kind or self._step.round != answer.round:
            raise self._party.unexpected(answer)

    def _from_buyer(self, message: Message) -> None:
        if message.sender != self._party.buyer:
            raise self._party.unexpected(message, f"only {self._party.buyer} may say that")
