"""What the roles say to each other, and the only form it takes on a wire: canonical JSON, version 1.

Canonical means: keys in order, no white space, ASCII. Integers that may be large are lower-case hexadecimal strings. A message
that does not decode to exactly its own bytes is refused, so there is one encoding of everything and hashes are unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

from deltaml_core import canonical
from deltaml_core.errors import MessageError
from deltaml_core.schemes.base import Ciphertexts

VERSION = 1
MAXIMUM_BYTES = 64 << 20
"""No honest message is longer: 5,000 ciphertexts under a 16,384-bit modulus."""

Large = Annotated[int, "hexadecimal on the wire"]

Digest = Annotated[str, "SHA-256 in hexadecimal, or empty"]

_HEXADECIMAL = re.compile(r"-?(0|[1-9a-f][0-9a-f]*)\Z")
_DIGEST = re.compile(r"([0-9a-f]{64})?\Z")
_SMALL = 1 << 53  # what every JSON reader holds exactly


@dataclass(frozen=True, kw_only=True)
class Message:
    """What every message names.

    Attributes:
        request: identifies the training request.
        round: the round it belongs to; 0 before the first.
        sender: who says it.
        recipient: who it is meant for.
        answers: SHA-256 of the canonical bytes of the message it answers, hexadecimal; empty for none. Roles leave it to the transport.
    """

    kind: ClassVar[str]
    request: str
    round: int
    sender: str
    recipient: str
    answers: Digest = ""


_KINDS: dict[str, type[Message]] = {}
_PUBLIC: set[str] = set()
_M = TypeVar("_M", bound=type[Message])


def _kind(name: str, *, public: bool = False) -> Callable[[_M], _M]:
    """Register a kind; `public` ones hold nothing that only some may read, and are shown in the public part of a transcript."""

    def register(message: _M) -> _M:
        message.kind = name
        _KINDS[name] = message
        if public:
            _PUBLIC.add(name)
        return message

    return register


def is_public(message: Message) -> bool:
    """Whether everybody may read a message."""
    return message.kind in _PUBLIC


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


# --- setting out -------------------------------------------------------------------------------------------------


@_kind("initial-model")
@dataclass(frozen=True, kw_only=True)
class InitialModel(Message):
    """Buyer to aggregator: the encrypted weights training starts from."""

    weights: Ciphertexts


@_kind("owner-ready", public=True)
@dataclass(frozen=True, kw_only=True)
class OwnerReady(Message):
    """Owner to aggregator: it has its role, has checked the terms against its data, and brings so many rows."""

    rows: int


# --- a round -----------------------------------------------------------------------------------------------------


@_kind("train")
@dataclass(frozen=True, kw_only=True)
class Train(Message):
    """Aggregator to trainer: take your local steps from these weights and divide the result by the number of trainers."""

    scale: int
    trainers: int
    weights: Ciphertexts


@_kind("update")
@dataclass(frozen=True, kw_only=True)
class Update(Message):
    """Trainer to aggregator: `[[(M w + v) / trainers]]`."""

    scale: int
    trainers: int
    weights: Ciphertexts


@_kind("refresh")
@dataclass(frozen=True, kw_only=True)
class Refresh(Message):
    """Aggregator to buyer: decrypt, round and re-encrypt these packed weights (the thesis's refresh)."""

    scale: int
    packed: Ciphertexts


@_kind("refreshed")
@dataclass(frozen=True, kw_only=True)
class Refreshed(Message):
    """Buyer to aggregator: the weights at the base scale."""

    weights: Ciphertexts


# --- measuring ---------------------------------------------------------------------------------------------------


@_kind("evaluate")
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


@_kind("residuals")
@dataclass(frozen=True, kw_only=True)
class Residuals(Message):
    """Validator to aggregator: `[[y - X w]]`, packed."""

    evaluation: int
    rows: int
    packed: Ciphertexts


@_kind("open-residuals")
@dataclass(frozen=True, kw_only=True)
class OpenResiduals(Message):
    """Aggregator to buyer: decrypt these masked residuals; `rows` of each validator, one after the other."""

    evaluation: int
    scale: int
    rows: tuple[int, ...]
    packed: Ciphertexts


@_kind("opened-residuals")
@dataclass(frozen=True, kw_only=True)
class OpenedResiduals(Message):
    """Buyer to aggregator: the masked residuals in the clear, as the digits of their slots."""

    evaluation: int
    digits: tuple[int, ...]


@_kind("reveal-noise")
@dataclass(frozen=True, kw_only=True)
class RevealNoise(Message):
    """Aggregator to buyer: the noise that was added, and the squared error it leads to."""

    evaluation: int
    noise: tuple[int, ...]
    squared_error: Large


@_kind("metric-confirmed", public=True)
@dataclass(frozen=True, kw_only=True)
class MetricConfirmed(Message):
    """Buyer to aggregator: the squared error follows from what was opened."""

    evaluation: int


@_kind("metric", public=True)
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


@_kind("masked-errors")
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


@_kind("products")
@dataclass(frozen=True, kw_only=True)
class Products(Message):
    """Buyer to validator: `[[Q = t_i . t_l]]` and `[[Q' = t'_i . t'_l]]` for every pair i <= l of models."""

    evaluation: int
    attempt: int
    products: Ciphertexts
    scaled: Ciphertexts


@_kind("zero-test", public=True)
@dataclass(frozen=True, kw_only=True)
class ZeroTest(Message):
    """Validator to buyer: prove that this ciphertext holds 0."""

    evaluation: int
    attempt: int
    ciphertext: Ciphertexts


@_kind("zero-test-answer", public=True)
@dataclass(frozen=True, kw_only=True)
class ZeroTestAnswer(Message):
    """Buyer to validator: the randomness that shows it holds 0; none when it does not, which is not opened."""

    evaluation: int
    attempt: int
    randomness: tuple[int, ...]


@_kind("squared-errors")
@dataclass(frozen=True, kw_only=True)
class SquaredErrors(Message):
    """Validator to aggregator: `[[V]]`, its squared error (or the Gram matrix of several models' errors), blurred."""

    evaluation: int
    rows: int
    values: Ciphertexts


@_kind("measurement-failed", public=True)
@dataclass(frozen=True, kw_only=True)
class MeasurementFailed(Message):
    """Validator to aggregator: the buyer's products failed the zero test twice."""

    evaluation: int


@_kind("open-sums", public=True)
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


@_kind("opened-sums", public=True)
@dataclass(frozen=True, kw_only=True)
class OpenedSums(Message):
    """Buyer to aggregator: the sums with proof."""

    evaluation: int
    plaintexts: tuple[int, ...]
    randomness: tuple[int, ...]


@_kind("measured")
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


@_kind("leave-out", public=True)
@dataclass(frozen=True, kw_only=True)
class LeaveOut(Message):
    """Aggregator to validator: this trainer's update made every coalition it joined worse, so the round is asked again without it.

    Attributes:
        trainers: who trained, in the order of the measured updates.
        left: whose updates are left out from here on.
    """

    evaluation: int
    trainers: tuple[str, ...]
    left: str


# --- refreshing without showing the model (protocol.md §6) ---


@_kind("ask-masks")
@dataclass(frozen=True, kw_only=True)
class AskMasks(Message):
    """Aggregator to owner: mask the weights, which are to lose fractional bits."""

    scale: int


@_kind("masks")
@dataclass(frozen=True, kw_only=True)
class Masks(Message):
    """Owner to aggregator: `[[s]]`, which will be cancelled, and from trainers `[[r]]`, which hides the low bits and stays in."""

    high: Ciphertexts
    low: Ciphertexts


@_kind("open-masked", public=True)
@dataclass(frozen=True, kw_only=True)
class OpenMasked(Message):
    """Aggregator to buyer: open the masked weights, packed."""

    scale: int
    packed: Ciphertexts


@_kind("opened-masked", public=True)
@dataclass(frozen=True, kw_only=True)
class OpenedMasked(Message):
    """Buyer to aggregator: the masked weights with proof."""

    plaintexts: tuple[int, ...]
    randomness: tuple[int, ...]


# --- contributions and the end -----------------------------------------------------------------------------------


@_kind("train-alone")
@dataclass(frozen=True, kw_only=True)
class TrainAlone(Message):
    """Aggregator to trainer: take all steps of the run on your rows alone, from the initial weights.

    Attributes:
        rows: rows of all trainers together.
    """

    scale: int
    rows: int
    weights: Ciphertexts


@_kind("solo-model")
@dataclass(frozen=True, kw_only=True)
class SoloModel(Message):
    """Trainer to aggregator: its solo model.

    Attributes:
        target_share: the sum of its targets divided by all trainers' rows; summed over trainers it is the mean predictor.
    """

    scale: int
    weights: Ciphertexts
    target_share: Ciphertexts


@_kind("propose-result", public=True)
@dataclass(frozen=True, kw_only=True)
class ProposeResult(Message):
    """Aggregator to validator: the result to be signed, for the contract.

    Attributes:
        initial, final, gains: in units of 10**-18.
        scale: the opened squared error has so many fractional bits.
        rows: the validators' rows.
        trainers: in the order of the gains.
        weights_hash, metric_hash, transcript_hash: of the evaluated weights, the metric's ciphertext, and the run so far.
    """

    initial: Large
    final: Large
    scale: int
    rows: int
    trainers: tuple[str, ...]
    gains: tuple[int, ...]
    weights_hash: str
    metric_hash: str
    transcript_hash: str


@_kind("approve-result", public=True)
@dataclass(frozen=True, kw_only=True)
class ApproveResult(Message):
    """Validator to aggregator: it recomputed the proposed result and stands for it."""

    weights_hash: str


@_kind("final-model")
@dataclass(frozen=True, kw_only=True)
class FinalModel(Message):
    """Aggregator to owners, for keeping; after settlement anybody of them to the buyer: the encrypted model it paid for."""

    scale: int
    weights: Ciphertexts


# --- the codec ---------------------------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """The canonical bytes of a message."""
    content: dict[str, Any] = {"version": VERSION, "kind": message.kind}
    for name, codec in _codecs(message.kind).items():
        content[name] = codec.write(getattr(message, name))
    return canonical.dump(content)


def decode(data: bytes, sender: str | None = None) -> Message:
    """The message that `encode` made these bytes of.

    Args:
        data: what arrived.
        sender: whom to name when it is faulty; the transport knows.

    Raises:
        MessageError: too long, not canonical JSON of this version, an unknown kind, missing, extra or mistyped fields.
    """
    if len(data) > MAXIMUM_BYTES:
        raise MessageError(f"a message of {len(data)} bytes is longer than the {MAXIMUM_BYTES} allowed", sender)
    try:
        content = canonical.load(data)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"a message is not JSON: {error}", sender) from error
    if not isinstance(content, dict):
        raise MessageError("a message must be a JSON object", sender)
    if type(content.get("version")) is not int or content["version"] != VERSION:  # true and 1.0 equal 1, but are other bytes
        raise MessageError(f"message version {content.get('version')!r} is not {VERSION}; update the older side", sender)
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise MessageError(f"there is no message kind {kind!r}", sender)
    codecs = _codecs(kind)
    if set(content) != {"version", "kind", *codecs}:
        odd = sorted(set(content) ^ {"version", "kind", *codecs})
        raise MessageError(f"{kind}: missing or unknown fields {', '.join(odd)}", sender)
    values = {}
    for name, codec in codecs.items():
        try:
            values[name] = codec.read(content[name])
        except (TypeError, ValueError) as error:
            raise MessageError(f"{kind}: field {name!r} {error}", sender) from error
    if canonical.dump(content) != data:
        raise MessageError(f"{kind}: not in canonical form", sender)
    return _KINDS[kind](**values)


@dataclass(frozen=True)
class _Codec:
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def _read_text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise TypeError("must be text of at most 200 characters")
    return value


def _read_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("must be true or false")
    return value


def _read_small(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _SMALL:
        raise TypeError("must be a whole number from 0 to 2**53 - 1")
    return value


def _read_large(value: Any) -> int:
    if not isinstance(value, str) or not _HEXADECIMAL.match(value) or value == "-0":
        raise TypeError("must hold hexadecimal numbers without leading zeros")
    return int(value, 16)


def _read_digest(value: Any) -> str:
    if not isinstance(value, str) or not _DIGEST.match(value):
        raise TypeError("must be a SHA-256 in lower-case hexadecimal, or empty")
    return value


def _read_list(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read_list(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError("must be a list")
        return tuple(read(item) for item in value)

    return read_list


def _write_large(value: int) -> str:
    return format(value, "x")


_CODECS: dict[Any, _Codec] = {
    str: _Codec(str, _read_text),
    Digest: _Codec(str, _read_digest),
    bool: _Codec(bool, _read_flag),
    int: _Codec(int, _read_small),
    Large: _Codec(_write_large, _read_large),
    tuple[int, ...]: _Codec(lambda values: [_write_large(v) for v in values], _read_list(_read_large)),
    tuple[str, ...]: _Codec(list, _read_list(_read_text)),
}


@cache
def _codecs(kind: str) -> dict[str, _Codec]:
    hints = get_type_hints(_KINDS[kind], include_extras=True)
    return {field.name: _CODECS[hints[field.name]] for field in fields(_KINDS[kind])}
