"""Signatures: made by any wallet, recovered to its address, one accepted form each, and worthless for anything else."""

from __future__ import annotations

import hashlib
import json
import random

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_keys.backends import CoinCurveECCBackend, get_backend
from eth_keys.constants import SECPK1_N

from deltaml_core.chain import Wallet
from deltaml_core.errors import MessageError, SignatureError
from deltaml_core.messages import OwnerReady, encode
from deltaml_core.signatures import LocalSigner, SignedMessage, Signer, message_digest, recover

SIGNERS = [LocalSigner(), Wallet.create()]
each_signer = pytest.mark.parametrize("signer", SIGNERS, ids=["local", "wallet"])


def ready(sender: str, rows: int = 3) -> OwnerReady:
    return OwnerReady(request="r", round=0, sender=sender, recipient="b", rows=rows)


def signed(signer: Signer) -> SignedMessage:
    return SignedMessage.of(ready(signer.address), signer)


@each_signer
def test_a_signature_leads_to_its_signers_address(signer: Signer) -> None:
    message = signed(signer)
    assert len(message.signature) == 65
    assert recover(message_digest(message.message), message.signature) == signer.address
    assert message.open() == ready(signer.address)


def test_any_ethereum_wallet_makes_the_same_signature() -> None:
    """The text is EIP-191's, as eth-account and browsers sign it."""
    account = Account.create()
    data = encode(ready(account.address))
    text = "DeltaML message v1\n" + hashlib.sha256(data).hexdigest()
    theirs = bytes(account.sign_message(encode_defunct(text=text)).signature)
    assert Wallet.from_key(account.key).sign(message_digest(data)) == theirs
    assert recover(message_digest(data), theirs) == account.address


def test_a_signature_of_the_bare_digest_is_not_one_of_the_message() -> None:
    account = Account.create()
    data = encode(ready(account.address))
    bare = bytes(account.unsafe_sign_hash(message_digest(data)).signature)
    assert recover(message_digest(data), bare) != account.address


@each_signer
def test_after_a_change_of_any_byte_it_is_nobodys_or_anothers(signer: Signer) -> None:
    message, draw = signed(signer), random.Random(1)
    whole = message.encode()
    for position in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[position] ^= 1 << draw.randrange(8)
        with pytest.raises(MessageError):
            SignedMessage.decode(bytes(spoilt)).open()


def test_the_other_signature_of_the_same_key_is_refused() -> None:
    """(r, n - s) with the other parity satisfies the equation as well: accepting it would give a message two signatures."""
    message = signed(SIGNERS[0])
    r, s, v = message.signature[:32], int.from_bytes(message.signature[32:64]), message.signature[64]
    twin = r + (SECPK1_N - s).to_bytes(32) + bytes([55 - v])
    with pytest.raises(SignatureError, match="lower of the two"):
        recover(message_digest(message.message), twin)


@pytest.mark.parametrize(
    "signature",
    [b"", bytes(64), bytes(66), bytes(65), bytes(64) + b"\x1b", b"\xff" * 32 + bytes(31) + b"\x01\x1b", bytes(63) + b"\x01\x1c"],
)
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        recover(message_digest(b"message"), signature)


def test_a_parity_of_zero_or_one_is_refused() -> None:
    message = signed(SIGNERS[0])
    with pytest.raises(SignatureError, match="ends in 27 or 28"):
        recover(message_digest(message.message), message.signature[:64] + bytes([message.signature[64] - 27]))


def test_nobody_signs_for_another() -> None:
    one, other = LocalSigner(), LocalSigner()
    with pytest.raises(SignatureError, match="cannot sign for another") as refused:
        SignedMessage.of(ready(other.address), one)
    assert refused.value.sender == other.address


def test_a_message_under_anothers_signature_is_refused_naming_whom_it_claims() -> None:
    one, other = LocalSigner(), LocalSigner()
    data = encode(ready(other.address))
    with pytest.raises(SignatureError, match="its signature is not") as refused:
        SignedMessage(data, one.sign(message_digest(data))).open()
    assert refused.value.sender == other.address


def test_a_faulty_message_names_who_signed_it() -> None:
    signer = LocalSigner()
    with pytest.raises(MessageError, match="not JSON") as refused:
        SignedMessage(b"?", signer.sign(message_digest(b"?"))).open()
    assert refused.value.sender == signer.address


def test_the_envelope_is_canonical_json() -> None:
    message = signed(SIGNERS[0])
    content = {"message": json.loads(message.message), "signature": message.signature.hex()}
    assert message.encode() == json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    assert SignedMessage.decode(message.encode()) == message


def test_other_envelopes_are_refused_naming_the_sender() -> None:
    whole = signed(SIGNERS[0]).encode()
    signature = whole[-132:-2]
    for spoilt in (
        b"",
        b"{}",
        whole + b"\n",
        b" " + whole,
        whole.replace(signature, signature.upper()),
        whole.replace(b',"sig', b', "sig'),
    ):
        assert spoilt != whole
        with pytest.raises(MessageError, match=r"^from mallory: ") as refused:
            SignedMessage.decode(spoilt, "mallory")
        assert refused.value.sender == "mallory"


def test_a_signer_shows_its_address_only() -> None:
    one, other = LocalSigner(), LocalSigner()
    assert one.address != other.address
    assert repr(one) == f"LocalSigner({one.address})"


def test_signing_is_native() -> None:
    assert isinstance(get_backend(), CoinCurveECCBackend)
