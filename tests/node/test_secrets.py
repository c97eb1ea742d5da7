"""After a full run nothing secret lies in any store, log, record or message; what a search would find is planted once to see it found."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from market import PASSWORD, Market, wait_until

from deltaml_core import fixedpoint, schemes
from deltaml_core.chain import GanacheProcess, Status
from deltaml_core.node import logs, vault
from deltaml_core.schedule import final_scale, schedule
from deltaml_core.terms import RequestDocument

pytestmark = pytest.mark.filterwarnings("ignore::deltaml_core.errors.PrivacyWarning")

KEY_BITS = 2048  # what the contract opens


@pytest.fixture(scope="module")
def played(ganache: GanacheProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A market after a verifiable training at full size; its nodes have ended, so that everything is on disk."""
    market = Market(ganache, tmp_path_factory.mktemp("secrets"))
    logs.set_up(market.folder / "node.log", "error")
    market.start_aggregator()
    for number in (1, 2, 3):
        market.start_owner(number)
    market.start_buyer(market.offer(market.terms(rounds=2, key_bits=KEY_BITS, metrics="verifiable", contributions="shapley")))
    market.reaches(Status.SETTLED, seconds=400)
    market.model()
    wait_until(market.home("aggregator").transcript(1).exists, "the record")
    market.close()
    yield market
    logs.tear_down()


def _forms(number: int) -> dict[str, bytes]:
    """How a program might write a whole number."""
    big = number.to_bytes((number.bit_length() + 7) // 8)
    return {
        "decimal": str(number).encode(),
        "hexadecimal": format(number, "x").encode(),
        "capitals": format(number, "X").encode(),
        "bytes": big,
    }


@pytest.fixture(scope="module")
def secrets(played: Market) -> dict[str, bytes]:
    found = {"password": PASSWORD.encode()}
    for name in ("buyer", "aggregator", "owner-1", "owner-2", "owner-3"):
        key = int.from_bytes(bytes(played.wallet(name)._account.key))
        found |= {f"private key of {name}, {form}": text for form, text in _forms(key).items()}
    document = RequestDocument.from_json(played.marketplace.requirements(1))
    (path,) = (played.home("buyer").path / "keys").glob("*.json")
    secret = vault.unlock(path, f"paillier key {document.modulus:x}", PASSWORD)
    for name, half in (("p", secret[: len(secret) // 2]), ("q", secret[len(secret) // 2 :])):
        found |= {f"{name}, {form}": text for form, text in _forms(int.from_bytes(half)).items()}
    scale = final_scale(schedule(document.terms, schemes.capacity("paillier", KEY_BITS)))
    for index, weight in enumerate(played.model().tolist()):
        found |= {f"weight {index}": repr(weight).encode(), f"weight {index}, double": struct.pack("<d", weight)}
        found |= {f"weight {index}, fixed point, {form}": text for form, text in _forms(abs(fixedpoint.encode(weight, scale))).items()}
    for owner, (X, y) in enumerate(played.shards, start=1):
        for column, value in enumerate([*X[0].tolist(), float(y[0])]):
            name = f"value {column} of owner-{owner}"
            found |= {name: repr(value).encode(), f"{name}, double": struct.pack("<d", value)}
    return {name: text for name, text in found.items() if len(text) >= 8}


def _written(market: Market) -> dict[Path, bytes]:
    """Every file that a run leaves, except the owners' own data, encrypted keys and the bought model."""
    own = {market.file(number) for number in (1, 2, 3)} | {market.home("buyer").model(1)}
    return {path: path.read_bytes() for path in market.folder.rglob("*") if path.is_file() and path not in own}


def _search(files: dict[Path, bytes], secrets: dict[str, bytes]) -> list[str]:
    return [f"{name} in {path.name}" for path, content in files.items() for name, text in secrets.items() if text in content]


def test_nothing_secret_is_written(played: Market, secrets: dict[str, bytes]) -> None:
    files = _written(played)
    assert {"store.db", "node.log", "request-1.jsonl", "wallet.json"} <= {path.name for path in files}
    assert len(secrets) > 60
    assert _search(files, secrets) == []


def test_the_search_finds_what_is_planted(secrets: dict[str, bytes]) -> None:
    for name, text in secrets.items():
        assert f"{name} in planted" in _search({Path("planted"): b"before" + text + b"after"}, secrets)


def test_the_search_finds_the_model_where_it_belongs(played: Market, secrets: dict[str, bytes]) -> None:
    path = played.home("buyer").model(1)
    assert path.stat().st_mode & 0o077 == 0
    assert any(found.startswith("weight") for found in _search({path: path.read_bytes()}, secrets))


def test_logs_hold_no_ciphertexts(played: Market) -> None:
    lines = (played.folder / "node.log").read_text().splitlines()
    assert len(lines) > 50
    assert all(len(json.loads(line)["message"]) < 500 for line in lines)
