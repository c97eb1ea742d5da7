"""A node's folder: its wallet, its keys under a password, and where the password comes from."""

from __future__ import annotations

import getpass
import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import key_pair

from deltaml_core.errors import KeystoreError, NodeError, WrongPasswordError
from deltaml_core.node import vault
from deltaml_core.node.home import HOME_VARIABLE, PASSWORD_VARIABLE, Home, read_password

PASSWORD, SECRET = "a password", b"a secret"
LOW = 2**10


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- the vault ---


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    vault.lock(path, "purpose", SECRET, PASSWORD, iterations=LOW)
    return path


def test_a_secret_comes_back_under_its_password(locked: Path) -> None:
    assert vault.unlock(locked, "purpose", PASSWORD) == SECRET
    assert SECRET not in locked.read_bytes()
    assert SECRET.hex() not in locked.read_text()
    assert mode(locked) == 0o600
    assert list(locked.parent.iterdir()) == [locked]


def test_another_password_does_not_open_it(locked: Path) -> None:
    with pytest.raises(WrongPasswordError, match="does not open"):
        vault.unlock(locked, "purpose", "another password")


def test_a_key_is_never_overwritten(locked: Path) -> None:
    with pytest.raises(KeystoreError, match="never overwritten"):
        vault.lock(locked, "purpose", b"another", PASSWORD, iterations=LOW)
    assert vault.unlock(locked, "purpose", PASSWORD) == SECRET
    assert list(locked.parent.iterdir()) == [locked]


def test_the_same_secret_is_written_otherwise_each_time(locked: Path) -> None:
    other = locked.with_name("other.json")
    vault.lock(other, "purpose", SECRET, PASSWORD, iterations=LOW)
    written = [json.loads(path.read_text()) for path in (locked, other)]
    assert all(written[0][part] != written[1][part] for part in ("salt", "nonce", "encrypted", "tag"))


def test_a_file_under_another_name_is_refused_and_so_is_one_that_was_renamed(locked: Path) -> None:
    with pytest.raises(KeystoreError, match="not the key of another purpose"):
        vault.unlock(locked, "another purpose", PASSWORD)
    content = json.loads(locked.read_text())
    locked.write_text(json.dumps({**content, "purpose": "another purpose"}))
    with pytest.raises(WrongPasswordError, match="or the file was changed"):
        vault.unlock(locked, "another purpose", PASSWORD)


@pytest.mark.parametrize("part", ["salt", "nonce", "encrypted", "tag"])
def test_a_changed_byte_is_noticed(locked: Path, part: str) -> None:
    content = json.loads(locked.read_text())
    first = f"{int(content[part][:2], 16) ^ 1:02x}"
    locked.write_text(json.dumps({**content, part: first + content[part][2:]}))
    with pytest.raises(WrongPasswordError, match="or the file was changed"):
        vault.unlock(locked, "purpose", PASSWORD)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda text: "",
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: "3",
        lambda text: text.replace('"salt"', '"sugar"'),
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace(f'"iterations": {LOW}', f'"iterations": {2**40}'),
        lambda text: text.replace(f'"iterations": {LOW}', '"iterations": "many"'),
        lambda text: text.replace(f'"iterations": {LOW}', '"iterations": 1000'),
    ],
)
def test_a_damaged_file_is_named(locked: Path, spoilt: Callable[[str], str]) -> None:
    locked.write_text(spoilt(locked.read_text()))
    with pytest.raises(KeystoreError, match=str(locked)):
        vault.unlock(locked, "purpose", PASSWORD)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="cannot be read: No such file"):
        vault.unlock(tmp_path / "none.json", "purpose", PASSWORD)


# --- the home ---


def test_only_its_user_enters_a_home(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    assert {path.name: mode(path) for path in home.path.iterdir()} == {"keys": 0o700, "models": 0o700, "transcripts": 0o700}
    assert mode(home.path) == 0o700


def test_a_home_is_named_or_in_the_environment_or_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    assert Home.at(None).path == tmp_path / ".deltaml"
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "chosen"))
    assert Home.at(None).path == tmp_path / "chosen"
    assert Home.at(tmp_path / "named").path == tmp_path / "named"


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match=r"cannot be a node's home: .*name another with --home"):
        Home.at(tmp_path / "file")


def test_the_wallet_is_made_once(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    made = home.wallet(PASSWORD, iterations=LOW)
    assert mode(home.keystore) == 0o600
    assert home.wallet(PASSWORD).address == made.address
    with pytest.raises(WrongPasswordError):
        home.wallet("another password")


@pytest.mark.parametrize("scheme", ["paillier", "plain"])
def test_a_decryption_key_comes_back_under_its_modulus(tmp_path: Path, scheme: str) -> None:
    home, key = Home.at(tmp_path), key_pair(scheme, 512)
    path = home.keep_key(key, scheme, PASSWORD, iterations=LOW)
    content = path.read_bytes()
    assert home.keep_key(key, scheme, PASSWORD, iterations=LOW) == path
    assert path.read_bytes() == content
    found = home.key(key.public.modulus, scheme, PASSWORD)
    assert found.public.modulus == key.public.modulus
    assert found.decrypt(key.public.encrypt([7])) == [7]
    with pytest.raises(WrongPasswordError):
        home.key(key.public.modulus, scheme, "another password")


def test_a_key_file_under_another_keys_name_is_refused(tmp_path: Path) -> None:
    home, one, two = Home.at(tmp_path), key_pair("paillier", 400), key_pair("paillier", 512)
    paths = [home.keep_key(key, "paillier", PASSWORD, iterations=LOW) for key in (one, two)]
    paths[0].replace(paths[1])
    with pytest.raises(KeystoreError, match="is not the key of"):
        home.key(two.public.modulus, "paillier", PASSWORD)
    with pytest.raises(KeystoreError, match="cannot be read"):
        home.key(one.public.modulus, "paillier", PASSWORD)


# --- the password ---


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Somebody, or nobody, sits there; no variable is set."""
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)

    def types(*typed: str) -> None:
        left = list(typed)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: bool(typed), raising=False)
        monkeypatch.setattr(getpass, "getpass", lambda prompt: left.pop(0))

    types()
    return types


@pytest.mark.parametrize("content", [b"secret\nmore\n", b"secret\r\n", b"secret"])
def test_a_password_files_first_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    assert read_password(path) == "secret"


def test_a_password_file_stands_above_the_environment_and_that_above_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Callable[..., None]
) -> None:
    terminal("typed")
    monkeypatch.setenv(PASSWORD_VARIABLE, "environment")
    assert read_password(None) == "environment"
    (tmp_path / "password").write_text("file")
    assert read_password(tmp_path / "password") == "file"


def test_a_person_types_a_new_password_twice(terminal: Callable[..., None]) -> None:
    terminal("typed")
    assert read_password(None) == "typed"
    terminal("typed", "typed")
    assert read_password(None, new=True) == "typed"
    terminal("typed", "tyepd")
    with pytest.raises(NodeError, match="the two passwords differ"):
        read_password(None, new=True)


def test_nobody_to_ask_no_file_and_an_empty_password_are_named(
    tmp_path: Path, terminal: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NodeError, match=f"name a file with --password-file, or set {PASSWORD_VARIABLE}"):
        read_password(None)
    with pytest.raises(NodeError, match=r"password file .* cannot be read"):
        read_password(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(NodeError, match=r"password file .* cannot be read"):
        read_password(tmp_path / "binary")
    monkeypatch.setenv(PASSWORD_VARIABLE, "")
    with pytest.raises(NodeError, match="the password is empty"):
        read_password(None)
