"""What is said in training: setting out, a round, a refresh, the result."""

from __future__ import annotations

from dataclasses import dataclass

from deltaml_core.messages.base import HexSignature, Large, Message, kind
from deltaml_core.schemes.base import Ciphertexts

# --- setting out -------------------------------------------------------------------------------------------------


@kind("initial-model")
@dataclass(frozen=True, kw_only=True)
class InitialModel(Message):
    """Buyer to aggregator: the weights training starts from, the zeros that every owner recognises."""

    weights: Ciphertexts


@kind("owner-ready", public=True)
@dataclass(frozen=True, kw_only=True)
class OwnerReady(Message):
    """Owner to aggregator: it has its role, has checked the terms against its data, and brings so many rows."""

    rows: int


@kind("owner-dropped", public=True)
@dataclass(frozen=True, kw_only=True)
class OwnerDropped(Message):
    """Aggregator to itself, for the record: this owner was silent for the terms' `owner_timeout`; then to all, that they go on without it.

    Attributes:
        owner: who is dropped.
    """

    owner: str


# --- a round -----------------------------------------------------------------------------------------------------


@kind("train")
@dataclass(frozen=True, kw_only=True)
class Train(Message):
    """Aggregator to trainer: take your local steps from these weights and divide the result by the number of trainers."""

    scale: int
    trainers: int
    weights: Ciphertexts


@kind("update")
@dataclass(frozen=True, kw_only=True)
class Update(Message):
    """Trainer to aggregator: `[[(M w + v) / trainers]]`."""

    scale: int
    trainers: int
    weights: Ciphertexts


@kind("refresh")
@dataclass(frozen=True, kw_only=True)
class Refresh(Message):
    """Aggregator to buyer: decrypt, round and re-encrypt these packed weights (the thesis's refresh)."""

    scale: int
    packed: Ciphertexts


@kind("refreshed")
@dataclass(frozen=True, kw_only=True)
class Refreshed(Message):
    """Buyer to aggregator: the weights at the base scale."""

    weights: Ciphertexts


# --- refreshing without showing the model (protocol.md §6) ---


@kind("ask-masks")
@dataclass(frozen=True, kw_only=True)
class AskMasks(Message):
    """Aggregator to owner: mask the weights, which are to lose fractional bits."""

    scale: int


@kind("masks")
@dataclass(frozen=True, kw_only=True)
class Masks(Message):
    """Owner to aggregator: `[[s]]`, which will be cancelled, and from trainers `[[r]]`, which hides the low bits and stays in."""

    high: Ciphertexts
    low: Ciphertexts


@kind("open-masked", public=True)
@dataclass(frozen=True, kw_only=True)
class OpenMasked(Message):
    """Aggregator to buyer: open the masked weights, packed."""

    scale: int
    packed: Ciphertexts


@kind("opened-masked", public=True)
@dataclass(frozen=True, kw_only=True)
class OpenedMasked(Message):
    """Buyer to aggregator: the masked weights with proof."""

    plaintexts: tuple[int, ...]
    randomness: tuple[int, ...]


# --- contributions and the end -----------------------------------------------------------------------------------


@kind("train-alone")
@dataclass(frozen=True, kw_only=True)
class TrainAlone(Message):
    """Aggregator to trainer: take all steps of the run on your rows alone, from the initial weights.

    Attributes:
        rows: rows of all trainers together.
    """

    scale: int
    rows: int
    weights: Ciphertexts


@kind("solo-model")
@dataclass(frozen=True, kw_only=True)
class SoloModel(Message):
    """Trainer to aggregator: its solo model.

    Attributes:
        rows: rows of all trainers together, as it was asked with.
        target_share: the sum of its targets divided by all trainers' rows; summed over trainers it is the mean predictor.
    """

    scale: int
    rows: int
    weights: Ciphertexts
    target_share: Ciphertexts


@kind("propose-result", public=True)
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


@kind("approve-result", public=True)
@dataclass(frozen=True, kw_only=True)
class ApproveResult(Message):
    """Validator to aggregator: it recomputed the proposed result and stands for it.

    Attributes:
        statement_signature: of the contract's statement (EIP-712), which its node makes; empty where no contract stands behind the run.
    """

    weights_hash: str
    statement_signature: HexSignature = ""


@kind("final-model")
@dataclass(frozen=True, kw_only=True)
class FinalModel(Message):
    """Aggregator to owners, for keeping; after settlement anybody of them to the buyer: the encrypted model it paid for."""

    scale: int
    weights: Ciphertexts
