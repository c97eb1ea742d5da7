"""The terms of a training request: what everybody agrees on before the first number is encrypted.

From the terms alone, all participants derive the same bounds on every number of the run, so that overflow is ruled out
beforehand instead of detected afterwards (protocol.md §3).
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property

from deltaml_core import canonical
from deltaml_core.contributions import RULES
from deltaml_core.errors import TermsError
from deltaml_core.fixedpoint import bits_for
from deltaml_core.objectives import MODELS, Objective
from deltaml_core.schemes import SCHEMES
from deltaml_core.statistics import Column, Requirements

METRICS = ("verifiable", "noise")

_MAP_BITS = 28
"""Fractional bits of an update's matrix on well-scaled data: they leave the paper's final MSE an error of 7e-5, which its blur hides."""
_RESOLUTION_BITS = 36
"""A refresh rounds predictions to about 2**-36 of the target's range."""
_MAXIMUM_EXTRA_BITS = 96
MAXIMUM_OWNER_TIMEOUT = 30 * 24 * 3600
MAXIMUM_ROUNDS = 100_000
"""A request anybody may post must not keep its readers busy with its schedule."""


@dataclass(frozen=True)
class TrainingTerms:
    """How a model is trained and measured.

    Attributes:
        requirements: the columns, their order and ranges.
        model: kind of model, one of `objectives.MODELS`.
        rounds: number of rounds, at least 1.
        step: length of a gradient step, positive.
        local_steps: gradient steps an owner takes in one round, at least 1.
        evaluate_every: the MSE is measured before the first round, then every so many rounds and after the last.
        metrics: protocol of the measurement, one of `METRICS`.
        contributions: how a trainer's share is found, one of `contributions.RULES`.
        robust: every round the updates are measured against each other, and a trainer that raises the error of every coalition it
            joins by more than a third is left out from there on; costs a Gram matrix a round, and needs `metrics="verifiable"`.
        scheme: encryption, one of `schemes.SCHEMES`.
        key_bits: length of the buyer's modulus.
        penalty: of large weights, beside the mean loss (`objectives.Objective`); 0 for a linear model.
        owner_timeout: seconds that an owner's answer is waited for before the run goes on without it; at most 30 days.
    """

    requirements: Requirements
    model: str = "linear"
    rounds: int = 100
    step: float = 1.5
    local_steps: int = 1
    evaluate_every: int = 2
    metrics: str = "verifiable"
    contributions: str = "shapley"
    robust: bool = False
    scheme: str = "paillier"
    key_bits: int = 2048
    owner_timeout: int = 300
    penalty: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            TermsError: naming the term and what it may be.
        """
        for name, chosen, known in (
            ("model", self.model, MODELS),
            ("metrics", self.metrics, METRICS),
            ("contributions", self.contributions, RULES),
            ("scheme", self.scheme, SCHEMES),
        ):
            if chosen not in known:
                raise TermsError(f"{name}={chosen!r} is not known; choose one of {', '.join(known)}")
        for name, count in (("rounds", self.rounds), ("local_steps", self.local_steps), ("evaluate_every", self.evaluate_every)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise TermsError(f"{name} must be a whole number of at least 1, not {count!r}")
        if self.rounds > MAXIMUM_ROUNDS:
            raise TermsError(f"rounds must be at most {MAXIMUM_ROUNDS}, not {self.rounds}: take more local steps a round instead")
        if isinstance(self.key_bits, bool) or not isinstance(self.key_bits, int) or self.key_bits < 1:
            raise TermsError(f"key_bits must be the length of the buyer's modulus, not {self.key_bits!r}")
        timeout = self.owner_timeout
        if isinstance(timeout, bool) or not isinstance(timeout, int) or not 1 <= timeout <= MAXIMUM_OWNER_TIMEOUT:
            raise TermsError(f"owner_timeout must be a whole number of seconds from 1 to {MAXIMUM_OWNER_TIMEOUT}, not {timeout!r}")
        if self.metrics == "noise" and (self.robust or self.contributions == "shapley"):
            raise TermsError('metrics="noise" measures one model at a time: it offers contributions="leave_one_out" and no robust=True')
        if isinstance(self.step, bool) or not isinstance(self.step, int | float) or not (math.isfinite(self.step) and self.step > 0):
            raise TermsError(f"step must be a positive number, not {self.step!r}")
        if not self.requirements.features:
            raise TermsError("a model needs at least one feature")
        for column in (*self.requirements.features, self.requirements.target):
            if not (math.isfinite(column.low) and math.isfinite(column.high) and column.low <= column.high):
                raise TermsError(f"the range of {column.name!r} must be finite and in order, not [{column.low}, {column.high}]")

        self._check_requirements()
        if self.objective.classifies and self.metrics != "verifiable":
            raise TermsError('a logistic model is measured with metrics="verifiable" only')
        try:
            bounded = self.residual_bound < 1e150 and self.base_scale + self.map_bits + self.row_bits > 0
        except OverflowError:
            bounded = False
        if not bounded:
            raise TermsError("the ranges and the step lead to numbers too large or too small to compute with: rescale the columns")

    def _check_requirements(self) -> None:
        names = [column.name for column in (*self.requirements.features, self.requirements.target)]
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
            raise TermsError(f"every column needs a name of its own, text that is not empty; these are {names}")
        minimum = self.requirements.minimum_rows
        if isinstance(minimum, bool) or not isinstance(minimum, int) or minimum < 1:
            raise TermsError(f"minimum_rows must be a whole number of at least 1, not {minimum!r}")
        self.requirements.preprocessing.check(names)

    @cached_property
    def weights(self) -> int:
        """d: one weight a feature, and the intercept last."""
        return len(self.requirements.features) + 1

    @cached_property
    def objective(self) -> Objective:
        """What is minimised."""
        return Objective(self.model, self.penalty)

    @cached_property
    def target(self) -> Column:
        """The target as it is trained on and measured: the declared one, or centred labels."""
        return self.objective.target(self.requirements.target)

    @cached_property
    def target_range(self) -> float:
        """Width of the target as declared; 1 when it is declared to be one value."""
        return self.target.high - self.target.low or self.target.magnitude or 1.0

    # --- bounds that hold for every owner that keeps to the terms ---

    @cached_property
    def row_norm(self) -> float:
        """`|x|_2` of a row, intercept included, is at most this."""
        return math.sqrt(1 + sum(column.magnitude**2 for column in self.requirements.features))

    @cached_property
    def update_bound(self) -> float:
        """`|v|_2` of an owner's map is at most this: N steps of `step * |X'y| / m`, none of them stretched by M."""
        return self.local_steps * self.step * self.objective.slope * self.row_norm * max(self.target.magnitude, 1e-300)

    @cached_property
    def weight_bound(self) -> float:
        """`|w|_2` from zero weights is at most this in every round, and in every solo model."""
        return self.rounds * self.update_bound

    @cached_property
    def residual_bound(self) -> float:
        """`|y - x.w|` is at most this."""
        return self.target.magnitude + self.row_norm * self.weight_bound

    @cached_property
    def error_bound(self) -> float:
        """No root mean square error beyond this is opened: that of predictions a whole range off the target's largest value."""
        return self.target.magnitude + self.target_range

    # --- fixed-point scales ---

    @cached_property
    def base_scale(self) -> int:
        """S_0: fractional bits of the weights at the start and after a refresh."""
        return max(8, _RESOLUTION_BITS - math.floor(math.log2(self.target_range)) + bits_for(self.row_norm))

    @cached_property
    def map_bits(self) -> int:
        """F: fractional bits of an update's matrix, which every round adds to the scale.

        A target far from zero, features above 1 or well below it make some weights or products large beside others: the
        rounding of M must stay small beside the smallest.
        """
        offset = bits_for(self.target.magnitude / (2 * self.target_range))
        large = bits_for(self.row_norm / math.sqrt(2))
        small = bits_for(1 / (16 * self._smallest_magnitude))
        return _MAP_BITS + min(_MAXIMUM_EXTRA_BITS, offset + large + small)

    @cached_property
    def row_bits(self) -> int:
        """Fractional bits of a validator's rows; enough for its smallest feature."""
        return self.map_bits + min(_MAXIMUM_EXTRA_BITS, bits_for(1 / self._smallest_magnitude))

    @cached_property
    def _smallest_magnitude(self) -> float:
        return min((column.magnitude for column in self.requirements.features if column.magnitude > 0), default=1.0)


# --- the document a request carries on chain ---

_VERSION = 1
_UNSTATED = {"penalty": 0.0}
"""Terms that came later: a document leaves them out where they change nothing, and is the same as before."""


@dataclass(frozen=True)
class RequestDocument:
    """What a buyer posts beside the escrow, as text in the contract's event.

    Attributes:
        terms: how to train and measure, and on which data.
        modulus: of the buyer's public key.
        proof: that the modulus is fit (`PrivateKey.prove_modulus`); everybody checks it before taking part.
    """

    terms: TrainingTerms
    modulus: int
    proof: tuple[int, ...]

    def to_json(self) -> str:
        """Canonical JSON: keys in order, no white space."""
        proof = [format(root, "x") for root in self.proof]
        terms = {name: value for name, value in asdict(self.terms).items() if name not in _UNSTATED or value != _UNSTATED[name]}
        terms["requirements"] = self.terms.requirements.content()
        content = {"version": _VERSION, "modulus": format(self.modulus, "x"), "proof": proof, "terms": terms}
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> RequestDocument:
        """Read and check a document that anybody may have posted.

        Raises:
            TermsError: it is not such a document, or its terms contradict each other.
        """
        try:
            content = canonical.load(text)
            if content["version"] != _VERSION:
                raise TermsError(f"the request's document has version {content['version']!r}, not {_VERSION}")
            stated = dict(content["terms"])
            required = Requirements.of_content(stated.pop("requirements"))
            proof = tuple(int(root, 16) for root in content["proof"])
            return cls(TrainingTerms(requirements=required, **stated), int(content["modulus"], 16), proof)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            if isinstance(error, TermsError):
                raise
            raise TermsError(f"this is not a training request's document: {error!r}") from error
