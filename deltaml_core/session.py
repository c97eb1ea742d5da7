"""The roles of one training, seated in one process: what `train` and the in-process market run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

from deltaml_core import schemes
from deltaml_core.aggregator import Aggregator
from deltaml_core.buyer import ModelBuyer, initial_weights
from deltaml_core.errors import DivergentStepError, MessageError, NoiseMetricWarning
from deltaml_core.measurement import Metric
from deltaml_core.owner import Trainer, Validator
from deltaml_core.party import Party
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.signatures import Signer
from deltaml_core.statistics import Source, Statistics
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.transcript import Header, Transcript
from deltaml_core.transport.local import LocalTransport

OnRound = Callable[[int, float], None]


class Session:
    """The roles of one training, seated in one process.

    Attributes:
        buyer: the Model Buyer's role; its `model` is set by `deliver_model`.
        aggregator: the Federated Aggregator's role, with history, gains and transcript.
        validators: their roles, by address.
        transport: what carries their messages, with counts and bytes.
        modulus: of the buyer's key.
    """

    def __init__(
        self,
        request: str,
        terms: TrainingTerms,
        key: PrivateKey,
        owners: Mapping[str, Source],
        *,
        validators: Sequence[str],
        buyer: Signer,
        aggregator: Signer,
        signers: Iterable[Signer],
        initial_hash: bytes | None = None,
        marketplace: tuple[int, str] | None = None,
        labels: Mapping[str, str] | None = None,
        statistics: Mapping[str, Statistics] | None = None,
    ) -> None:
        """Seat everybody; each checks the terms against what it knows before the first message.

        Args:
            request: identifies the request.
            terms: what was agreed.
            key: the buyer's.
            owners: each owner's data, by address.
            validators: which of them measure; the others train, in the order of `owners`.
            buyer: the buyer's key for messages.
            aggregator: the aggregator's.
            signers: at least the owners'.
            initial_hash: what the request states of the initial weights.
            marketplace: the chain's id and the contract's address, for the transcript; None where no contract stands behind the run.
            labels: what errors found before the run call an owner; by default its address.
            statistics: of the owners that work on others than their rows give, what takes their place (`privacy.Release`).

        Raises:
            DivergentStepError: for the trainers' data together.
            RequirementsError, ScaleBudgetError: as the roles find.
        """
        warn_of(terms)
        document = RequestDocument(terms, key.public.modulus, key.prove_modulus())

        def seat(name: str) -> Party:
            return Party.take(request, name, document, buyer.address, aggregator.address)

        self.modulus = key.public.modulus
        by_address = {signer.address: signer for signer in (buyer, aggregator, *signers)}
        self.buyer = ModelBuyer(seat(buyer.address), key, initial_weights(terms, key), validators)
        others = statistics or {}
        seats = {name: (seat(name), data, others.get(name)) for name, data in owners.items() if name not in validators}
        trainers = _seat_trainers(seats, validators, labels or {})
        self.validators = {
            name: Validator(seat(name), owners[name], validators=validators, trainers=list(trainers), statistics=others.get(name))
            for name in validators
        }
        chain_id, contract = marketplace or (None, None)
        header = Header(request, document, buyer.address, aggregator.address, tuple(trainers), tuple(validators), chain_id, contract)
        transcript = Transcript(header)
        self.aggregator = Aggregator(seat(aggregator.address), list(trainers), validators, transcript, initial_hash)
        self.transport = LocalTransport(transcript)
        self.transport.join(buyer, self.buyer)
        self.transport.join(aggregator, self.aggregator)
        owners_at_work: dict[str, Trainer | Validator] = {**trainers, **self.validators}
        for name, owner in owners_at_work.items():
            self.transport.join(by_address[name], owner)
            self.transport.send([owner.ready()])
        self.transport.send([self.buyer.start()])

    def run(self, on_round: OnRound | None = None, on_metric: Callable[[int, Metric], None] | None = None) -> None:
        """Let the messages flow until the validators stand for a result.

        Args:
            on_round: called with (round, mse) after every measurement of the federated model.
            on_metric: the same with the exact metric.

        Raises:
            MessageError: a role refused a message; it names the sender.
        """
        reported = 0
        while self.transport.deliver():
            for number, metric in self.aggregator.history[reported:]:
                reported += 1
                if on_round:
                    on_round(number, metric.mse)
                if on_metric:
                    on_metric(number, metric)
        if not self.aggregator.done:
            raise MessageError("the run stopped before the validators approved a result")

    def deliver_model(self, weights_hash: bytes | None = None) -> None:
        """Hand the final model to the buyer, as after settlement.

        Args:
            weights_hash: what the contract settled on; where there is none, what the validators stand for.

        Raises:
            MessageError: the aggregator serves another model.
        """
        self.buyer.settled(weights_hash or self.aggregator.weights_hash)
        self.transport.send([self.aggregator.deliver()])
        while self.transport.deliver():
            pass


def warn_of(terms: TrainingTerms) -> None:
    """Warn of terms under which somebody learns more than by default.

    Warns:
        NoiseMetricWarning: with `metrics="noise"`.
        InsecureKeyWarning: for a Paillier key below 2048 bits.
    """
    if terms.metrics == "noise":
        warnings.warn(" ".join(str(NoiseMetricWarning.__doc__).split()), NoiseMetricWarning, stacklevel=6)
    schemes.warn_of_short_key(terms.scheme, terms.key_bits, stacklevel=7)


def _seat_trainers(
    seats: Mapping[str, tuple[Party, Source, Statistics | None]], validators: Sequence[str], labels: Mapping[str, str]
) -> dict[str, Trainer]:
    trainers, diverging = {}, {}
    for name, (party, dataset, statistics) in seats.items():
        try:
            trainers[name] = Trainer(party, dataset, validators, statistics=statistics)
        except DivergentStepError as error:
            diverging[labels.get(name, name)] = error.largest_stable_step
    if diverging:
        step, stable = next(iter(seats.values()))[0].terms.step, min(diverging.values())
        raise DivergentStepError(
            f"a step of {step:g} diverges on the data of {', '.join(diverging)}; the largest step stable for all trainers is {stable:.6g}",
            stable,
        )
    return trainers
