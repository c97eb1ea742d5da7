"""What a model has to offer to be trained in the open: its parameters, and training and measuring where the rows are."""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import MessageError
from deltaml_core.statistics import Array

Rows = npt.NDArray[Any]
"""An owner's inputs, (m, ...), or targets, (m,) or (m, outputs)."""

_FLOAT64 = 1 << 64


@runtime_checkable
class LocalModel(Protocol):
    """A model every owner holds a copy of (`copy.deepcopy`). Its optimiser's state stays with the copy, between rounds too.

    Attributes:
        metric: the name of what `measure` returns, for example "accuracy".
    """

    metric: str

    def parameters(self) -> list[Array]:
        """Copies of the parameters, always in the same order and shapes."""

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        """Take over parameters of these shapes."""

    def fit_locally(self, X: Rows, y: Rows) -> None:
        """Train on an owner's rows: one pass.

        Raises:
            ValueError: training failed, as it does when it diverges.
        """

    def measure(self, X: Rows, y: Rows) -> float:
        """The model's metric as a mean over rows: what one owner measures weighs as much as it has rows."""

    def unwrap(self) -> Any:
        """The model as its own library knows it."""


def flat(model: LocalModel) -> Array:
    """All parameters in one vector."""
    return np.concatenate([np.asarray(part, dtype=np.float64).ravel() for part in model.parameters()])


def set_flat(model: LocalModel, vector: Array) -> None:
    """The inverse of `flat`."""
    parts, start = [], 0
    for part in model.parameters():
        parts.append(vector[start : start + part.size].reshape(part.shape))
        start += part.size
    model.set_parameters(parts)


def with_parameters(model: LocalModel, vector: Array) -> LocalModel:
    """A copy of the model with other parameters."""
    copied = copy.deepcopy(model)
    set_flat(copied, vector)
    return copied


def to_bits(vector: Iterable[float]) -> tuple[int, ...]:
    """float64 numbers as the integers of their 64 bits, exactly."""
    return tuple(int.from_bytes(struct.pack(">d", value)) for value in vector)


def from_bits(patterns: Sequence[int], count: int, sender: str) -> Array:
    """The inverse of `to_bits`, for what arrived, (count,).

    Raises:
        MessageError: naming the sender: another count, or not the bits of finite numbers.
    """
    if len(patterns) != count:
        raise MessageError(f"the model has {count} parameters, but {len(patterns)} arrived", sender)
    if not all(0 <= pattern < _FLOAT64 for pattern in patterns):
        raise MessageError("a parameter is not the 64 bits of a number", sender)
    vector = np.array([struct.unpack(">d", pattern.to_bytes(8))[0] for pattern in patterns], dtype=np.float64)
    if not np.isfinite(vector).all():
        raise MessageError("a parameter is not finite", sender)
    return vector
