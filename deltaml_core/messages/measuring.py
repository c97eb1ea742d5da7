"""What is said in measuring a model (`deltaml_core/metrics/`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deltaml_core.messages.base import Digest, Large, Message, kind
from deltaml_core.schemes.base import Ciphertexts


class Subject(StrEnum):
    """What is measured."""

    MODEL = "model"
    """The federated model after a round."""
    COALITION = "coalition"
    """The average of some trainers' solo models; of none, the mean predictor."""
    SOLO_MODELS = "solo-models"
    """All trainers' solo models against each other."""
    UPDATES = "updates"
    """All trainers' updates of a round against each other."""


# --- measuring ---------------------------------------------------------------------------------------------------


@kind("evaluate")
@dataclass(frozen=True, kw_only=True)
class Evaluate(Message):
    """Aggregator to validator: measure these weights, times `numerator / denominator`, on your rows.

    Attributes:
        evaluation: number of the measurement, over the whole run.
        subject: what the weights are, one of `Subject`.
        models: how many models the weights are, one after the other.
    """

    evaluation: int
    subject: str
    scale: int
    models: int
    numerator: int
    denominator: int
    weights: Ciphertexts


@kind("residuals")
@dataclass(frozen=True, kw_only=True)
class Residuals(Message):
    """Validator to aggregator: `[[y - X w]]`, packed."""

    evaluation: int
    rows: int
    packed: Ciphertexts


@kind("open-residuals")
@dataclass(frozen=True, kw_only=True)
class OpenResiduals(Message):
    """Aggregator to buyer: decrypt these masked residuals; `rows` of each validator, one after the other."""

    evaluation: int
    scale: int
    rows: tuple[int, ...]
    packed: Ciphertexts


@kind("opened-residuals")
@dataclass(frozen=True, kw_only=True)
class OpenedResiduals(Message):
    """Buyer to aggregator: the masked residuals in the clear, as the digits of their slots."""

    evaluation: int
    digits: tuple[int, ...]


@kind("reveal-noise")
@dataclass(frozen=True, kw_only=True)
class RevealNoise(Message):
    """Aggregator to buyer: the noise that was added, and the squared error it leads to."""

    evaluation: int
    noise: tuple[int, ...]
    squared_error: Large


@kind("metric-confirmed", public=True)
@dataclass(frozen=True, kw_only=True)
class MetricConfirmed(Message):
    """Buyer to aggregator: the squared error follows from what was opened."""

    evaluation: int


@kind("metric", public=True)
@dataclass(frozen=True, kw_only=True)
class MetricAnnounced(Message):
    """Aggregator to owner: a confirmed measurement; its mean squared error is `squared_error / 2**(2 scale) / rows`.

    Everybody hears of the federated model's; coalitions' are for the validators, who sign the gains that follow from them.

    Attributes:
        subject: what was measured, one of `Subject`.
        coalition: whose averaged solo models were measured; empty for the mean predictor.
    """

    evaluation: int
    subject: str
    coalition: tuple[str, ...]
    squared_error: Large
    scale: int
    rows: int


# --- measuring verifiably (protocol.md §5) ---


@kind("masked-errors")
@dataclass(frozen=True, kw_only=True)
class MaskedErrors(Message):
    """Validator to buyer: `[[t = v + s]]` and `[[t' = alpha v + s']]` for the error vectors v of one or more models, packed.

    Attributes:
        evaluation: number of the measurement.
        attempt: 1, or 2 when the first zero test failed; then every entry has a ciphertext of its own.
        scale: of the measured weights.
        models: how many vectors.
        entries: length of each.
    """

    evaluation: int
    attempt: int
    scale: int
    models: int
    entries: int
    masked: Ciphertexts
    scaled: Ciphertexts


@kind("products")
@dataclass(frozen=True, kw_only=True)
class Products(Message):
    """Buyer to validator: `[[Q = t_i . t_l]]` and `[[Q' = t'_i . t'_l]]` for every pair i <= l of models."""

    evaluation: int
    attempt: int
    products: Ciphertexts
    scaled: Ciphertexts


@kind("zero-test", public=True)
@dataclass(frozen=True, kw_only=True)
class ZeroTest(Message):
    """Validator to buyer: prove that this ciphertext holds 0."""

    evaluation: int
    attempt: int
    ciphertext: Ciphertexts


@kind("zero-test-answer", public=True)
@dataclass(frozen=True, kw_only=True)
class ZeroTestAnswer(Message):
    """Buyer to validator: the randomness that shows it holds 0; none when it does not, which is not opened."""

    evaluation: int
    attempt: int
    randomness: tuple[int, ...]


@kind("squared-errors")
@dataclass(frozen=True, kw_only=True)
class SquaredErrors(Message):
    """Validator to aggregator: `[[V]]`, its squared error (or the Gram matrix of several models' errors), blurred."""

    evaluation: int
    rows: int
    values: Ciphertexts


@kind("sent-errors")
@dataclass(frozen=True, kw_only=True)
class SentErrors(Message):
    """Validator to validator: what it has sent as its `SquaredErrors`, so that the aggregator can tell nobody another story.

    Attributes:
        digest: `transcript.errors_digest` of its rows and values.
    """

    evaluation: int
    digest: Digest


@kind("sent-model")
@dataclass(frozen=True, kw_only=True)
class SentModel(Message):
    """Trainer to validator: which model it sent to be compared, so that the aggregator can neither swap nor rename it.

    Attributes:
        subject: `solo-models` or `updates`.
        digest: `transcript.ciphertexts_hash` of its weights.
        rows, target_share: with a solo model, as in `SoloModel`; else 0 and nothing.
    """

    subject: str
    rows: int
    digest: Digest
    target_share: Ciphertexts


@kind("measurement-failed", public=True)
@dataclass(frozen=True, kw_only=True)
class MeasurementFailed(Message):
    """Validator to aggregator: the buyer's products failed the zero test twice."""

    evaluation: int


@kind("open-sums", public=True)
@dataclass(frozen=True, kw_only=True)
class OpenSums(Message):
    """Aggregator to buyer: open the sums of the validators' squared errors.

    Attributes:
        rows: of all validators together.
    """

    evaluation: int
    scale: int
    models: int
    rows: int
    sums: Ciphertexts


@kind("opened-sums", public=True)
@dataclass(frozen=True, kw_only=True)
class OpenedSums(Message):
    """Buyer to aggregator: the sums with proof."""

    evaluation: int
    plaintexts: tuple[int, ...]
    randomness: tuple[int, ...]


@kind("measured")
@dataclass(frozen=True, kw_only=True)
class Measured(Message):
    """Aggregator to owner: a measurement with all that proves it.

    Attributes:
        evaluation: number of the measurement.
        scale: of the measured weights.
        models: how many models; with more than one, the Gram matrix of their errors.
        validators: who measured.
        rows: of each.
        values: each one's `SquaredErrors`, one after the other.
        plaintexts, randomness: the opening of their products.
    """

    evaluation: int
    scale: int
    models: int
    validators: tuple[str, ...]
    rows: tuple[int, ...]
    values: Ciphertexts
    plaintexts: tuple[int, ...]
    randomness: tuple[int, ...]


@kind("leave-out", public=True)
@dataclass(frozen=True, kw_only=True)
class LeaveOut(Message):
    """Aggregator to validator: this trainer's update harms all (`contributions.worst_harm`), so the round is asked again without it.

    Attributes:
        trainers: who trained, in the order of the measured updates.
        left: whose updates are left out from here on.
    """

    evaluation: int
    trainers: tuple[str, ...]
    left: str
