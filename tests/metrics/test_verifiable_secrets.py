"""Where randomness comes from: the system's, for everything secret; a seed decides who validates, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from adversaries import Table
from helpers import random_shards

import deltaml_core
from deltaml_core import TrainingResult, train
from deltaml_core.messages import Message

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

SOURCE = Path(deltaml_core.__file__).parent

ALLOWED = {
    "dealing.py": {"random.SystemRandom", "random.Random"},
    "contributions.py": {"random.Random"},
    "splitting.py": {"np.random", "default_rng"},
    "estimators.py": {"np.random", "RandomState", "randint"},
    "updates/torch_model.py": {"np.random", "default_rng"},
}
"""The draws of validators and of test rows (from scikit-learn's `random_state`, too), the publicly seeded orders of joining, and the
order in which a torch module sees its owner's rows."""

APART = {"benchmarks", "attacks", "lessons"}
"""Folders that make up data for measurements and demonstrations; no role imports them."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE)
        if place.parts[0] not in APART:
            yield str(place), ast.parse(path.read_text(encoding="utf-8"))


def test_no_module_draws_from_a_seeded_generator_but_for_what_is_public() -> None:
    found: dict[str, set[str]] = {}
    for place, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
                found.setdefault(place, set()).update(f"{node.module}.{name.name}" for name in node.names)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "random":
                found.setdefault(place, set()).add(f"random.{node.attr}")
            if isinstance(node, ast.Attribute) and node.attr == "random" and isinstance(node.value, ast.Name):
                found.setdefault(place, set()).add(f"{node.value.id}.random")
            if isinstance(node, ast.Attribute) and node.attr in ("default_rng", "RandomState", "randint", "uniform", "normal"):
                found.setdefault(place, set()).add(node.attr)
    assert found == ALLOWED


def test_no_role_imports_what_makes_up_data() -> None:
    for place, tree in sources():
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        if place not in ("cli.py",) and not place.startswith("demo"):
            assert not {module for module in modules if set(module.split(".")) & APART}, place


OF_A_SEAT = ("owner.py", "aggregator.py", "buyer.py", "told.py", "refresh.py", "metrics/", "schemes/paillier.py", "schemes/plain.py")
"""What handles a seat's messages: whatever is drawn there, a rebuilt seat must be able to draw once more."""


def uses(tree: ast.Module, *names: str) -> list[str]:
    """Where the tree takes something from one of these modules or objects."""
    taken = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id in names]
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module in names]
    return [ast.unparse(n) for n in (*taken, *imported)]


def test_keys_names_and_seeds_come_from_the_system() -> None:
    drawing = {place for place, tree in sources() if uses(tree, "secrets")}
    assert {"randomness.py", "signatures.py", "transcript.py", "learning.py", "chain/wallet.py"} <= drawing


def test_what_handles_messages_draws_from_its_seat_only() -> None:
    """Not from the system, but for two uses.

    Nobody may foresee the weights that openings are checked under, and they are sent to nobody. And a pool's factors are for
    ciphertexts that a role keeps nothing of: drawn once more they would be used twice.
    """
    past_the_seat = {
        place: found for place, tree in sources() if place.startswith(OF_A_SEAT) and (found := uses(tree, "secrets", "os", "SYSTEM"))
    }
    assert past_the_seat == {"schemes/paillier.py": ["SYSTEM.randbits"] * 2}
    drawing = {place for place, tree in sources() if any(re.search(r"randomness\.rand(bits|below)", use) for use in attributes(tree))}
    assert {"refresh.py", "metrics/noise.py", "metrics/verifiable/validator.py", "schemes/paillier.py"} == drawing


def attributes(tree: ast.Module) -> list[str]:
    return [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]


def test_the_seed_is_used_for_the_draw_of_validators_and_of_test_rows_only() -> None:
    public = {"training.py", "dealing.py", "splitting.py", "updates/run.py"}
    takers: set[str] = set()
    given: set[tuple[str, str]] = set()
    for place, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                arguments = (*node.args.args, *node.args.kwonlyargs)
                takers |= {place for a in arguments if a.arg == "seed" and not (a.annotation and "bytes" in ast.unparse(a.annotation))}
            if isinstance(node, ast.Call) and place in public:
                passed = (*node.args, *(keyword.value for keyword in node.keywords))
                given |= {(place, ast.unparse(node.func)) for value in passed if isinstance(value, ast.Name) and value.id == "seed"}
    assert takers == public
    assert given == {
        ("training.py", "deal_validators"),
        ("training.py", "hold_out"),
        ("training.py", "train_updates"),
        ("splitting.py", "np.random.default_rng"),
        ("updates/run.py", "deal_validators"),
        ("dealing.py", "random.Random"),
    }


def seeded() -> TrainingResult:
    return train(random_shards(7, (9, 6, 12, 5), 2), rounds=8, step=0.5, key_bits=512, seed=5)


def large_numbers(messages: list[Message]) -> list[int]:
    """Ciphertexts, openings and masks; the zeros that training starts from, which everybody knows, are small."""
    values = [value for message in messages for value in vars(message).values() if isinstance(value, tuple)]
    return [number for value in values for number in value if isinstance(number, int) and number.bit_length() > 256]


def test_two_runs_with_one_seed_share_no_key_ciphertext_mask_or_name() -> None:
    first, second = seeded(), seeded()
    assert first.roles == second.roles
    assert first.transcript.header.document.modulus != second.transcript.header.document.modulus
    assert not first.transcript.header.participants & second.transcript.header.participants
    assert first.transcript.seed != second.transcript.seed
    numbers = [set(large_numbers(result.transcript.messages())) for result in (first, second)]
    assert min(map(len, numbers)) > 200
    assert not numbers[0] & numbers[1]


def test_another_seed_draws_other_validators() -> None:
    shards = random_shards(7, (9, 6, 12, 5, 8, 7, 6), 2)
    drawn = [
        tuple(i for i, role in train(shards, rounds=1, step=0.5, scheme="plain", seed=seed).roles.items() if role == "validator")
        for seed in range(6)
    ]
    assert len(set(drawn)) > 1
    assert {len(validators) for validators in drawn} == {2}


def test_plain_runs_mask_anew_although_they_encrypt_nothing() -> None:
    """Masks and secrets are drawn whatever the scheme: in two runs on the same data only public numbers agree."""
    kinds = ("masked-errors", "masks", "open-masked", "zero-test", "squared-errors")
    runs = []
    for _ in range(2):
        table = Table(scheme="plain", rounds=12).run()
        runs.append(set(large_numbers([m for m in table.said if m.kind in kinds])) | _masks(table))
    assert min(map(len, runs)) > 50
    assert not runs[0] & runs[1]


def _masks(table: Table) -> set[int]:
    return {value for m in table.said if m.kind == "masks" for value in vars(m)["high"]}
