"""Torch modules as models to train in the open; needs the extra `torch`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from deltaml_core.errors import TermsError
from deltaml_core.extras import require
from deltaml_core.statistics import Array
from deltaml_core.updates.local_model import Rows


class TorchModel:
    """A torch module with the loss and the optimiser its owners train it with.

    Averaged are the floating-point entries of its `state_dict`, buffers such as a batch norm's running mean included; whole-number
    buffers stay with each owner.

    Example:
        TorchModel(module, loss=torch.nn.CrossEntropyLoss(), optimiser=lambda parameters: torch.optim.SGD(parameters, lr=0.1))

    Attributes:
        metric: "accuracy" where the targets are whole numbers (classes), else "loss".
    """

    def __init__(
        self,
        module: Any,
        *,
        loss: Callable[[Any, Any], Any],
        optimiser: Callable[[Iterable[Any]], Any],
        batch_size: int = 32,
        classify: bool = True,
        random_state: int = 0,
    ) -> None:
        """Wrap a module.

        Args:
            module: a `torch.nn.Module` on the CPU; owners work on copies.
            loss: of (outputs, targets), the mean over a batch.
            optimiser: makes one for these parameters; every owner's lives as long as the training.
            batch_size: rows in a step.
            classify: y holds class numbers, the module's outputs are scores of the classes, and accuracy is measured; otherwise y holds
                numbers, and the loss is measured.
            random_state: of the order in which an owner sees its rows, which is no secret kept from anybody.

        Raises:
            MissingExtraError: torch is not installed.
            TermsError: no module, or one without floating-point parameters; a batch size below 1.
        """
        if not isinstance(module, _torch().nn.Module):
            raise TermsError(f"module must be a torch.nn.Module, not {type(module).__name__}")
        if batch_size < 1:
            raise TermsError(f"batch_size must be at least 1, not {batch_size}")
        self._module = module
        if not self._floating():
            raise TermsError("the module has no floating-point parameters to train")
        self._loss, self._make_optimiser, self._batch_size, self._classify = loss, optimiser, batch_size, classify
        self._optimiser: Any = None  # made for the copy that trains
        self._order = np.random.default_rng(random_state)
        self.metric = "accuracy" if classify else "loss"

    def parameters(self) -> list[Array]:
        """The floating-point entries of the state, in the order of its names."""
        return [np.array(tensor.detach().double().numpy(), dtype=np.float64) for tensor in self._floating().values()]

    def set_parameters(self, parameters: Sequence[Array]) -> None:
        """Replace them, in the module's own precision."""
        torch = _torch()
        with torch.no_grad():
            for tensor, part in zip(self._floating().values(), parameters, strict=True):
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(part)))

    def fit_locally(self, X: Rows, y: Rows) -> None:
        """One epoch in batches, in a new order each time. A loss that is not finite leaves parameters that are not, which are refused."""
        torch = _torch()
        if self._optimiser is None:
            self._optimiser = self._make_optimiser(self._module.parameters())
        inputs, targets = self._tensors(X, y)
        order = self._order.permutation(len(X))
        self._module.train()
        for start in range(0, len(order), self._batch_size):
            batch = torch.from_numpy(order[start : start + self._batch_size])
            self._optimiser.zero_grad()
            self._loss(self._module(inputs[batch]), targets[batch]).backward()
            self._optimiser.step()

    def measure(self, X: Rows, y: Rows) -> float:
        """Accuracy, or the mean loss."""
        torch = _torch()
        inputs, targets = self._tensors(X, y)
        self._module.eval()
        with torch.no_grad():
            outputs = self._module(inputs)
            measured = (outputs.argmax(1) == targets).double().mean() if self._classify else self._loss(outputs, targets)
        return float(measured)

    def unwrap(self) -> Any:
        """The module."""
        return self._module

    def _floating(self) -> dict[str, Any]:
        return {name: tensor for name, tensor in self._module.state_dict().items() if tensor.is_floating_point()}

    def _tensors(self, X: Rows, y: Rows) -> tuple[Any, Any]:
        torch = _torch()
        precision = next(iter(self._floating().values())).dtype
        inputs = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float64)).to(precision)
        if self._classify:
            return inputs, torch.from_numpy(np.ascontiguousarray(y, dtype=np.int64))
        return inputs, torch.from_numpy(np.ascontiguousarray(y, dtype=np.float64)).to(precision)


def _torch() -> Any:
    """The package; not kept in a model, since a module of Python cannot be copied with it."""
    return require("torch", "torch")
