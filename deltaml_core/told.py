"""What owners tell validators without the aggregator, so that it can tell nobody another story of it.

Every validator tells the others what it measured; every trainer tells all validators which models it sent to be compared. A
validator stands only for measurements and comparisons that agree with that: of whom they are, in which order, and how many.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from deltaml_core.errors import MetricError
from deltaml_core.measurement import pairs
from deltaml_core.messages import Evaluate, Measured, Message, SentErrors, SentModel, SquaredErrors, Subject
from deltaml_core.party import Party
from deltaml_core.schemes.base import Ciphertexts
from deltaml_core.transcript import ciphertexts_hash, errors_digest


def tell_errors(party: Party, sent: SquaredErrors, validators: Collection[str]) -> list[Message]:
    """What a validator tells the others about its answer to the aggregator."""
    digest = errors_digest(sent.rows, sent.values, party.key)
    content = {"evaluation": sent.evaluation, "digest": digest}
    return [party.say(SentErrors, peer, sent.round, **content) for peer in sorted(validators) if peer != party.name]


def tell_model(
    party: Party, number: int, subject: Subject, weights: Ciphertexts, validators: Collection[str], target_share: Ciphertexts = ()
) -> list[Message]:
    """What a trainer tells the validators about a model it sent to be compared with others."""
    digest = ciphertexts_hash(weights, party.key).hex()
    content = {"subject": str(subject), "digest": digest, "target_share": target_share}
    return [party.say(SentModel, validator, number, **content) for validator in sorted(validators)]


class Told:
    """What a validator was told, and whether the aggregator's story agrees.

    Attributes:
        validators: all who measure, as the contract dealt them.
        trainers: all who train, in the contract's order.
    """

    def __init__(self, party: Party, validators: Sequence[str], trainers: Sequence[str]) -> None:
        """Nothing was told yet."""
        self._party = party
        self.validators = tuple(validators)
        self.trainers = tuple(trainers)
        self._errors: dict[tuple[str, int], str] = {}
        self._models: dict[tuple[str, int, str], list[SentModel]] = {}

    def hear(self, message: SentErrors | SentModel) -> list[Message]:
        """Keep what another owner says.

        Raises:
            MessageError: it has no say in that, or said something else before.
        """
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
        told = self._models.setdefault((message.subject, message.round, message.sender), [])
        if told and message.subject == Subject.SOLO_MODELS and told[0].digest != message.digest:
            raise MetricError("it told of another solo model before: both are evidence", message.sender)
        if len(told) >= len(self.trainers):  # a round is asked again once for every trainer left out, at most
            raise self._party.unexpected(message, "it was told often enough")
        told.append(message)
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

    def check_models(self, asked: Evaluate, trainers: Sequence[str], by: str) -> None:
        """The models that were compared are these trainers', in this order.

        Raises:
            MetricError: they are not, or one of them has told nothing; it names `by`, who says so.
        """
        d = self._party.terms.weights
        for position, trainer in enumerate(trainers):
            digest = ciphertexts_hash(asked.weights[position * d : (position + 1) * d], self._party.key).hex()
            if digest not in (told.digest for told in self._models.get((asked.subject, asked.round, trainer), ())):
                raise MetricError(f"measurement {asked.evaluation} compared another model than {trainer} told of", by)

    def check_mean(self, asked: Evaluate, by: str) -> None:
        """The mean predictor that was measured is that of all trainers' targets.

        Raises:
            MetricError: it is not.
        """
        key = self._party.key
        shares = [told[0].target_share for t in self.trainers if (told := self._models.get((Subject.SOLO_MODELS, asked.round, t)))]
        mean = shares[0] if shares else ()
        for share in shares[1:]:
            mean = key.add(mean, share)
        if len(shares) != len(self.trainers) or asked.weights != key.zeros(self._party.terms.weights - 1) + mean:
            raise MetricError(f"measurement {asked.evaluation} measured another mean than the trainers told of", by)
