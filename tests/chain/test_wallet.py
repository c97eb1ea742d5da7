"""Keys stay in their wallet: shown nowhere, signing here, saved only encrypted."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from deltaml_core.chain import Statement, Wallet
from deltaml_core.errors import KeystoreError, WrongPasswordError

QUICK = 2**10
STATEMENT = Statement(
    request=1,
    round=2,
    modulus_hash=b"\1" * 32,
    weights_hash=b"\2" * 32,
    metric_hash=b"\3" * 32,
    scale=4,
    rows=5,
    initial_mse=6,
    final_mse=7,
    gains=(-8, 9),
    transcript_hash=b"\4" * 32,
)


def test_wallets_differ_and_show_their_address_only() -> None:
    one, other = Wallet.create(), Wallet.create()
    assert one.address != other.address
    assert repr(one) == f"Wallet({one.address})"


def test_a_saved_key_opens_with_its_password_and_only_for_its_user(tmp_path: Path) -> None:
    wallet, path = Wallet.create(), tmp_path / "key.json"
    wallet.save(path, "correct", iterations=QUICK)
    assert Wallet.load(path, "correct").address == wallet.address
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(WrongPasswordError, match="password"):
        Wallet.load(path, "wrong")


def test_a_keystore_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    first = Wallet.create()
    first.save(path, "password", iterations=QUICK)
    with pytest.raises(KeystoreError, match="exists already"):
        Wallet.create().save(path, "password", iterations=QUICK)
    assert Wallet.load(path, "password").address == first.address


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1}', '{"version": 3}', '{"version": 3, "crypto": {"kdf": "scrypt"}}'])
def test_what_is_no_keystore_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(KeystoreError, match=r"key\.json"):
        Wallet.load(path, "password")


def test_a_missing_keystore_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="cannot be read"):
        Wallet.load(tmp_path / "none.json", "password")


def test_a_keystore_of_another_address_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    Wallet.create().save(path, "password", iterations=QUICK)
    keystore = json.loads(path.read_text())
    keystore["address"] = Wallet.create().address
    path.write_text(json.dumps(keystore))
    with pytest.raises(KeystoreError, match="states the address"):
        Wallet.load(path, "password")


def test_a_statements_signature_names_its_signer_chain_and_contract() -> None:
    wallet, contract = Wallet.create(), Wallet.create().address
    signature = wallet.sign_statement(STATEMENT, 1337, contract)

    def signer(chain_id: int, address: str) -> str:
        message = encode_typed_data(full_message=STATEMENT.typed_data(chain_id, address))
        recovered: str = Account.recover_message(message, signature=signature)
        return recovered

    assert signer(1337, contract) == wallet.address
    assert signer(1, contract) != wallet.address
    assert signer(1337, wallet.address) != wallet.address
