"""Every exception and privacy warning of DeltaML, each saying how to mend its cause.

`DeltaMLError` is the root: `except DeltaMLError` catches whatever the library raises on purpose. Where Python or
scikit-learn expect a `ValueError` for the same fault, the class is one as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class DeltaMLError(Exception):
    """Root of all errors DeltaML raises on purpose."""


class SettingError(DeltaMLError, ValueError):
    """An environment variable holds what it cannot mean."""


class MissingExtraError(DeltaMLError, ImportError):
    """An optional package is needed and not installed; the message says which extra brings it."""


# --- data and requests -------------------------------------------------------------------------------------------


class DataError(DeltaMLError, ValueError):
    """A data set cannot be used: shapes that do not agree, missing or infinite values, no rows."""


class RequirementsError(DataError):
    """A data set does not match what a training request requires of its columns and ranges."""


class ReleasesSpentError(DeltaMLError):
    """A data set was measured as often as its owner allows: another error would tell too much of its rows."""


class PrivacyError(DeltaMLError, ValueError):
    """An epsilon, delta or budget that cannot be meant, or that these rows cannot be protected with."""


class PrivacyBudgetError(DeltaMLError):
    """A data set's privacy budget does not bear another release: raise the budget, lower epsilon, or offer other rows."""


class TermsError(DeltaMLError, ValueError):
    """The terms of a training request contradict each other or leave no one to train or to validate."""


class DivergentStepError(TermsError):
    """The gradient step is too long for an owner's data, so its updates would grow without bound.

    Attributes:
        largest_stable_step: the longest step that this data allows, `2 / lambda_max(A / m)`.
    """

    def __init__(self, message: str, largest_stable_step: float) -> None:
        super().__init__(message)
        self.largest_stable_step = largest_stable_step


class ScaleBudgetError(TermsError):
    """The key is too small to hold the run's numbers without wrapping around (protocol.md §3)."""


class TooFewOwnersError(TermsError):
    """A sum over so few owners would be somebody's own numbers."""


class LocalTrainingError(DeltaMLError, ValueError):
    """An owner's own training of a visible model failed: its parameters or its metric are no finite numbers.

    Attributes:
        owner: whose it is.
        reason: what happened there.
    """

    def __init__(self, owner: str, reason: str) -> None:
        super().__init__(f"training at {owner} failed: {reason}")
        self.owner = owner
        self.reason = reason


# --- messages and cryptography -----------------------------------------------------------------------------------


class MessageError(DeltaMLError, ValueError):
    """A message cannot be read, or does not belong where it arrived.

    Attributes:
        sender: who sent it, as far as that is known.
    """

    def __init__(self, message: str, sender: str | None = None) -> None:
        super().__init__(f"from {sender}: {message}" if sender else message)
        self.sender = sender


class SignatureError(MessageError):
    """A message is not signed by the sender it names."""


class TranscriptError(DeltaMLError, ValueError):
    """A stored transcript cannot be read, or is not whole."""


class CiphertextError(MessageError):
    """A number that should be a ciphertext is out of range, not coprime with the modulus, or of the wrong count."""


class PublicKeyError(DeltaMLError, ValueError):
    """A public key is malformed or shorter than the terms state."""


class UnsupportedOperationError(DeltaMLError):
    """A scheme cannot do what was asked of it, for example multiply ciphertexts with each other."""


class ComputingPartyError(DeltaMLError):
    """A party of a computation on shares cannot be reached, ended, or answers what cannot be."""


class RandomnessError(DeltaMLError, ValueError):
    """A seat's random numbers were asked for out of order, so they would repeat or be nobody's."""


class MetricError(MessageError):
    """A metric does not follow from what was opened: somebody misreported it."""


# --- nodes -------------------------------------------------------------------------------------------------------


class StoreError(DeltaMLError):
    """A node's store cannot be opened, is damaged, or belongs to somebody else."""


class LeaseError(StoreError):
    """This identity runs already, in another process."""


class TransportError(DeltaMLError):
    """A message could not be handed over or fetched: nobody answers, or not in time. It is kept, and tried again."""


class RefusedError(TransportError):
    """The other side answered, and will not have this: trying again changes nothing.

    Attributes:
        status: the HTTP status it gave, 0 where there is none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NodeError(DeltaMLError):
    """A node cannot do what it was asked: a setting is missing or contradicts what its store holds."""


# --- chain -------------------------------------------------------------------------------------------------------


class ChainError(DeltaMLError):
    """The chain cannot be reached or did not do what was asked."""


class PortTakenError(ChainError):
    """Another program listens on the port the local chain was asked to use."""


class LocalChainError(ChainError):
    """The local chain could not be started, or ended before its time; the message holds what it said last."""


class WrongChainError(ChainError):
    """The node at the URL serves another chain than the one expected."""


class InsufficientFundsError(ChainError):
    """An account holds less ether than the transaction needs."""


class ContractError(ChainError):
    """The marketplace contract refused a call.

    Attributes:
        name: the contract's own error, for example `WrongStatus`.
        values: the offending values the contract reported, by name.
    """

    def __init__(self, message: str, name: str, values: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.name = name
        self.values = dict(values)


class KeystoreError(DeltaMLError, ValueError):
    """A keystore file is missing, damaged, or not a version 3 keystore."""


class WrongPasswordError(KeystoreError):
    """The password does not open the keystore."""


# --- warnings ----------------------------------------------------------------------------------------------------


class PrivacyWarning(UserWarning):
    """Somebody learns more than the default protocol would tell them."""


class NoiseMetricWarning(PrivacyWarning):
    """`metrics="noise"` hands the buyer every validator's residuals, and the weights at every refresh.

    After about d + 1 evaluations the buyer can solve for the validators' rows (protocol.md §4).
    """


class PooledStatisticsWarning(PrivacyWarning):
    """`solver="normal_equations"` tells the buyer the trainers' pooled X'X and X'y: means, variances and covariances of all rows together.

    Nothing of it is proven, and no contributions are measured.
    """


class VisibleModelWarning(PrivacyWarning):
    """`privacy="updates"` shows every round's model to every owner and to the buyer, and so the trainers' mean update.

    Only single updates stay hidden. What models and means tell of the rows they come from is not limited
    (docs/updates.md says who sees what).
    """


class FewOwnersWarning(PrivacyWarning):
    """A sum over two owners that both learn tells each of them the other's part."""


class InsecureKeyWarning(PrivacyWarning):
    """The buyer's key is short enough to be factored: what it encrypts is not safe (NIST SP 800-57: 2048 bits at least)."""


class SemiHonestSchemeWarning(PrivacyWarning):
    """This scheme trusts everybody to follow the protocol: nothing that it computes is proven, and no transcript is kept to audit."""


class WeakPrivacyWarning(PrivacyWarning):
    """Epsilon is so large that differential privacy bounds next to nothing."""


class ConstantColumnWarning(UserWarning):
    """A feature has the same value in every row, so it teaches the model nothing the intercept does not."""
