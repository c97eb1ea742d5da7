"""The ways in which `train` comes to weights: the proven protocol, one exchange of normal equations, a semi-honest engine."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deltaml_core import contributions as contribution_rules
from deltaml_core import pooled, semihonest
from deltaml_core.errors import PooledStatisticsWarning, SemiHonestSchemeWarning, TermsError
from deltaml_core.objectives import Objective
from deltaml_core.schemes.base import PrivateKey
from deltaml_core.session import OnRound, Session, warn_of
from deltaml_core.sigmoid import SIGMOIDS
from deltaml_core.signatures import LocalSigner
from deltaml_core.statistics import Array, Dataset, Statistics
from deltaml_core.terms import TrainingTerms
from deltaml_core.transcript import Transcript

SOLVERS = ("descent", "normal_equations")


@dataclass(frozen=True)
class Learned:
    """What a way leaves: weights as they were trained, and the rest as in `training.TrainingResult`."""

    trained: Array
    history: list[tuple[int, float]]
    contributions: dict[int, float]
    contribution_errors: dict[int, float]
    transcript: Transcript | None


@dataclass(frozen=True)
class Owners:
    """Who has what, by index.

    Attributes:
        datasets: everybody's rows.
        judges: who validates.
        noisy: of those that add noise, what takes the place of their rows' statistics.
    """

    datasets: Sequence[Dataset]
    judges: Collection[int]
    noisy: Mapping[int, Statistics]

    @property
    def trainers(self) -> list[int]:
        """Who trains."""
        return [index for index in range(len(self.datasets)) if index not in self.judges]

    def scan(self, index: int, objective: Objective) -> Statistics:
        """An owner's statistics as they are trained on and measured.

        Raises:
            DataError: its target is not one for the objective.
        """
        if index in self.noisy:
            return objective.prepare(self.noisy[index])
        statistics = Statistics.of(self.datasets[index])
        objective.check(statistics)
        return objective.prepare(statistics)


@dataclass(frozen=True)
class Way:
    """How weights are found.

    Attributes:
        scheme: of the encryption.
        solver: one of `SOLVERS`.
        sigmoid: one of `sigmoid.SIGMOIDS`.
        parties: where computing parties are reached.
    """

    scheme: str
    solver: str
    sigmoid: str
    parties: tuple[str, ...]

    @property
    def cubic(self) -> bool:
        """Whether rows are trained on with a cubic, which is no linear regression in other clothes."""
        return self.sigmoid == "cubic"

    @property
    def unproven(self) -> bool:
        """Whether the semi-honest engine does it."""
        return self.scheme in semihonest.SCHEMES or self.cubic

    @property
    def market_scheme(self) -> str:
        """What the terms name: a scheme of the proven protocol, which the semi-honest engine does not look at."""
        return "plain" if self.unproven else self.scheme

    @property
    def sums_scheme(self) -> str:
        """Under what pooled moments and a held-out error are summed."""
        return "paillier" if self.scheme in semihonest.SCHEMES else self.scheme

    def check(self, objective: Objective, *, metrics: str, robust: bool, tested: bool, private: bool) -> None:
        """Refuse what does not go together.

        Raises:
            TermsError: naming it.
        """
        if self.solver not in SOLVERS:
            raise TermsError(f"solver={self.solver!r} is not known; choose one of {', '.join(SOLVERS)}")
        if self.sigmoid not in SIGMOIDS:
            raise TermsError(f"sigmoid={self.sigmoid!r} is not known; choose one of {', '.join(SIGMOIDS)}")
        if self.parties and self.scheme != "mpc":
            raise TermsError('parties compute for scheme="mpc" only')
        if self.cubic and not objective.classifies:
            raise TermsError(f'sigmoid="cubic" belongs to model="logistic", not to {objective.model!r}')
        if self.cubic and self.scheme == "paillier":
            raise TermsError('sigmoid="cubic" multiplies ciphertexts, which Paillier cannot: choose scheme="ckks", "mpc" or "plain"')
        if self.cubic and (objective.penalty or tested or private):
            raise TermsError('sigmoid="cubic" has no penalty, no test_share and no epsilon')
        if self.solver == "normal_equations" and (robust or metrics != "verifiable"):
            raise TermsError('solver="normal_equations" is one exchange and proves nothing: leave robust and metrics at their defaults')
        if not self.unproven:
            return
        if robust:
            raise TermsError(f'robust=True needs the proofs of scheme="paillier"; with scheme={self.scheme!r} leave it out')
        if metrics != "verifiable":
            raise TermsError(f"metrics={metrics!r} is for exact schemes; with scheme={self.scheme!r} leave metrics at its default")
        if self.solver != "descent":
            raise TermsError(f"solver={self.solver!r} sums under Paillier; with scheme={self.scheme!r} leave solver at its default")

    def learn(self, terms: TrainingTerms, key: PrivateKey | None, owners: Owners, on_round: OnRound | None) -> Learned:
        """Find weights.

        Args:
            terms: what was agreed.
            key: the buyer's; the semi-honest engine makes its own.
            owners: who has what.
            on_round: called with (round, mse).
        """
        if self.unproven:
            return self._unproven(terms, owners, on_round)
        assert key is not None
        return (descend if self.solver == "descent" else solve)(terms, key, owners, on_round)

    def _unproven(self, terms: TrainingTerms, owners: Owners, on_round: OnRound | None) -> Learned:
        warnings.warn(" ".join(str(SemiHonestSchemeWarning.__doc__).split()), SemiHonestSchemeWarning, stacklevel=4)
        if self.cubic:
            rows = {f"shard {index}": owners.datasets[index] for index in owners.trainers}
            judging = [owners.datasets[index] for index in sorted(owners.judges)]
            found = semihonest.run(terms, rows, judging, scheme=self.scheme, parties=self.parties, on_round=on_round)
        else:
            scanned = {f"shard {index}": owners.scan(index, terms.objective) for index in owners.trainers}
            judged = [owners.scan(index, terms.objective) for index in sorted(owners.judges)]
            found = semihonest.run(terms, scanned, judged, scheme=self.scheme, parties=self.parties, on_round=on_round)
        shares, errors = _shares(owners.trainers, list(found.gains.values()), list(found.gain_errors.values()))
        return Learned(found.weights, found.history, shares, errors, None)


def descend(terms: TrainingTerms, key: PrivateKey, owners: Owners, on_round: OnRound | None) -> Learned:
    """The whole protocol, every role with its own objects."""
    buyer, aggregator, *signers = (LocalSigner() for _ in range(2 + len(owners.datasets)))
    names = {signer.address: index for index, signer in enumerate(signers)}
    session = Session(
        f"local-{secrets.token_hex(8)}",
        terms,
        key,
        {name: owners.datasets[index] for name, index in names.items()},
        validators=[name for name, index in names.items() if index in owners.judges],
        buyer=buyer,
        aggregator=aggregator,
        signers=signers,
        labels={name: f"shard {index}" for name, index in names.items()},
        statistics={name: owners.noisy[index] for name, index in names.items() if index in owners.noisy},
    )
    session.run(on_round)
    session.deliver_model()
    weights = session.buyer.model
    assert weights is not None  # deliver_model raises otherwise
    gains = session.aggregator.gains
    shares, errors = _shares([names[trainer] for trainer in gains], list(gains.values()), list(session.aggregator.gain_errors.values()))
    history = [(number, metric.mse) for number, metric in session.aggregator.history]
    return Learned(weights * terms.objective.slope, history, shares, errors, session.aggregator.transcript)


def solve(terms: TrainingTerms, key: PrivateKey, owners: Owners, on_round: OnRound | None) -> Learned:
    """One exchange, and the model's error before and after it."""
    warn_of(terms)
    warnings.warn(" ".join(str(PooledStatisticsWarning.__doc__).split()), PooledStatisticsWarning, stacklevel=4)
    trainers = [owners.scan(index, terms.objective) for index in owners.trainers]
    judged = [owners.scan(index, terms.objective) for index in sorted(owners.judges)]
    requirements = replace(terms.requirements, target=terms.target)
    trained = pooled.normal_equations(key, trainers, terms.objective, requirements)
    history = []
    for number, weights in enumerate((np.zeros(terms.weights), trained)):
        history.append((number, pooled.mean_squared_error(key, weights, judged, target_range=terms.target_range)))
        if on_round:
            on_round(*history[-1])
    nothing = dict.fromkeys(owners.trainers, 0.0)
    return Learned(trained, history, nothing, nothing, None)


def _shares(trainers: Sequence[int], gains: Sequence[int], errors: Sequence[float]) -> tuple[dict[int, float], dict[int, float]]:
    """Each trainer's share, and its standard error."""
    total = sum(gain for gain in gains if gain > 0) or 1
    shares = contribution_rules.shares(list(gains))
    return dict(zip(trainers, shares, strict=True)), {index: error / total for index, error in zip(trainers, errors, strict=True)}
