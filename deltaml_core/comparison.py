"""What the aggregator makes of solo models and measurements: each trainer's gain, on the same validators' rows throughout (protocol.md §8).

A result compares errors, so all that it rests on is measured by the same validators: the initial and the final model, the mean
predictor, the solo models. What was measured with a validator that has vanished since is measured once more without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from deltaml_core.contributions import Coalition, ErrorOf, GramErrors, coalitions, gains_with_errors
from deltaml_core.measurement import Measurement
from deltaml_core.messages import Message, SoloModel, Subject, TrainAlone
from deltaml_core.metrics.base import Evaluation, Finished
from deltaml_core.party import Party
from deltaml_core.refresh import Blinding
from deltaml_core.schedule import rests_on
from deltaml_core.schemes.base import Ciphertexts


class _Measured(NamedTuple):
    """A measurement that a result rests on, and who made it."""

    evaluation: Evaluation
    measurement: Measurement
    validators: tuple[str, ...]


class Comparison:
    """The solo models, and the measurements that a result rests on."""

    def __init__(self, party: Party, trainers: Sequence[str], blinding: Blinding) -> None:
        """Nothing was asked or measured yet.

        Args:
            party: the aggregator's seat.
            trainers: as the contract dealt them.
            blinding: where the aggregator's randomness comes from.
        """
        self._party = party
        self._dealt = tuple(trainers)
        self._blinding = blinding
        self._trainers: tuple[str, ...] = ()
        self._rows = 0
        self._solo_models: dict[str, SoloModel] = {}
        self._measured: dict[tuple[Subject, int, Coalition], _Measured] = {}

    @property
    def awaited(self) -> frozenset[str]:
        """The trainers whose solo model is missing, of those that were asked."""
        return frozenset(self._trainers) - self._solo_models.keys()

    def ask(self, trainers: Sequence[str], rows: int, initial: Ciphertexts) -> list[Message]:
        """Ask these trainers, who have so many rows together, for their solo models; what others sent before is forgotten."""
        self._trainers, self._rows, self._solo_models = tuple(trainers), rows, {}
        content = {"scale": self._party.terms.base_scale, "rows": rows, "weights": initial}
        return [self._party.say(TrainAlone, trainer, self._party.terms.rounds, **content) for trainer in trainers]

    def collect(self, solo: SoloModel) -> bool:
        """Keep a solo model; False for one that was asked for when there were more trainers.

        Raises:
            MessageError: it was not asked for, or is not what was.
        """
        if solo.sender not in self.awaited:
            raise self._party.unexpected(solo, "it was not asked, or has answered")
        if solo.rows > self._rows and len(self._trainers) < len(self._dealt):
            return False
        if solo.rows != self._rows or solo.scale != self._party.terms.base_scale + self._party.terms.map_bits:
            raise self._party.unexpected(solo, "its scale or number of rows is not what was asked for")
        self._party.key.check(solo.weights, self._party.terms.weights, solo.sender)
        self._party.key.check(solo.target_share, 1, solo.sender)
        self._solo_models[solo.sender] = solo
        return True

    def evaluations(self, number: int) -> list[Evaluation]:
        """What tells the coalitions' errors, numbered from here: each with the noise metric, else the mean predictor and a Gram matrix."""
        terms = self._party.terms
        scale, one_by_one = terms.base_scale + terms.map_bits, terms.metrics == "noise"
        wanted = coalitions(terms.contributions, self._trainers) if one_by_one else [()]
        found = [
            Evaluation(
                number + place,
                terms.rounds,
                Subject.COALITION,
                self._coalition_weights(coalition),
                scale,
                coalition=coalition,
                denominator=max(1, len(coalition)),
            )
            for place, coalition in enumerate(wanted)
        ]
        if one_by_one:
            return found
        weights = tuple(value for trainer in self._trainers for value in self._solo_models[trainer].weights)
        return [*found, Evaluation(number + len(found), terms.rounds, Subject.SOLO_MODELS, weights, scale, len(self._trainers))]

    def keep(self, finished: Finished, validators: Sequence[str]) -> None:
        """Note what these validators measured, if the result rests on it."""
        evaluation, measurement = finished
        if rests_on(self._party.terms, evaluation.subject, evaluation.round):
            key = (evaluation.subject, evaluation.round, evaluation.coalition)
            self._measured[key] = _Measured(evaluation, measurement, tuple(validators))

    def stale(self, validators: Sequence[str], number: int) -> list[Evaluation]:
        """What must be measured once more, numbered from here, because others than these validators measured it."""
        old = [measured.evaluation for measured in self._measured.values() if measured.validators != tuple(validators)]
        return [replace(evaluation, number=number + place) for place, evaluation in enumerate(old)]

    def gains(self, left_out: Sequence[str]) -> tuple[list[int], list[float]]:
        """Every trainer's gain and its standard error, in the contract's order; 0 for those that have vanished."""
        errors = {key[2]: found.measurement.metric for key, found in self._measured.items() if key[0] is Subject.COALITION}
        error: ErrorOf = errors.__getitem__
        gram = self._measured.get((Subject.SOLO_MODELS, self._party.terms.rounds, ()))
        if gram is not None:
            error = GramErrors(self._trainers, gram.measurement, errors[()])
        dropped = set(self._dealt) - set(self._trainers)
        return gains_with_errors(self._party.terms.contributions, self._dealt, error, left_out, dropped)

    def _coalition_weights(self, coalition: Coalition) -> Ciphertexts:
        """The sum of the members' solo models; for nobody, the mean predictor."""
        key = self._party.key
        if coalition:
            weights = self._party.sum([self._solo_models[member].weights for member in coalition])
            return key.rerandomise_from(self._blinding("coalition", *coalition), weights)
        shares = [self._solo_models[trainer].target_share for trainer in self._trainers]
        return key.zeros(self._party.terms.weights - 1) + self._party.sum(shares)  # as it is: validators recompute it
