"""Who signs in is who it says, here and now: the text is this site's, a nonce works once, a token ends."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from deltaml_core.chain import Wallet
from deltaml_core.errors import RefusedError, SignatureError
from deltaml_core.signatures import LocalSigner
from deltaml_core.transport.http import sign_in
from deltaml_core.transport.http.sign_in import NONCE_SECONDS, TOKEN_SECONDS, Doorkeeper, Site

SITE = Site("https://aggregator.example:8443", 1337)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def door() -> tuple[Doorkeeper, Clock]:
    clock = Clock()
    return Doorkeeper(SITE, clock), clock


def enter(doorkeeper: Doorkeeper, signer: LocalSigner | Wallet) -> str:
    text = SITE.text(signer.address, doorkeeper.nonce())
    return doorkeeper.sign_in(text, signer.sign_text(text))


def check_refused(doorkeeper: Doorkeeper, text: str, signature: bytes, why: str) -> None:
    with pytest.raises(SignatureError, match=why):
        doorkeeper.sign_in(text, signature)
    assert len(doorkeeper) == 0


def test_the_text_is_that_of_eip_4361() -> None:
    doorkeeper, _ = door()
    nonce = doorkeeper.nonce()
    assert SITE.text("0x" + "1" * 40, nonce) == (
        "aggregator.example:8443 wants you to sign in with your Ethereum account:\n"
        f"0x{'1' * 40}\n\n"
        "Exchange messages of DeltaML trainings with this aggregator.\n\n"
        "URI: https://aggregator.example:8443\nVersion: 1\nChain ID: 1337\n"
        f"Nonce: {nonce}\nIssued At: 2027-01-15T08:00:00Z\nExpiration Time: 2027-01-15T08:05:00Z"
    )


@pytest.mark.parametrize("make", [Wallet.create, LocalSigner])
def test_a_signer_gets_a_token_of_its_own(make: type[LocalSigner]) -> None:
    doorkeeper, _ = door()
    one, other = make(), make()
    tokens = enter(doorkeeper, one), enter(doorkeeper, other)
    assert [doorkeeper.whose(token) for token in tokens] == [one.address, other.address]
    assert doorkeeper.whose(tokens[0] + "x") is None
    assert doorkeeper.whose("") is None


def test_wallets_sign_texts_as_every_wallet_does() -> None:
    wallet = Wallet.create()
    for text in ("sign in", "é" * 300, ""):
        assert Account.recover_message(encode_defunct(text=text), signature=wallet.sign_text(text)) == wallet.address


def test_a_nonce_works_once() -> None:
    doorkeeper, _ = door()
    signer = LocalSigner()
    text = SITE.text(signer.address, doorkeeper.nonce())
    doorkeeper.sign_in(text, signer.sign_text(text))
    with pytest.raises(SignatureError, match="was used"):
        doorkeeper.sign_in(text, signer.sign_text(text))
    other = text.replace(signer.address, (second := LocalSigner()).address)
    with pytest.raises(SignatureError, match="was used"):
        doorkeeper.sign_in(other, second.sign_text(other))


def test_a_nonce_ends_after_five_minutes_and_a_token_after_ten() -> None:
    doorkeeper, clock = door()
    signer = LocalSigner()
    text = SITE.text(signer.address, doorkeeper.nonce())
    clock.now += NONCE_SECONDS
    check_refused(doorkeeper, text, signer.sign_text(text), "too old")
    token = enter(doorkeeper, signer)
    clock.now += TOKEN_SECONDS - 1
    assert doorkeeper.whose(token) == signer.address
    clock.now += 1
    assert doorkeeper.whose(token) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("aggregator.example:8443 wants", "evil.example wants"),
        ("URI: https://aggregator", "URI: http://aggregator"),
        ("Chain ID: 1337", "Chain ID: 1"),
        ("Version: 1\n", "Version: 2\n"),
        ("Expiration Time: 2027", "Expiration Time: 2028"),
        ("Issued At: 2027", "Issued At: 2026"),
        ("Exchange messages", "Send all my ether"),
        ("\n\nURI", "\n\nResources:\n\nURI"),
        ("DeltaML", "DeltaML\ud800"),
    ],
)
def test_only_the_text_of_this_site_is_accepted(old: str, new: str) -> None:
    doorkeeper, _ = door()
    signer = LocalSigner()
    text = SITE.text(signer.address, doorkeeper.nonce())
    assert old in text
    changed = text.replace(old, new)
    check_refused(doorkeeper, changed, signer.sign_text(text), "must be for https://aggregator.example:8443 and chain 1337")
    assert doorkeeper.sign_in(text, signer.sign_text(text))  # the nonce was not spent on it


def test_a_nonce_of_another_server_or_of_ones_own_making_is_refused() -> None:
    doorkeeper, clock = door()
    signer = LocalSigner()
    nonces = [Doorkeeper(SITE, clock).nonce(), "00" * 32, "ff" * 32]
    for nonce in nonces[:2]:
        text = SITE.text(signer.address, nonce)
        check_refused(doorkeeper, text, signer.sign_text(text), "was not given here")
    with pytest.raises(SignatureError, match="states no time"):
        SITE.text(signer.address, nonces[2])
    for nonce in ("", "short", "0" * 63, "g" * 64, "0" * 64 + "\n", nonces[0].upper()):
        with pytest.raises(SignatureError, match="unknown form"):
            SITE.text(signer.address, nonce)


def test_only_the_named_address_may_sign() -> None:
    doorkeeper, _ = door()
    signer, mallory = LocalSigner(), LocalSigner()
    text = SITE.text(signer.address, doorkeeper.nonce())
    check_refused(doorkeeper, text, mallory.sign_text(text), "somebody else")
    check_refused(doorkeeper, text.replace(signer.address, signer.address.lower()), signer.sign_text(text), "somebody else")
    for signature in (b"", bytes(65), b"\x01" * 64 + b"\x1b" + b"\0", signer.sign_text(text)[:-1] + b"\0"):
        check_refused(doorkeeper, text, signature, "signature")
    for text in ("", "\n" * 50, "a\n0x" + "1" * 40):
        check_refused(doorkeeper, text, signer.sign_text(text), "no text to sign in with")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "MAXIMUM_TOKENS", 3)
    monkeypatch.setattr(sign_in, "MAXIMUM_SIGN_INS", 5)
    doorkeeper, clock = door()
    tokens = [enter(doorkeeper, LocalSigner()) for _ in range(5)]
    assert [doorkeeper.whose(token) is not None for token in tokens] == [False, False, True, True, True]
    with pytest.raises(RefusedError, match="too many") as refused:
        enter(doorkeeper, LocalSigner())
    assert refused.value.status == 429
    clock.now += NONCE_SECONDS
    assert doorkeeper.whose(enter(doorkeeper, LocalSigner()))
