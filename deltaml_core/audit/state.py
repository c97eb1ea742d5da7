"""What the messages so far amount to: where the run stands, and what the next ones will be compared with."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from deltaml_core import schemes
from deltaml_core.audit.dropping import Dropping
from deltaml_core.audit.measuring import LeavingOut, Measuring
from deltaml_core.audit.record import Fault, Record
from deltaml_core.contributions import Coalition, ErrorOf, GramErrors, coalitions, gains, worst_harm
from deltaml_core.measurement import Measurement, Metric
from deltaml_core.messages import (
    Masks,
    Message,
    ProposeResult,
    SentModel,
    SoloModel,
    Subject,
    Update,
)
from deltaml_core.party import Party
from deltaml_core.schedule import Kind, Step, rests_on
from deltaml_core.schemes.base import Ciphertexts, PublicKey
from deltaml_core.terms import TrainingTerms
from deltaml_core.transcript import Transcript


class State:
    """The run as its messages tell it.

    Attributes:
        dropping: who was dropped; `trainers`, `validators` and `owners` are the others.
        public: whether the record is the public part, in which some kinds are sealed.
        record: all messages so far.
        counts: what was checked how often.
        rows: each owner's, as it reported.
        initial, weights: the encrypted weights at the start and now; unknown in the public part.
        step: what is under way.
        active: the trainers whose updates are used.
        asked: whom the aggregator has asked for its part of the step.
        told: what trainers have told validators of the models they are about to send.
        updates, solo_models: the trainers' answers.
        masks, masked, refreshed: of the refresh under way: the owners' masks, what is to be opened, and whether it is done.
        attempts: by (measurement, validator), how many times it masked its errors.
        measuring: the latest measurement.
        tested: (measurement, validator) of every zero test that held.
        leaving: the latest trainer to be left out.
        history: (round, metric) of the federated model.
        metric_hash: of what the latest of them was opened from.
        proposal: the proposed result; and who it was `proposed` to, who `approved`.
        failed: why the run could not go on.
    """

    def __init__(self, transcript: Transcript) -> None:
        """Read the header.

        Raises:
            DeltaMLError: its terms and modulus make no run.
        """
        self.header = transcript.header
        document = self.header.document
        key = schemes.public_key(document.terms.scheme, document.modulus)
        key.check_modulus(document.terms.key_bits, document.proof)
        self.party = Party(self.header.request, "the auditor", document.terms, key, self.header.buyer, self.header.aggregator)
        self.public = transcript.is_public
        self.record = Record(self.header, transcript.first_hash)
        self.dropping = Dropping(self.header)
        self.counts: Counter[str] = Counter()
        self.rows: dict[str, int] = {}
        self.initial: Ciphertexts = ()
        self.weights: Ciphertexts = ()
        self.step: Step | None = None
        self.active = self.header.trainers
        self.asked: set[str] = set()
        self.told: dict[str, list[SentModel]] = {}
        self.updates: dict[str, Update] = {}
        self.solo_models: dict[str, SoloModel] = {}
        self.masks: dict[str, Masks] = {}
        self.masked: Ciphertexts = ()
        self.refreshed = False
        self.attempts: dict[tuple[int, str], int] = {}
        self.measuring: Measuring | None = None
        self.tested: set[tuple[int, str]] = set()
        self.leaving: LeavingOut | None = None
        self.history: list[tuple[int, Metric]] = []
        self.metric_hash = b""
        self.proposal: ProposeResult | None = None
        self.proposed: set[str] = set()
        self.approved: set[str] = set()
        self.failed: str | None = None
        self._blinding = transcript.blinding
        self._agenda: deque[Step] = deque(self.party.steps)
        self._unseen: Step | None = None
        self._comparisons: deque[tuple[Subject, Coalition]] = deque()
        self._results: dict[tuple[Subject, int, Coalition], tuple[Measuring, tuple[str, ...]]] = {}
        self._measured = 0
        self._averaged = True
        self._left_out: list[str] = []

    @property
    def terms(self) -> TrainingTerms:
        """The request's."""
        return self.party.terms

    @property
    def key(self) -> PublicKey:
        """The buyer's."""
        return self.party.key

    @property
    def owners(self) -> tuple[str, ...]:
        """Trainers, then validators, without those that were dropped."""
        return self.dropping.owners

    @property
    def trainers(self) -> tuple[str, ...]:
        """Likewise."""
        return self.dropping.trainers

    @property
    def validators(self) -> tuple[str, ...]:
        """Likewise."""
        return self.dropping.validators

    # --- the schedule ---

    def enter(self, message: Message, kind: Kind) -> Step:
        """The step that a message belongs to: the one under way, or the next when it is the first of its kind and round.

        Raises:
            Fault: the schedule has another step here, or the one before is not complete.
        """
        if self.step is None or (self.step.kind, self.step.round) != (kind, message.round):
            self.complete()
            if kind in (Kind.EVALUATE, Kind.CONTRIBUTIONS) or self.terms.robust:
                self.announced()  # training goes on while the model is measured
            if self.public:
                self._pass_over_sealed(message, kind)
            if not self._agenda or (self._agenda[0].kind, self._agenda[0].round) != (kind, message.round):
                due = f"{self._agenda[0].kind.value} of round {self._agenda[0].round}" if self._agenda else "the end"
                raise Fault("schedule", f"the schedule has {due} here")
            self.step = self._agenda.popleft()
            self.asked, self.told, self.masks, self.masked, self.refreshed = set(), {}, {}, (), False
            if kind is Kind.TRAIN:
                self.updates, self._averaged = {}, self.public
            if kind is Kind.CONTRIBUTIONS:
                self._comparisons.extend(self._wanted())
        return self.step

    def _pass_over_sealed(self, message: Message, kind: Kind) -> None:
        """Take off the agenda what is sealed in the public part and comes before this message's step.

        Of a measurement only its first question is: it may be seen after the refresh that it goes on beside.
        """
        sealed = (Kind.TRAIN, Kind.REFRESH) if self.terms.metrics == "noise" else (Kind.TRAIN,)
        while self._agenda:
            step = self._agenda[0]
            earlier_round = kind is Kind.TRAIN is step.kind and step.round < message.round
            if (step.kind in sealed and step.kind is not kind) or earlier_round:
                self._agenda.popleft()
            elif kind is Kind.REFRESH and step.kind is Kind.EVALUATE and not self.terms.robust:
                self.announced()
                self._unseen = self._agenda.popleft()
            else:
                return

    def current(self, message: Message, kind: Kind) -> Step:
        """The step under way, which must be of this kind and the message's round.

        Raises:
            Fault: it is not.
        """
        if self.step is None or (self.step.kind, self.step.round) != (kind, message.round):
            raise Fault("schedule", f"no {kind.value} of round {message.round} is under way")
        return self.step

    def complete(self) -> None:
        """See that everything so far came to its end, but for a measurement.

        Raises:
            Fault: something is missing.
        """
        self.dropping.complete()
        if not self.rows.keys() >= set(self.owners) or not (self.initial or self.public):
            raise Fault("order", "an owner has not reported yet, or there are no initial weights")
        if not self._averaged:
            raise Fault("order", "the round before it is not complete")
        if self.step is not None and self.step.kind is Kind.REFRESH and not self.refreshed:
            raise Fault("order", "the refresh before it is not complete")
        if self.leaving is not None and not self.leaving.told >= set(self.validators):
            raise Fault("order", f"not every validator was told that {self.leaving.left} is left out")

    def at_end(self) -> bool:
        """Whether all of the schedule was done."""
        return not self._agenda and not self._comparisons and not self._stale()

    def announced(self) -> None:
        """See that the latest measurement came to its end.

        Raises:
            Fault: it did not, or somebody was not told.
        """
        if self._unseen is not None:
            raise Fault("order", f"the measurement of round {self._unseen.round} is missing")
        measuring = self.measuring
        if measuring is None:
            return
        shown = self.public or self.terms.metrics == "noise" or measuring.shown >= set(self.validators)
        if measuring.result is None or not measuring.told >= self.audience(measuring) or not shown:
            raise Fault("order", f"measurement {measuring.number} is not complete, or was not announced to everybody")

    # --- a round ---

    def finish_round(self) -> None:
        """With all updates there, average them; with `robust`, only after they were measured."""
        if self.terms.robust and len(self.active) > 1:
            return
        self.average()

    def average(self) -> None:
        """The weights after this round."""
        if not self.public and self.step is not None:
            self.weights = self.blind(self.sum([self.updates[trainer].weights for trainer in self.active]), "average", self.step.round)
            self.counts["averages"] += 1
        self._averaged = True

    # --- measuring ---

    def begin(self, message: Message, number: int, models: int) -> Measuring:
        """The next measurement, as it must be.

        Raises:
            Fault: another one is due.
        """
        if number != self._measured:
            raise Fault("measurement", f"measurement {self._measured} is due, not {number}")
        if self._updates_due(message, models):
            if self.public:
                self.enter(message, Kind.TRAIN)
            self.announced()
            step = self.current(message, Kind.TRAIN)
            weights = self._joined(self.updates, self.active)
            count = len(self.active)
            scale = step.scale + self.terms.map_bits
            measuring = Measuring(number, step.round, Subject.UPDATES, weights, scale, count, factor=(count, 1))
        elif self._comparing(message):
            measuring = self._once_more(number) if self._exhausted() else self._next_comparison(message, number)
        else:
            step = self._taken_up(message) or self.enter(message, Kind.EVALUATE)
            measuring = Measuring(number, step.round, Subject.MODEL, self.weights, step.scale)
        self._measured += 1
        self.measuring = measuring
        return measuring

    def _taken_up(self, message: Message) -> Step | None:
        """The measurement that was passed over unseen, if this message is of it."""
        step = self._unseen
        if step is None or step.round != message.round:
            return None
        self._unseen = None
        return step

    def under_way(self, message: Message, number: int) -> Measuring:
        """The measurement under way, which must be this one.

        Raises:
            Fault: it is not.
        """
        if self.measuring is None or (self.measuring.number, self.measuring.round) != (number, message.round):
            raise Fault("measurement", f"measurement {number} is not under way")
        return self.measuring

    def conclude(self, measuring: Measuring, result: Measurement) -> None:
        """Note what came of a measurement."""
        measuring.result = result
        if rests_on(self.terms, measuring.subject, measuring.round):
            self._results[measuring.subject, measuring.round, measuring.coalition] = measuring, self.validators
        match measuring.subject:
            case Subject.MODEL:
                self.history.append((measuring.round, result.metric))
                self.counts["measurements"] += 1
            case Subject.COALITION:
                self.counts["coalitions"] += 1
            case Subject.SOLO_MODELS:
                self.counts["Gram matrices"] += 1
            case Subject.UPDATES:
                self._judge(measuring, result)
                self.counts["Gram matrices"] += 1

    def audience(self, measuring: Measuring) -> set[str]:
        """Who is told the metric; with `metrics="verifiable"` validators are shown the proof instead."""
        trainers = self.trainers if measuring.subject is Subject.MODEL else ()
        return {*trainers, *(self.validators if self.terms.metrics == "noise" else ())}

    def gains(self) -> tuple[int, ...]:
        """What the measurements make of every trainer."""
        found = {key: measuring.result for key, (measuring, _) in self._results.items() if measuring.result is not None}
        errors = {coalition: result.metric for (subject, _, coalition), result in found.items() if subject is Subject.COALITION}
        error: ErrorOf = errors.__getitem__
        gram = found.get((Subject.SOLO_MODELS, self.terms.rounds, ()))
        if gram is not None:
            error = GramErrors(self.trainers, gram, errors[()])
        return tuple(gains(self.terms.contributions, self.header.trainers, error, self._left_out, self.dropping.dropped))

    # --- owners that vanish ---

    @property
    def awaited(self) -> set[str]:
        """The owners whose own answer the run waits for; in the public part, anybody's, whose answers are sealed."""
        if self.public:
            return set(self.owners)
        if self.proposal is not None:
            return set(self.validators) - self.approved
        if self.step is None:
            return set(self.owners) - self.rows.keys()
        waiting: set[str] = set()
        if self.step.kind is Kind.TRAIN and not self._averaged:
            waiting |= set(self.active) - self.updates.keys()
        if self.step.kind is Kind.REFRESH and not self.masked and self.terms.metrics != "noise":
            waiting |= set(self.owners) - self.masks.keys()
        if self.step.kind is Kind.CONTRIBUTIONS:
            waiting |= set(self.trainers) - self.solo_models.keys()
        measuring = self.measuring
        if measuring is not None and not measuring.sums and measuring.opening is None:
            waiting |= set(self.validators) - measuring.answers.keys() - measuring.rows.keys()
        return waiting

    def drop(self, owner: str) -> None:
        """Go on without an owner."""
        self.dropping.drop(owner)
        self.counts["dropped owners"] += 1
        self.active, was_active = tuple(trainer for trainer in self.active if trainer != owner), owner in self.active
        if self.step is None or owner not in self.header.trainers:
            return
        if self.step.kind is Kind.TRAIN and was_active and not self._averaged:
            self.asked, self.updates, self.told = set(), {}, {}
        if self.step.kind is Kind.CONTRIBUTIONS:
            self.asked, self.solo_models, self.told = set(), {}, {}
            self._comparisons = deque(self._wanted())

    def _stale(self) -> list[Measuring]:
        """What the result rests on and others than those still there have measured."""
        return [measuring for measuring, validators in self._results.values() if validators != self.validators]

    def _exhausted(self) -> bool:
        return self.step is not None and self.step.kind is Kind.CONTRIBUTIONS and not self._comparisons and bool(self._stale())

    def _once_more(self, number: int) -> Measuring:
        self.announced()
        old = self._stale()[0]
        return Measuring(number, old.round, old.subject, old.weights, old.scale, old.models, old.coalition, old.factor)

    def _judge(self, measuring: Measuring, gram: Measurement) -> None:
        harmful = worst_harm(self.active, GramErrors(self.active, gram))
        if harmful is None:
            self.average()
            return
        self.leaving = LeavingOut(measuring.number, self.active, harmful)
        self._left_out.append(harmful)
        self.active = tuple(trainer for trainer in self.active if trainer != harmful)
        self.asked, self.updates, self.told = set(), {}, {}

    def _updates_due(self, message: Message, models: int) -> bool:
        if not self.terms.robust or len(self.active) < 2 or self._comparing(message):
            return False
        if self.public:
            return models > 1
        return not self._averaged and len(self.updates) == len(self.active)

    def _comparing(self, message: Message) -> bool:
        """Whether it is the solo models' turn."""
        rest = [step.kind for step in self._agenda if step.kind is not Kind.TRAIN]
        if self.public and rest == [Kind.CONTRIBUTIONS] and self.history and message.round == self.terms.rounds == self.history[-1][0]:
            return True
        return self.step is not None and self.step.kind is Kind.CONTRIBUTIONS

    def _next_comparison(self, message: Message, number: int) -> Measuring:
        step = self.enter(message, Kind.CONTRIBUTIONS)
        self.announced()
        if not self._comparisons or not (self.public or len(self.solo_models) == len(self.trainers)):
            raise Fault("measurement", "nothing is to be measured here")
        subject, coalition = self._comparisons.popleft()
        scale = step.scale + self.terms.map_bits
        if subject is Subject.SOLO_MODELS:
            weights = self._joined(self.solo_models, self.trainers)
            return Measuring(number, step.round, subject, weights, scale, len(self.trainers))
        weights = () if self.public else self._coalition_weights(coalition)
        return Measuring(number, step.round, subject, weights, scale, coalition=coalition, factor=(1, max(1, len(coalition))))

    def _wanted(self) -> list[tuple[Subject, Coalition]]:
        if self.terms.metrics == "noise":
            return [(Subject.COALITION, coalition) for coalition in coalitions(self.terms.contributions, self.trainers)]
        return [(Subject.COALITION, ()), (Subject.SOLO_MODELS, ())]

    # --- the aggregator's products ---

    def sum(self, vectors: Sequence[Ciphertexts]) -> Ciphertexts:
        """Entry by entry, under encryption."""
        total = vectors[0]
        for vector in vectors[1:]:
            total = self.key.add(total, vector)
        return total

    def blind(self, values: Ciphertexts, *purpose: str | int) -> Ciphertexts:
        """What the aggregator must have made of a product, its randomness known."""
        return self.key.rerandomise_from(self._blinding(*purpose), values)

    def _joined(self, answers: dict[str, Update] | dict[str, SoloModel], trainers: Sequence[str]) -> Ciphertexts:
        return () if self.public else tuple(value for trainer in trainers for value in answers[trainer].weights)

    def _coalition_weights(self, coalition: Coalition) -> Ciphertexts:
        if coalition:
            return self.blind(self.sum([self.solo_models[member].weights for member in coalition]), "coalition", *coalition)
        shares = [self.solo_models[trainer].target_share for trainer in self.trainers]
        return self.key.zeros(self.terms.weights - 1) + self.sum(shares)
