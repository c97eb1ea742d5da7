"""The wire format: golden vectors, exactly one encoding of everything, and refusals that name the sender."""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deltaml_core import messages
from deltaml_core.errors import MessageError
from deltaml_core.messages import MAXIMUM_BYTES, ApproveResult, InitialModel, Message, MetricAnnounced, OwnerReady, decode, encode

FOLDER = Path(__file__).parent / "vectors"
VECTORS: dict[str, Any] = json.loads((FOLDER / "messages.json").read_text(encoding="utf-8"))
GOLDEN: dict[str, bytes] = {entry["kind"]: entry["bytes"].encode("ascii") for entry in VECTORS["messages"]}

_spec = importlib.util.spec_from_file_location("make_messages", FOLDER / "make_messages.py")
assert _spec is not None
assert _spec.loader is not None
make_messages = importlib.util.module_from_spec(_spec)
sys.modules["make_messages"] = make_messages
_spec.loader.exec_module(make_messages)

READY = OwnerReady(request="r", round=0, sender="alice", recipient="bob", rows=3)
READY_BYTES = b'{"answers":"","kind":"owner-ready","recipient":"bob","request":"r","round":0,"rows":3,"sender":"alice","version":1}'


def refusal(data: bytes) -> str:
    """The message of a refusal, which names the sender and is of no other class."""
    with pytest.raises(MessageError, match=r"^from mallory: ") as refused:
        decode(data, "mallory")
    assert refused.value.sender == "mallory"
    return str(refused.value)


# --- golden vectors ----------------------------------------------------------------------------------------------


def test_the_vectors_are_of_this_version_and_hold_every_kind() -> None:
    assert VECTORS["version"] == messages.VERSION
    assert sorted(GOLDEN) == [cls.kind for cls in make_messages.kinds()]


@pytest.mark.parametrize("kind", GOLDEN)
def test_golden_vectors(kind: str) -> None:
    (cls,) = (cls for cls in make_messages.kinds() if cls.kind == kind)
    message = make_messages.sample(cls)
    assert encode(message) == GOLDEN[kind]
    assert decode(GOLDEN[kind]) == message
    assert type(decode(GOLDEN[kind])) is cls


@pytest.mark.parametrize("entry", VECTORS["messages"], ids=lambda entry: entry["kind"])
def test_vectors_state_the_values_their_bytes_hold(entry: dict[str, Any]) -> None:
    message = decode(entry["bytes"].encode("ascii"))
    for name, stated in entry["values"].items():
        held = getattr(message, name)
        assert ([str(v) for v in held] if isinstance(held, tuple) else str(held)) == stated
    assert set(entry["values"]) == {field.name for field in fields(message)}


@pytest.mark.parametrize("signature", ["ab", "g" * 130, "A" * 130, "0" * 128, "0" * 132, "0x" + "0" * 128])
def test_a_statement_signature_is_65_bytes_in_lower_case_or_empty(signature: str) -> None:
    approval = ApproveResult(request="r", round=1, sender="a", recipient="b", weights_hash="")
    assert decode(encode(approval)) == approval
    signed = replace(approval, statement_signature="0123456789abcdef" * 8 + "1b")
    assert decode(encode(signed)) == signed
    assert "must be a signature of 65 bytes" in refusal(encode(replace(approval, statement_signature=signature)))


def test_canonical_bytes_by_hand() -> None:
    assert encode(READY) == READY_BYTES
    weights = InitialModel(request="é", round=2, sender="a", recipient="b", weights=(255, -16, 0))
    text = '{"answers":"","kind":"initial-model"'
    text += ',"recipient":"b","request":"\\u00e9","round":2,"sender":"a","version":1,"weights":["ff","-10","0"]}'
    assert encode(weights) == text.encode("ascii")


# --- round trips -------------------------------------------------------------------------------------------------

texts = st.text(max_size=30)
counts = st.integers(0, 2**53 - 1)
large = st.integers(-(2**300), 2**300)


@given(texts, counts, texts, texts, counts, st.lists(texts, max_size=3), large, counts, counts)
@example("", 0, "\ud800", "\x00", 0, [], 0, 0, 0)
def test_what_was_said_arrives(
    request: str, number: int, sender: str, recipient: str, evaluation: int, names: list[str], error: int, scale: int, rows: int
) -> None:
    message = MetricAnnounced(
        request=request,
        round=number,
        sender=sender,
        recipient=recipient,
        evaluation=evaluation,
        subject=request,
        coalition=tuple(names),
        squared_error=error,
        scale=scale,
        rows=rows,
    )
    assert decode(encode(message)) == message


@given(st.lists(large, max_size=5))
def test_ciphertexts_of_any_size_and_sign_arrive(values: list[int]) -> None:
    message = InitialModel(request="r", round=0, sender="a", recipient="b", weights=tuple(values))
    assert decode(encode(message)) == message


def test_integers_too_long_for_pythons_decimal_form_arrive() -> None:
    message = InitialModel(request="r", round=0, sender="a", recipient="b", weights=(1 << 32768, -(1 << 32768)))
    assert decode(encode(message)) == message


# --- one encoding only -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"round":0', b'"round": 0', "not in canonical form"),
        (b'"round":0', b'"round":-0', "not in canonical form"),
        (b'"round":0', b'"round":0.0', "round"),
        (b'"round":0', b'"round":0e0', "round"),
        (b'"round":0', b'"round":false', "round"),
        (b'"round":0', b'"round":null', "round"),
        (b'"round":0', b'"round":"0"', "round"),
        (b'"round":0', b'"round":-1', "from 0 to 2"),
        (b'"round":0', b'"round":9007199254740992', "from 0 to 2"),
        (b'"round":0', b'"round":NaN', "round"),
        (b'"round":0', b'"round":Infinity', "round"),
        (b'"round":0', b'"round":' + b"9" * 5000, "not JSON"),
        (b'"answers":""', b'"answers":"' + b"A" * 64 + b'"', "answers"),
        (b'"answers":""', b'"answers":"' + b"a" * 63 + b'"', "answers"),
        (b'"answers":""', b'"answers":null', "answers"),
        (b'"round":0,', b"", "missing or unknown fields round"),
        (b'"round":0', b'"extra":1,"round":0', "missing or unknown fields extra"),
        (b'"round":0', b'"round":0,"round":0', "not in canonical form"),
        (b'"alice"', b'"\\u0061lice"', "not in canonical form"),
        (b'"alice"', '"älice"'.encode(), "not in canonical form"),
        (b'"alice"', b'"' + b"a" * 201 + b'"', "at most 200 characters"),
        (b'"alice"', b"[]", "sender"),
        (b'"version":1', b'"version":2', "version 2 is not 1; update the older side"),
        (b'"version":1', b'"version":true', "version True is not 1"),
        (b'"version":1', b'"version":1.0', "version 1.0 is not 1"),
        (b'"version":1', b'"version":"1"', "version '1' is not 1"),
        (b',"version":1', b"", "version None is not 1"),
        (b'"owner-ready"', b'"owner-steady"', "no message kind 'owner-steady'"),
        (b'"owner-ready"', b"[]", "no message kind"),
        (b'"owner-ready"', b'"train"', "missing or unknown fields"),
        (READY_BYTES, READY_BYTES + b"\n", "not in canonical form"),
        (READY_BYTES, b" " + READY_BYTES, "not in canonical form"),
        (READY_BYTES, READY_BYTES + READY_BYTES, "not JSON"),
        (READY_BYTES, b"\xef\xbb\xbf" + READY_BYTES, ""),
        (READY_BYTES, READY_BYTES.decode().encode("utf-16"), "not in canonical form"),
        (READY_BYTES, b"\xff" + READY_BYTES, "not JSON"),
        (READY_BYTES, b"", "not JSON"),
        (READY_BYTES, b"[" * 100_000, "not JSON"),
        (READY_BYTES, b"[1]", "must be a JSON object"),
        (READY_BYTES, b"null", "must be a JSON object"),
    ],
)
def test_other_bytes_are_refused(old: bytes, new: bytes, why: str) -> None:
    assert READY_BYTES.count(old) == 1
    assert why in refusal(READY_BYTES.replace(old, new))


@pytest.mark.parametrize("number", ["00", "-0", "01", "FF", "0x1", "", "-", "1 ", " 1", "+1", "g", "1\n", "١", 1, None, ["1"]])
def test_large_numbers_have_one_form(number: object) -> None:
    message = InitialModel(request="r", round=0, sender="a", recipient="b", weights=(1,))
    content = json.loads(encode(message))
    content["weights"] = [number]
    assert "hexadecimal" in refusal(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())
    content["weights"] = number
    assert "must be a list" in refusal(json.dumps({**content, "weights": {"0": "1"}}, sort_keys=True, separators=(",", ":")).encode())


def test_a_message_that_is_too_long_is_not_even_parsed() -> None:
    assert "longer than the 67108864 allowed" in refusal(bytes(MAXIMUM_BYTES + 1))


def test_without_a_known_sender_the_error_names_nobody() -> None:
    with pytest.raises(MessageError, match=r"^a message is not JSON") as refused:
        decode(b"?")
    assert refused.value.sender is None


@pytest.mark.parametrize("depth", [10, 500, 900, 970, 990, 1000, 3000])
@pytest.mark.parametrize("field", ["version", "kind", "round"])
def test_deep_nesting_raises_nothing_else(depth: int, field: str) -> None:
    nested = b"[" * depth + b"]" * depth
    content = {"kind": b'"owner-ready"', "round": b"0", "version": b"1", field: nested}
    rest = b"".join(b',"' + name.encode() + b'":' + value for name, value in content.items())
    assert refusal(b'{"answers":"","rows":1,"sender":"a","recipient":"b","request":"r"' + rest + b"}")


# --- mutations ---------------------------------------------------------------------------------------------------

TOKENS = [
    b'"',
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"0",
    b"-",
    b"1e9",
    b"true",
    b"null",
    b"NaN",
    b"\\u0000",
    b"\xff",
    b" ",
    b'"kind":"train"',
]


def mutation(data: bytes, draw: random.Random) -> bytes:
    """The bytes with a place flipped, removed, doubled, moved, or spoilt with a token of JSON."""
    start = draw.randrange(len(data))
    end = min(len(data), start + draw.randint(1, 12))
    match draw.randrange(6):
        case 0:
            return data[:start] + bytes([data[start] ^ (1 << draw.randrange(8))]) + data[start + 1 :]
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:start] + data[start:end] * 2 + data[end:]
        case 3:
            return data[:start] + draw.choice(TOKENS) + data[end:]
        case 4:
            return data[:start] + draw.choice(TOKENS) + data[start:]
        case _:
            other = draw.randrange(len(data))
            return data[:start] + data[other : other + end - start] + data[end:]


@pytest.mark.parametrize("kind", GOLDEN)
def test_mutated_bytes_are_refused_naming_the_sender_or_are_another_messages_only_encoding(kind: str) -> None:
    draw, refused = random.Random(f"mutations of {kind}"), 0
    for _ in range(300):
        data = mutation(GOLDEN[kind], draw)
        try:
            message = decode(data, "mallory")
        except MessageError as error:
            refused += 1
            assert error.sender == "mallory"  # noqa: PT017
        else:
            assert encode(message) == data
    assert refused > 100


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_noise_is_refused(data: bytes) -> None:
    assert refusal(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(GOLDEN)), st.data())
@settings(max_examples=1500)
def test_a_field_of_any_other_value_is_refused_or_read_as_it_is_written(kind: str, data: st.DataObject) -> None:
    content = json.loads(GOLDEN[kind])
    content[data.draw(st.sampled_from(sorted(content)))] = data.draw(json_values)
    written = json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")
    try:
        message = decode(written, "mallory")
    except MessageError as error:
        assert error.sender == "mallory"  # noqa: PT017
    else:
        assert encode(message) == written


def test_two_messages_never_share_their_bytes() -> None:
    variants: list[Message] = [READY, *(replace(READY, **{name: "x"}) for name in ("request", "sender", "recipient"))]
    variants += [replace(READY, round=1), replace(READY, rows=4), replace(READY, answers="0" * 64)]
    assert len({encode(message) for message in variants}) == len(variants)
