"""What owners tell validators without the aggregator, so that it can tell nobody another story of it.

Every validator tells the others what it measured; every trainer tells all validators which models it sends to be compared; both
before they tell the aggregator, so that nobody waits for what a vanished owner had yet to tell. A validator stands only for
measurements and comparisons that agree with that: of whom they are, in which order, and how many. That an owner has vanished it
takes on the aggregator's word: silence cannot be proven.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from deltaml_core.errors import MetricError
from deltaml_core.measurement import pairs
from deltaml_core.messages import (
    Evaluate,
    Measured,
    Message,
    OwnerDropped,
    SentErrors,
    SentModel,
    SoloModel,
    SquaredErrors,
    Subject,
    Update,
)
from deltaml_core.party import Party
from deltaml_core.transcript import ciphertexts_hash, errors_digest


def tell_errors(party: Party, sent: SquaredErrors, validators: Collection[str]) -> list[Message]:
    """What a validator tells the others about its answer to the aggregator."""
    digest = errors_digest(sent.rows, sent.values, party.key)
    content = {"evaluation": sent.evaluation, "digest": digest}
    return [party.say(SentErrors, peer, sent.round, **content) for peer in sorted(validators) if peer != party.name]


def tell_model(party: Party, sent: Update | SoloModel, validators: Collection[str]) -> list[Message]:
    """What a trainer tells the validators about a model it sends to be compared with others."""
    digest = ciphertexts_hash(sent.weights, party.key).hex()
    subject, rows, share = (Subject.SOLO_MODELS, sent.rows, sent.target_share) if isinstance(sent, SoloModel) else (Subject.UPDATES, 0, ())
    content = {"subject": str(subject), "rows": rows, "digest": digest, "target_share": share}
    return [party.say(SentModel, validator, sent.round, **content) for validator in sorted(validators)]


class Told:
    """What a validator was told, and whether the aggregator's story agrees.

    Attributes:
        dealt: all who train, as the contract dealt them.
        dropped: who has vanished.
        validators: all others who measure, as the contract dealt them.
        trainers: all others who train, in the contract's order.
    """

    def __init__(self, party: Party, validators: Sequence[str], trainers: Sequence[str]) -> None:
        """Nothing was told yet."""
        self._party = party
        self.dealt = tuple(trainers)
        self.dropped: list[str] = []
        self.validators = tuple(validators)
        self.trainers = tuple(trainers)
        self._errors: dict[tuple[str, int], str] = {}
        self._models: dict[tuple[str, int, str], tuple[SentModel, ...]] = {}

    def drop(self, message: OwnerDropped) -> None:
        """Go on without an owner.

        Raises:
            MessageError: it takes no part, or no longer.
        """
        if message.owner not in (*self.trainers, *self.validators):
            raise self._party.unexpected(message, f"{message.owner} takes no part in this request, or was dropped before")
        self.dropped.append(message.owner)
        self.trainers = tuple(trainer for trainer in self.trainers if trainer != message.owner)
        self.validators = tuple(validator for validator in self.validators if validator != message.owner)

    def hear(self, message: SentErrors | SentModel) -> list[Message]:
        """Keep what another owner says.

        Raises:
            MessageError: it has no say in that, was dropped, or said something else before.
        """
        if message.sender in self.dropped:
            raise self._party.gone(message, message.sender)
        if isinstance(message, SentErrors):
            self._party.admit(message, set(self.validators) - {self._party.name})
            if self._errors.setdefault((message.sender, message.evaluation), message.digest) != message.digest:
                raise MetricError(f"it told of other errors in measurement {message.evaluation} before: both are evidence", message.sender)
            return []
        self._party.admit(message, set(self.trainers))
        share = 1 if message.subject == Subject.SOLO_MODELS else 0
        if message.subject not in (Subject.SOLO_MODELS, Subject.UPDATES):
            raise self._party.unexpected(message, f"nothing is told of subject {message.subject!r}")
        self._party.key.check(message.target_share, share, message.sender)
        told = self._models.get((message.subject, message.round, message.sender), ())
        if share and any((other.rows, other.digest != message.digest) == (message.rows, True) for other in told):
            raise MetricError("it told of another solo model before: both are evidence", message.sender)
        if len(told) >= len(self.dealt):  # they are asked for again once for every trainer left out or dropped, at most
            raise self._party.unexpected(message, "it was told often enough")
        self._models[message.subject, message.round, message.sender] = (*told, message)
        return []

    def check_errors(self, announced: Measured) -> None:
        """What is announced of the validators is what they told themselves.

        Raises:
            MetricError: it is not, one of them has told nothing, or they are others.
        """
        if sorted(announced.validators) != sorted(self.validators):
            raise MetricError(f"measurement {announced.evaluation} is announced as of others than all the validators", announced.sender)
        count = len(pairs(announced.models))
        for position, validator in enumerate(announced.validators):
            values = announced.values[position * count : (position + 1) * count]
            digest = errors_digest(announced.rows[position], values, self._party.key)
            if validator != self._party.name and self._errors.get((validator, announced.evaluation)) != digest:
                raise MetricError(
                    f"measurement {announced.evaluation} is announced with other errors than {validator} told of", announced.sender
                )

    def check_models(self, asked: Evaluate, trainers: Sequence[str], by: str) -> list[SentModel]:
        """The models that were compared are these trainers', in this order; what was told of each.

        Raises:
            MetricError: they are not, or one of them has told nothing; it names `by`, who says so.
        """
        d, found = self._party.terms.weights, []
        if asked.models != len(trainers):
            raise MetricError(f"measurement {asked.evaluation} compared {asked.models} models of {len(trainers)} trainers", by)
        for position, trainer in enumerate(trainers):
            digest = ciphertexts_hash(asked.weights[position * d : (position + 1) * d], self._party.key).hex()
            told = [told for told in self._models.get((asked.subject, asked.round, trainer), ()) if told.digest == digest]
            if not told:
                raise MetricError(f"measurement {asked.evaluation} compared another model than {trainer} told of", by)
            found.append(told[-1])
        return found

    def check_mean(self, asked: Evaluate, solo_models: Sequence[SentModel], by: str) -> None:
        """The mean predictor that was measured is that of the targets of the trainers whose solo models were compared.

        Raises:
            MetricError: it is not.
        """
        key = self._party.key
        mean = solo_models[0].target_share
        for told in solo_models[1:]:
            mean = key.add(mean, told.target_share)
        same_rows = len({told.rows for told in solo_models}) == 1
        if not same_rows or asked.weights != key.zeros(self._party.terms.weights - 1) + mean:
            raise MetricError(f"measurement {asked.evaluation} measured another mean than the trainers told of", by)
