"""The Federated Aggregator (T§7.1): walks the run's schedule, averages encrypted updates, and has the model measured.

Who learns what: it sees ciphertexts only, and the metrics everybody sees; with `metrics="noise"` the validators' residuals too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from deltaml_core.contributions import Coalition, coalitions, gains
from deltaml_core.errors import MessageError
from deltaml_core.messages import (
    ApproveResult,
    FinalModel,
    InitialModel,
    Message,
    MetricAnnounced,
    MetricConfirmed,
    OpenedResiduals,
    OwnerReady,
    ProposeResult,
    Refresh,
    Refreshed,
    Residuals,
    SoloModel,
    Train,
    TrainAlone,
    Update,
)
from deltaml_core.metrics.base import Evaluation, Metric
from deltaml_core.metrics.noise import NoiseAggregator
from deltaml_core.party import Party
from deltaml_core.schedule import Kind, Step, weight_slots
from deltaml_core.schemes.base import Ciphertexts
from deltaml_core.terms import RequestDocument
from deltaml_core.transcript import Header, Transcript, ciphertexts_hash


class Aggregator:
    """The role that runs a training.

    Attributes:
        history: (round, metric) of the federated model, as measured so far.
        gains: each trainer's gain in units of 10**-18, once measured.
        approvals: the validators that stand for the proposed result.
        transcript: every message of the run; its transport writes it, the role reads its hash.
    """

    def __init__(
        self,
        party: Party,
        buyer: str,
        trainers: Sequence[str],
        validators: Sequence[str],
        initial_hash: bytes | None = None,
        transcript: Transcript | None = None,
    ) -> None:
        """Take the aggregator's seat.

        Args:
            party: the seat.
            buyer: who holds the key.
            trainers: as the contract dealt them, in its order.
            validators: likewise.
            initial_hash: what the request states of the initial weights; None where no request stands behind the run.
            transcript: what its transport writes; a new one by default.

        Raises:
            ScaleBudgetError: the key is too small for the terms.
        """
        self._party = party
        self._buyer = buyer
        self._trainers = tuple(trainers)
        self._validators = tuple(validators)
        self._metrics = NoiseAggregator(party, buyer, validators)
        self._agenda: deque[Step] = deque(party.steps)
        self._step: Step | None = None
        self._initial_hash = initial_hash
        self._metric_hash = b""
        self._initial: Ciphertexts = ()
        self._weights: Ciphertexts = ()
        self._scale = party.terms.base_scale
        self._rows: dict[str, int] = {}
        self._answers: dict[str, Update | SoloModel] = {}
        self._evaluations: deque[Evaluation] = deque()
        self._measured = 0
        self._coalitions: dict[Coalition, Metric] = {}
        self.history: list[tuple[int, Metric]] = []
        self.gains: dict[str, int] = {}
        self.proposal: ProposeResult | None = None
        self.approvals: list[str] = []
        if transcript is None:
            document = RequestDocument(party.terms, party.key.modulus)
            transcript = Transcript(Header(party.request, document, buyer, party.name, self._trainers, self._validators))
        self.transcript = transcript

    @property
    def done(self) -> bool:
        """Whether a majority of the validators stands for the result."""
        return 2 * len(self.approvals) > len(self._validators)

    @property
    def weights_hash(self) -> bytes:
        """Of the encrypted weights as they stand; after the last round, the paid model's."""
        return ciphertexts_hash(self._weights, self._party.key)

    def handle(self, message: Message) -> list[Message]:
        """Take the next step the message allows.

        Raises:
            MessageError: it is not due, or its numbers are malformed; it names the sender, and nothing has changed.
        """
        self._party.admit(message)
        answers = self._dispatch(message)
        if self.gains and self.proposal is None:
            answers += self._propose()
        return answers

    def deliver(self) -> Message:
        """The final model for the buyer; to be sent once the contract has settled."""
        return self._party.say(FinalModel, self._buyer, self._party.terms.rounds, scale=self._scale, weights=self._weights)

    def _dispatch(self, message: Message) -> list[Message]:
        match message:
            case InitialModel():
                return self._initialise(message)
            case OwnerReady():
                return self._welcome(message)
            case Update():
                return self._average(message)
            case Refreshed():
                return self._refreshed(message)
            case Residuals():
                if message.rows != self._rows.get(message.sender):
                    raise self._party.unexpected(message, "it measures another number of rows than it reported")
                return self._metrics.collect(message)
            case OpenedResiduals():
                self._from_buyer(message)
                return self._metrics.unmask(message)
            case MetricConfirmed():
                self._from_buyer(message)
                return self._record(*self._metrics.finish(message))
            case SoloModel():
                return self._compare(message)
            case ApproveResult():
                return self._approved(message)
        raise self._party.unexpected(message)

    # --- setting out ---

    def _initialise(self, message: InitialModel) -> list[Message]:
        self._from_buyer(message)
        if self._initial:
            raise self._party.unexpected(message, "training has its initial weights")
        weights = self._party.key.check(message.weights, self._party.terms.weights, message.sender)
        if self._initial_hash not in (None, ciphertexts_hash(weights, self._party.key)):
            raise MessageError("these initial weights are not those the request was posted with", message.sender)
        self._initial = self._weights = weights
        return self._begin_when_complete()

    def _welcome(self, message: OwnerReady) -> list[Message]:
        if message.sender not in (*self._trainers, *self._validators) or message.sender in self._rows:
            raise self._party.unexpected(message, "it has no role in this request, or has reported before")
        if message.rows < 1:
            raise MessageError("an owner brings at least one row", message.sender)
        self._rows[message.sender] = message.rows
        return self._begin_when_complete()

    def _begin_when_complete(self) -> list[Message]:
        complete = self._initial and len(self._rows) == len(self._trainers) + len(self._validators)
        return self._advance() if complete else []

    # --- the schedule ---

    def _advance(self) -> list[Message]:
        self._step = self._agenda.popleft()
        match self._step.kind:
            case Kind.TRAIN:
                return self._ask_trainers(self._step.round)
            case Kind.REFRESH:
                slots = weight_slots(self._party.terms, self._party.key.capacity, self._scale)
                offsets = slots.join_all([slots.offset] * len(self._weights))
                packed = self._party.key.add_plain(self._party.key.pack(self._weights, slots), offsets)
                return [self._party.say(Refresh, self._buyer, self._step.round, scale=self._scale, packed=packed)]
            case Kind.EVALUATE:
                self._evaluations.append(Evaluation(self._measured, self._step.round, self._weights, self._scale))
                return self._measure_next()
            case Kind.CONTRIBUTIONS:
                return self._ask_solo_models(self._step.round)

    def _ask_trainers(self, number: int) -> list[Message]:
        content = {"scale": self._scale, "trainers": len(self._trainers), "weights": self._weights}
        return [self._party.say(Train, trainer, number, **content) for trainer in self._trainers]

    def _average(self, update: Update) -> list[Message]:
        if not self._gather(update, Kind.TRAIN, self._scale + self._party.terms.map_bits):
            return []
        average = self._sum([self._answers[trainer].weights for trainer in self._trainers])
        self._weights = self._party.key.rerandomise_from(self.transcript.blinding("average", update.round), average)
        self._scale += self._party.terms.map_bits
        self._answers = {}
        return self._advance()

    def _refreshed(self, message: Refreshed) -> list[Message]:
        self._from_buyer(message)
        if self._step is None or self._step.kind is not Kind.REFRESH or self._step.round != message.round:
            raise self._party.unexpected(message)
        self._weights = self._party.key.check(message.weights, self._party.terms.weights, message.sender)
        self._scale = self._party.terms.base_scale
        return self._advance()

    # --- measuring ---

    def _measure_next(self) -> list[Message]:
        self._measured += 1
        return self._metrics.begin(self._evaluations[0])

    def _record(self, evaluation: Evaluation, metric: Metric) -> list[Message]:
        self._evaluations.popleft()
        if evaluation.coalition is None:
            self.history.append((evaluation.round, metric))
            self._metric_hash = ciphertexts_hash(self._metrics.opened, self._party.key)
        else:
            self._coalitions[evaluation.coalition] = metric
        announcements: list[Message] = [
            self._party.say(
                MetricAnnounced,
                owner,
                evaluation.round,
                evaluation=evaluation.number,
                of_coalition=evaluation.coalition is not None,
                coalition=evaluation.coalition or (),
                squared_error=metric.squared_error,
                scale=metric.scale,
                rows=metric.rows,
            )
            for owner in (*self._validators, *(self._trainers if evaluation.coalition is None else ()))
        ]
        if self._evaluations:
            return announcements + self._measure_next()
        if evaluation.coalition is None:
            return announcements + self._advance()
        gained = gains(self._party.terms.contributions, self._trainers, self._coalitions)
        self.gains = dict(zip(self._trainers, gained, strict=True))
        return announcements

    # --- contributions and the result ---

    def _ask_solo_models(self, number: int) -> list[Message]:
        content = {
            "scale": self._party.terms.base_scale,
            "trainers": len(self._trainers),
            "rows": sum(self._rows[trainer] for trainer in self._trainers),
            "weights": self._initial,
        }
        return [self._party.say(TrainAlone, trainer, number, **content) for trainer in self._trainers]

    def _compare(self, solo: SoloModel) -> list[Message]:
        self._party.key.check(solo.target_share, 1, solo.sender)
        scale = self._party.terms.base_scale + self._party.terms.map_bits
        if not self._gather(solo, Kind.CONTRIBUTIONS, scale):
            return []
        for number, coalition in enumerate(coalitions(self._party.terms.contributions, self._trainers), start=self._measured):
            weights = self._coalition_weights(coalition)
            factor = (len(self._trainers), len(coalition)) if coalition else (1, 1)
            self._evaluations.append(Evaluation(number, solo.round, weights, scale, coalition, *factor))
        return self._measure_next()

    def _coalition_weights(self, coalition: Coalition) -> Ciphertexts:
        """The sum of the members' solo models, each divided by the number of trainers; for nobody, the mean predictor."""
        key, solos = self._party.key, {trainer: answer for trainer, answer in self._answers.items() if isinstance(answer, SoloModel)}
        if coalition:
            weights = self._sum([solos[member].weights for member in coalition])
        else:
            mean = self._sum([solos[trainer].target_share for trainer in self._trainers])
            weights = key.scale(mean * (self._party.terms.weights - 1), [0] * (self._party.terms.weights - 1)) + mean
        return key.rerandomise_from(self.transcript.blinding("coalition", *coalition), weights)

    def _propose(self) -> list[Message]:
        errors = dict(self.history)
        proposals = [
            self._party.say(
                ProposeResult,
                validator,
                self._party.terms.rounds,
                initial=errors[0].units,
                final=errors[self._party.terms.rounds].units,
                trainers=self._trainers,
                gains=tuple(self.gains[trainer] for trainer in self._trainers),
                weights_hash=self.weights_hash.hex(),
                metric_hash=self._metric_hash.hex(),
                transcript_hash=self.transcript.hash.hex(),
            )
            for validator in self._validators
        ]
        self.proposal = proposals[0]
        return list(proposals)

    def _approved(self, message: ApproveResult) -> list[Message]:
        if self.proposal is None or message.sender not in self._validators or message.sender in self.approvals:
            raise self._party.unexpected(message, "it is not a validator, has approved before, or nothing was proposed")
        if message.weights_hash != self.proposal.weights_hash:
            raise MessageError("it approves other weights than those proposed", message.sender)
        self.approvals.append(message.sender)
        return []

    # --- common ---

    def _gather(self, answer: Update | SoloModel, kind: Kind, scale: int) -> bool:
        """Keep a trainer's answer; True once all are there."""
        if self._step is None or self._step.kind is not kind or self._step.round != answer.round:
            raise self._party.unexpected(answer)
        if answer.sender not in self._trainers or answer.sender in self._answers:
            raise self._party.unexpected(answer, "it is not a trainer, or has answered")
        if answer.scale != scale:
            raise MessageError(f"{answer.kind}: it answers at a scale of {answer.scale} bits instead of {scale}", answer.sender)
        self._party.key.check(answer.weights, self._party.terms.weights, answer.sender)
        self._answers[answer.sender] = answer
        return len(self._answers) == len(self._trainers)

    def _sum(self, vectors: Sequence[Ciphertexts]) -> Ciphertexts:
        total = vectors[0]
        for vector in vectors[1:]:
            total = self._party.key.add(total, vector)
        return total

    def _from_buyer(self, message: Message) -> None:
        if message.sender != self._buyer:
            raise self._party.unexpected(message, f"only {self._buyer} may say that")
