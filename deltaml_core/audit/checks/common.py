"""The register of checks, and what several of them compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from deltaml_core.audit.measuring import Measuring
from deltaml_core.audit.record import Fault
from deltaml_core.audit.state import State
from deltaml_core.messages import (
    ApproveResult,
    AskMasks,
    Evaluate,
    FinalModel,
    InitialModel,
    MaskedErrors,
    Masks,
    MeasurementFailed,
    Message,
    MetricConfirmed,
    OpenedMasked,
    OpenedResiduals,
    OpenedSums,
    OpenMasked,
    OpenResiduals,
    OpenSums,
    OwnerDropped,
    OwnerReady,
    Products,
    ProposeResult,
    Refresh,
    Refreshed,
    Residuals,
    RevealNoise,
    SentErrors,
    SoloModel,
    SquaredErrors,
    Train,
    TrainAlone,
    Update,
    ZeroTest,
    ZeroTestAnswer,
)
from deltaml_core.schedule import Kind, Step
from deltaml_core.schemes.base import Ciphertexts, Opening

ANSWERS: dict[type[Message], type[Message]] = {
    Update: Train,
    Refreshed: Refresh,
    Masks: AskMasks,
    OpenedMasked: OpenMasked,
    Residuals: Evaluate,
    OpenedResiduals: OpenResiduals,
    MetricConfirmed: RevealNoise,
    Products: MaskedErrors,
    ZeroTest: Products,
    ZeroTestAnswer: ZeroTest,
    SquaredErrors: ZeroTestAnswer,
    SentErrors: ZeroTestAnswer,
    MeasurementFailed: ZeroTestAnswer,
    OpenedSums: OpenSums,
    SoloModel: TrainAlone,
    ApproveResult: ProposeResult,
}
"""What answers one kind only."""

UNASKED = (InitialModel, OwnerReady, OwnerDropped, FinalModel)
"""What may be said of one's own accord."""

_CHECKS: dict[type[Message], Callable[[State, Any], None]] = {}
_M = TypeVar("_M", bound=Message)


def check(state: State, message: Message) -> None:
    """Compare the record's latest message with those before.

    Raises:
        Fault, DeltaMLError: something does not hold.
    """
    asked, expected = state.record.answered(message), ANSWERS.get(type(message))
    if not message.answers and not isinstance(message, UNASKED):
        raise Fault("order", "it answers nothing")
    if expected is not None and asked is not None and (type(asked) is not expected or asked.round != message.round):
        raise Fault("order", f"it answers a {asked.kind} of round {asked.round}")
    if type(message) not in _CHECKS:
        raise Fault("kind", "no check is known for messages of this kind")
    gone = state.dropping.dropped
    if message.sender in gone or (message.recipient in gone and message.sender != state.header.aggregator):
        return  # it crossed the news that this owner was dropped: nobody makes anything of it
    _CHECKS[type(message)](state, message)


def of(kind: type[_M]) -> Callable[[Callable[[State, _M], None]], Callable[[State, _M], None]]:
    """Register the check of a message kind."""

    def register(function: Callable[[State, _M], None]) -> Callable[[State, _M], None]:
        _CHECKS[kind] = function
        return function

    return register


def said_by(message: Message, *senders: str) -> None:
    """Refuse what somebody else says."""
    if message.sender not in senders:
        raise Fault("participants", f"only {' or '.join(senders)} may say that")


def between(message: Message, sender: str, recipient: str) -> None:
    """Refuse what is said by, or to, somebody else."""
    if (message.sender, message.recipient) != (sender, recipient):
        raise Fault("participants", f"only {sender} may say that, to {recipient}")


def ask(state: State, message: Message, recipients: tuple[str, ...]) -> None:
    """The aggregator asks each of these once in a step."""
    said_by(message, state.header.aggregator)
    if message.recipient not in recipients or message.recipient in state.asked:
        raise Fault("order", "it goes to somebody whom it does not concern, or who was asked already")
    state.asked.add(message.recipient)


def at_scale(step: Step, scale: int, added: int = 0) -> None:
    """Refuse a scale that is not the step's, `added` bits on."""
    if scale != step.scale + added:
        raise Fault("schedule", f"its scale is {scale} bits instead of {step.scale + added}")


def same(found: Ciphertexts, product: Ciphertexts) -> None:
    """Refuse ciphertexts that are not the product they should be."""
    if found != product:
        raise Fault("product", "its ciphertexts are not the product of those before it")


def opens(state: State, ciphertexts: Ciphertexts, plaintexts: tuple[int, ...], randomness: tuple[int, ...], name: str = "opening") -> None:
    """Refuse an opening that does not hold, and count those that do."""
    if not len(ciphertexts) == len(plaintexts) == len(randomness):
        raise Fault(name, f"it opens {len(plaintexts)} of {len(ciphertexts)} ciphertexts")
    for ciphertext, plaintext, power in zip(ciphertexts, plaintexts, randomness, strict=True):
        if not state.key.verify(ciphertext, Opening(plaintext, power)):
            raise Fault(name, "it does not hold")
    state.counts["openings"] += len(ciphertexts)


def values_of(state: State, measuring: Measuring) -> Ciphertexts:
    """All validators' squared errors of a measurement, in the header's order."""
    return tuple(value for validator in state.validators for value in measuring.answers[validator].values)


def final_scale_of(state: State) -> int:
    """Fractional bits of the last round's model."""
    return [step.scale for step in state.party.steps if step.kind is Kind.EVALUATE][-1]
