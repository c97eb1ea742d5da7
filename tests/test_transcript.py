"""The record: its hash by hand, the same for the public part, and files that are whole or refused."""

from __future__ import annotations

import hashlib
import json
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from deltaml_core.errors import MessageError, TranscriptError
from deltaml_core.messages import InitialModel, Message, OwnerReady, encode
from deltaml_core.signatures import LocalSigner, SignedMessage
from deltaml_core.statistics import Column, Requirements
from deltaml_core.terms import RequestDocument, TrainingTerms
from deltaml_core.transcript import Closing, Header, Sealed, Transcript, load_with_closing, read_entry

TERMS = TrainingTerms(Requirements((Column("x", 0.0, 1.0),), Column("y", 0.0, 1.0)), rounds=1, scheme="plain")
SIGNER = LocalSigner()
HEADER = Header("r", RequestDocument(TERMS, 15, (7,)), "buyer", "aggregator", ("a", "b"), ("c",), 1337, "0x1")
READY = OwnerReady(request="r", round=0, sender=SIGNER.address, recipient="b", rows=3)
SECRET = InitialModel(request="r", round=0, sender=SIGNER.address, recipient="b", weights=(12345678901234567890,))


def record(*messages: Message) -> Transcript:
    transcript = Transcript(HEADER)
    for message in messages:
        transcript.append(SignedMessage.of(message, SIGNER))
    return transcript


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_the_hash_by_hand() -> None:
    transcript = record(READY, SECRET)
    expected = sha(HEADER.to_json())
    assert record().hash == expected
    for message in (READY, SECRET):
        signature = SIGNER.sign(sha(encode(message)))
        expected = sha(expected + sha(sha(encode(message)) + signature))
    assert transcript.hash == expected
    assert transcript.messages() == [READY, SECRET]
    assert transcript.size == sum(map(len, transcript.entries))


def test_the_hash_grows_with_the_record() -> None:
    transcript = record(READY)
    before = transcript.hash
    transcript.append(SignedMessage.of(SECRET, SIGNER))
    assert transcript.hash == record(READY, SECRET).hash != before


def test_the_marked_hash_is_that_up_to_the_message_handed_over_whatever_comes_after() -> None:
    transcript = record(READY)
    assert transcript.marked_hash == transcript.hash
    transcript.mark(sha(encode(READY)))
    transcript.append(SignedMessage.of(SECRET, SIGNER))
    assert transcript.marked_hash == record(READY).hash
    assert transcript.hash == record(READY, SECRET).hash
    transcript.mark(sha(encode(SECRET)))
    assert transcript.marked_hash == transcript.hash
    restored = Transcript(HEADER, transcript.entries, transcript.seed)
    restored.mark(sha(encode(READY)))
    assert restored.marked_hash == record(READY).hash


def test_a_marked_message_must_be_on_record() -> None:
    transcript = record(READY)
    transcript.mark(sha(encode(SECRET)))
    with pytest.raises(TranscriptError, match="is not on record: append it before"):
        _ = transcript.marked_hash


def test_entries_appended_while_it_is_hashed_count_the_next_time() -> None:
    transcript = record()
    messages = [replace(READY, rows=rows) for rows in range(1, 200)]

    def write() -> None:
        for message in messages:
            transcript.append(SignedMessage.of(message, SIGNER))

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        _ = transcript.hash
    writer.join()
    assert transcript.hash == record(*messages).hash


def test_order_and_header_count() -> None:
    assert record(READY, SECRET).hash != record(SECRET, READY).hash
    assert Transcript(replace(HEADER, contract="0x2")).hash != Transcript(HEADER).hash


def test_the_public_part_has_the_same_hash_and_shows_nothing_that_is_not_for_everybody() -> None:
    transcript = record(READY, SECRET)
    public = transcript.public()
    assert public.hash == transcript.hash
    assert len(public) == 2
    assert public.messages() == [READY]
    assert public.is_public
    assert not transcript.is_public
    sealed = read_entry(public.entries[1])
    assert isinstance(sealed, Sealed)
    assert sealed.digest == sha(encode(SECRET))
    assert format(SECRET.weights[0], "x").encode() not in b"".join(public.entries)
    assert public.seed == b""
    assert transcript.seed.hex() not in str(vars(public))
    assert public.public().entries == public.entries


def test_every_run_has_a_seed_of_its_own_and_every_purpose_another_blinding() -> None:
    one, other = record(), record()
    assert len(one.seed) == 32
    found = {transcript.blinding(*purpose) for transcript in (one, other) for purpose in (("a", 1), ("a", "1"), ("a",), ("a", 1, 1))}
    assert len(found) == 8


@pytest.mark.parametrize("public", [False, True])
def test_a_file_holds_all_of_it(tmp_path: Path, public: bool) -> None:
    transcript = record(READY, SECRET)
    transcript = transcript.public() if public else transcript
    transcript.save(tmp_path / "t")
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    loaded, closing = load_with_closing(tmp_path / "t")
    assert (loaded.header, loaded.entries, loaded.seed, loaded.hash) == (HEADER, transcript.entries, transcript.seed, transcript.hash)
    assert closing == Closing(2, transcript.hash, transcript.seed)
    assert loaded.is_public is public
    for line in (tmp_path / "t").read_bytes().splitlines():
        assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")).encode() == line


def test_only_the_public_part_can_be_read_by_others(tmp_path: Path) -> None:
    transcript = record(READY, SECRET)
    transcript.save(tmp_path / "full")
    transcript.public().save(tmp_path / "public")
    assert stat.S_IMODE((tmp_path / "full").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) & 0o077 == stat.S_IMODE((tmp_path / "public").stat().st_mode) & 0o044


def test_saving_replaces_the_whole_file_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    record(READY, SECRET).save(path)
    record(READY).save(path)
    assert len(Transcript.load(path)) == 1
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        record(READY).save(tmp_path / "folder")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "t"]


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    record(READY, SECRET).save(tmp_path / "t")
    whole = (tmp_path / "t").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "t").write_bytes(whole[:length])
        with pytest.raises(TranscriptError):
            Transcript.load(tmp_path / "t")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match="nothing-here cannot be read"):
        Transcript.load(tmp_path / "nothing-here")


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"version":1', b'"version":2'),
        lambda line: line.replace(b'"version":1', b'"version":1,"more":1'),
        lambda line: line.replace(b'"buyer":"buyer"', b'"buyer":1'),
        lambda line: line.replace(b'"buyer":"buyer"', b'"buyer":[]'),
        lambda line: line.replace(b'"request":"r"', b'"request": "r"'),
        lambda line: line.replace(b'["a","b"]', b"5"),
        lambda line: line.replace(b'"request":"r",', b""),
        lambda line: line.replace(b'\\"rounds\\":1', b'\\"rounds\\":0'),
        lambda line: b"[]",
        lambda line: b"5",
        lambda line: b"[" * 100_000,
        lambda line: b"\xff",
    ],
)
def test_what_is_no_header_is_refused(change: object) -> None:
    line = change(HEADER.to_json())  # type: ignore[operator]
    assert line != HEADER.to_json()
    with pytest.raises(TranscriptError):
        Header.from_json(line)
    assert Header.from_json(HEADER.to_json()) == HEADER


def test_a_malformed_entry_has_no_hash() -> None:
    with pytest.raises(MessageError):
        _ = Transcript(HEADER, [b"{}"]).hash
