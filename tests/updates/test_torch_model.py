"""Torch modules as local models; only where torch is installed (the extra `torch`)."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from helpers import Array

from deltaml_core.errors import DataError, LocalTrainingError, TermsError
from deltaml_core.updates import LocalModel, TorchModel, train_updates
from deltaml_core.updates.local_model import flat, set_flat, with_parameters


@pytest.fixture(scope="module")
def torch() -> Any:
    return importlib.import_module("torch")


RNG = np.random.default_rng(8)
X = RNG.uniform(-1, 1, (90, 3))
LABELS = (X[:, 0] > X[:, 1]).astype(int)
SHARDS = [(X[start : start + 30], LABELS[start : start + 30]) for start in (0, 30, 60)]


def network(torch: Any, outputs: int = 2) -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, outputs))


def wrapped(torch: Any, module: Any = None, rate: float = 0.1, **settings: Any) -> TorchModel:
    loss = settings.pop("loss", torch.nn.CrossEntropyLoss())
    optimiser = lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=0.9)  # noqa: E731
    return TorchModel(module or network(torch), loss=loss, optimiser=optimiser, batch_size=10, **settings)


def test_parameters_are_the_floating_state_and_go_back_exactly(torch: Any) -> None:
    model = wrapped(torch)
    assert isinstance(model, LocalModel)
    assert [part.shape for part in model.parameters()] == [(8, 3), (8,), (8,), (8,), (8,), (8,), (2, 8), (2,)]
    start = flat(model)
    model.fit_locally(X, LABELS)
    trained = flat(model)
    assert not np.array_equal(trained, start)
    other = with_parameters(model, start)
    assert np.array_equal(flat(other), start)
    assert np.array_equal(flat(model), trained)
    set_flat(model, start)
    assert np.array_equal(flat(model), start)


def test_an_epoch_is_torchs_own(torch: Any) -> None:
    """One batch of all rows: gradient descent, by hand."""
    linear = torch.nn.Linear(3, 1).double()
    model = TorchModel(
        linear,
        loss=lambda outputs, targets: ((outputs[:, 0] - targets) ** 2).mean(),
        optimiser=lambda parameters: torch.optim.SGD(parameters, lr=0.25),
        batch_size=90,
        classify=False,
    )
    y = X @ [1.0, 2.0, 3.0]
    coef, intercept = (part.ravel() for part in model.parameters())
    residuals = X @ coef + intercept - y
    assert model.measure(X, y) == pytest.approx(np.mean(residuals**2))
    model.fit_locally(X, y)
    expected: list[Array] = [coef - 0.25 * 2 * X.T @ residuals / 90, intercept - 0.25 * 2 * residuals.mean()]
    assert flat(model) == pytest.approx(np.concatenate(expected), abs=1e-12)


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")
def test_a_module_trains_with_encrypted_updates_as_in_the_clear(torch: Any) -> None:
    module = network(torch)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    result = train_updates(SHARDS, wrapped(torch, module), validators=[1], rounds=12, key_bits=512, fractional_bits=30)
    trainers, best = [wrapped(torch, network(torch)) for _ in range(2)], flat(wrapped(torch, network(torch)))
    for _ in range(12):
        for trainer, shard in zip(trainers, (SHARDS[0], SHARDS[2]), strict=True):
            set_flat(trainer, best)
            trainer.fit_locally(*shard)
        best = np.mean([flat(trainer) for trainer in trainers], axis=0)
    assert flat(wrapped(torch, result.model)) == pytest.approx(best, abs=1e-4)
    assert result.metric == "accuracy"
    assert result.history[-1][1] > 0.85 > result.history[0][1]
    assert isinstance(result.model, torch.nn.Module)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")
def test_rows_may_be_pictures(torch: Any) -> None:
    """A convolution on rows of shape (1, 4, 4)."""
    rng = np.random.default_rng(1)
    pictures = rng.uniform(-1, 1, (120, 1, 4, 4))
    labels = (pictures[:, 0, :2].mean(axis=(1, 2)) > pictures[:, 0, 2:].mean(axis=(1, 2))).astype(int)
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    shards = [(pictures[start : start + 40], labels[start : start + 40]) for start in (0, 40, 80)]
    result = train_updates(shards, wrapped(torch, module), validators=[2], rounds=20, key_bits=512)
    assert result.history[-1][1] > 0.8


@pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")
def test_training_that_diverges_names_its_shard(torch: Any) -> None:
    model = wrapped(torch, torch.nn.Linear(3, 2), rate=1e3, loss=lambda outputs, targets: (outputs**4).mean())
    with pytest.raises(LocalTrainingError, match=r"training at shard [02] failed"):
        train_updates(SHARDS, model, validators=[1], rounds=1, local_steps=5, key_bits=256)


def test_what_is_no_module_or_has_nothing_to_train(torch: Any) -> None:
    with pytest.raises(TermsError, match=r"must be a torch\.nn\.Module, not int"):
        wrapped(torch, 3)
    with pytest.raises(TermsError, match="no floating-point parameters"):
        wrapped(torch, torch.nn.Flatten())
    with pytest.raises(TermsError, match="batch_size must be at least 1"):
        TorchModel(network(torch), loss=torch.nn.CrossEntropyLoss(), optimiser=torch.optim.SGD, batch_size=0)
    with pytest.raises(TermsError, match=r"a TorchModel\(module, loss=\.\.\., optimiser=\.\.\.\)"):
        train_updates(SHARDS, network(torch))
    with pytest.raises(DataError, match="missing or infinite"):
        train_updates([(X * np.nan, LABELS)] * 3, wrapped(torch))
