"""Spoilt messages of every kind, by the thousand: the relay refuses them or keeps what decodes, roles refuse them and are unchanged.

    DELTAML_FUZZ=100000 DELTAML_FUZZ_SEED=7 python -m pytest tests/transport/test_fuzz.py -s

sends so many spoilt messages; without, 5,000. The same seed spoils the same ways (keys, and so signatures, are new in each run).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import pytest
from helpers import RUN, Stage, key_pair, undisturbed
from hypothesis import given, settings
from hypothesis import strategies as st
from places import CHAIN

from deltaml_core.errors import MessageError
from deltaml_core.messages import FinalModel, Message, MetricAnnounced, SentErrors, SentModel, decode, encode
from deltaml_core.messages.base import KINDS, Digest, HexSignature, Large
from deltaml_core.signatures import LocalSigner, SignedMessage, message_digest
from deltaml_core.store.database import Database
from deltaml_core.store.mail import Mail
from deltaml_core.transport.http.app import application
from deltaml_core.transport.http.relay import Relay
from deltaml_core.transport.http.sign_in import Doorkeeper, Site

COUNT = int(os.environ.get("DELTAML_FUZZ", "5000"))
SEED = os.environ.get("DELTAML_FUZZ_SEED", "1")
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "messages.json").read_text(encoding="utf-8"))["messages"]
SENDER, RECIPIENT = LocalSigner(), LocalSigner()
TOKENS = [b'"', b",", b":", b"{", b"}", b"[", b"]", b"0", b"-", b"1e9", b"true", b"null", b"NaN", b"\\u0000", b"\xff", b" ", b'"round":1,']
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1 << 53,
    10**400,
    1.5,
    "",
    "0",
    "-0",
    "f" * 9000,
    "é\ud800",
    [],
    [[]],
    {},
    ["0", 1],
    [None],
    {"a": "0"},
]


@cache
def corpus() -> tuple[Message, ...]:
    """Messages of every kind, those that a real run has from real runs, all from one sender to one recipient."""
    found: dict[str, list[Message]] = {entry["kind"]: [decode(entry["bytes"].encode("ascii"))] for entry in VECTORS}
    for metrics in ("noise", "verifiable"):
        stage = Stage(**RUN, scheme="paillier", metrics=metrics)
        stage.finish()
        for message in stage.delivered:
            found[message.kind] = [*found[message.kind], message][-3:]
    names = {"request": "1", "sender": SENDER.address, "recipient": RECIPIENT.address}
    assert set(found) == set(KINDS)
    return tuple(replace(message, **names) for messages in found.values() for message in messages)


# --- spoiling ----------------------------------------------------------------------------------------------------


def spoilt_bytes(data: bytes, draw: random.Random) -> bytes:
    """With a place flipped, removed, doubled, overwritten, cut short, or spoilt with a token of JSON."""
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
            return data[:start]
        case _:
            other = draw.randrange(len(data))
            return data[:start] + data[other : other + end - start] + data[end:]


def spoilt_content(data: bytes, draw: random.Random) -> bytes:
    """With a field of another value or type, missing, new, twice, or nested deeply."""
    content = json.loads(data)
    name = draw.choice(sorted(content))
    match draw.randrange(5):
        case 0:
            content[name] = draw.choice(VALUES)
        case 1:
            del content[name]
        case 2:
            content[draw.choice(["extra", "__class__", ""])] = draw.choice(VALUES)
        case 3:
            depth = draw.choice([2, 17, 500, 5000])
            return data.replace(b'"version":1', b'"version":' + b"[" * depth + b"]" * depth)
        case _:
            return b'{"%s":0,' % name.encode() + data[1:]
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")


def spoilt_envelope(message: Message, draw: random.Random) -> bytes:
    """A message spoilt after its sender signed it, or before."""
    data = encode(message)
    if draw.randrange(3) == 0:
        return spoilt_bytes(SignedMessage.of(message, SENDER).encode(), draw)
    data = draw.choice([spoilt_bytes, spoilt_content])(data, draw)
    return SignedMessage(data, SENDER.sign(message_digest(data))).encode()


# --- the relay ---------------------------------------------------------------------------------------------------

Post = Callable[[bytes], Awaitable[httpx.Response]]


def run(folder: Path, work: Callable[[Post], Awaitable[None]]) -> Mail:
    """Let somebody post to a relay's application as `SENDER`; what is in the store in the end."""

    async def whole() -> None:
        relay = Relay(mail, RECIPIENT.address, {"1": frozenset({SENDER.address, RECIPIENT.address})}.get, lambda _: None)
        relay.open()
        site = Site("http://relay", CHAIN)
        doorkeeper = Doorkeeper(site)
        text = site.text(SENDER.address, doorkeeper.nonce())
        headers = {"authorization": f"Bearer {doorkeeper.sign_in(text, SENDER.sign_text(text))}", "content-type": "application/json"}
        transport = httpx.ASGITransport(application(relay, site, doorkeeper))  # raises whatever the application does
        async with httpx.AsyncClient(transport=transport, base_url="http://relay", headers=headers) as client:
            await work(lambda data: client.post("/messages?request=1", content=data))
        relay.close()

    mail = Mail(Database(folder / "store.db"))
    asyncio.run(whole())
    return mail


def check_kept(mail: Mail, new: int) -> None:
    """So many messages are in the store, and each opens and is its own only encoding."""
    kept = [body for _, body in mail.record("1")]
    assert len(kept) == new
    for body in kept:
        message = SignedMessage.decode(body).open()
        assert SignedMessage.decode(body).message == encode(message)
        assert (message.sender, message.recipient) == (SENDER.address, RECIPIENT.address)


def test_spoilt_messages_are_refused_or_are_messages(tmp_path: Path) -> None:
    print(f"\n{COUNT} spoilt messages, DELTAML_FUZZ_SEED={SEED}")
    draw, statuses = random.Random(f"relay {SEED}"), Counter[int]()

    async def work(post: Post) -> None:
        for number in range(COUNT):
            answer = await post(spoilt_envelope(corpus()[number % len(corpus())], draw))
            statuses[answer.status_code] += 1
            if answer.status_code not in (200, 201):
                assert set(answer.json()) == {"error"}

    mail = run(tmp_path, work)
    assert set(statuses) <= {200, 201, 400, 403}
    assert statuses[400] > COUNT // 2
    check_kept(mail, statuses[201])


STRATEGIES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    Digest: st.just("") | st.binary(min_size=32, max_size=32).map(bytes.hex),
    HexSignature: st.just("") | st.binary(min_size=65, max_size=65).map(bytes.hex),
    bool: st.booleans(),
    int: st.integers(0, 2**53 - 1),
    Large: st.integers(-(2**300), 2**300),
    tuple[int, ...]: st.lists(st.integers(-(2**3000), 2**3000), max_size=4).map(tuple),
    tuple[str, ...]: st.lists(st.text(max_size=20), max_size=4).map(tuple),
}


def of_kind(kind: str) -> st.SearchStrategy[Message]:
    hints = get_type_hints(KINDS[kind], include_extras=True)
    content = {field.name: STRATEGIES[hints[field.name]] for field in fields(KINDS[kind])}
    names = {"request": st.just("1"), "sender": st.just(SENDER.address), "recipient": st.just(RECIPIENT.address)}
    return st.builds(KINDS[kind], **{**content, **names})


@given(messages=st.tuples(*(of_kind(kind) for kind in sorted(KINDS))))
@settings(max_examples=10)
def test_every_kind_passes_with_whatever_it_may_hold(messages: tuple[Message, ...], tmp_path_factory: pytest.TempPathFactory) -> None:
    async def work(post: Post) -> None:
        for message in messages:
            assert (await post(SignedMessage.of(message, SENDER).encode())).status_code == 201

    check_kept(run(tmp_path_factory.mktemp("kinds"), work), len(messages))


# --- roles -------------------------------------------------------------------------------------------------------


def wrong_contents(message: Message, stage: Stage) -> list[Message]:
    """Well-formed messages that an honest role must refuse in the place of this one."""
    n = key_pair("paillier", RUN["key_bits"]).public.modulus
    others = sorted(set(stage.roles) - {message.sender, message.recipient})
    found = [replace(message, request="request-2")]
    delivered = isinstance(message, FinalModel) and message.recipient == "buyer"  # anybody may, for its hash shows it is the one
    unused = isinstance(message, MetricAnnounced) and message.recipient in stage.trainers  # they make nothing of it
    told = isinstance(message, SentErrors | SentModel)  # is looked for under its round, and not found
    if not delivered:
        found.append(replace(message, sender="stranger"))
    if not (delivered or unused or told):
        found.append(replace(message, round=message.round + 1000))
    found += [replace(message, recipient=other) for other in others[:1]]
    for field in fields(message):
        values = getattr(message, field.name)
        if field.name in ("weights", "packed", "high", "low", "target_share") and values:
            bad = (0, -1, n, 7 * n, n * n, n * n + 1, 1 << 10_000)
            found += [replace(message, **{field.name: (value, *values[1:])}) for value in bad]
            found += [replace(message, **{field.name: values[:-1]}), replace(message, **{field.name: (*values, 1)})]
    return found


@pytest.mark.parametrize("metrics", ["noise", "verifiable"])
def test_roles_refuse_well_formed_but_wrong_messages_and_are_unchanged(metrics: str) -> None:
    chosen = {**RUN, "metrics": metrics}
    print(f"\nDELTAML_FUZZ_SEED={SEED}")
    draw, refused = random.Random(f"roles {SEED}"), 0
    each = max(2, COUNT // 2500)
    stage = Stage(**chosen, scheme="paillier")
    while stage.waiting:
        honest = stage.waiting[0]
        role = stage.roles[honest.recipient]
        wrong = wrong_contents(honest, stage)
        for message in draw.sample(wrong, min(each, len(wrong))):
            with pytest.raises(MessageError) as refusal:
                role.handle(decode(encode(message)))
            assert refusal.value.sender == message.sender
            refused += 1
        stage.step()
    assert refused >= 2 * len(stage.delivered)
    found, expected = stage.finish(), undisturbed(**chosen)
    assert found.model == pytest.approx(expected.model, rel=1e-8)  # a verifiable run's masks and blurs are its own
    assert [(number, metric.mse) for number, metric in found.history] == [
        (number, pytest.approx(metric.mse, rel=1e-6)) for number, metric in expected.history
    ]
