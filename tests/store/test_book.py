"""What a node remembers beside its messages."""

from __future__ import annotations

import pytest

from deltaml_core.errors import StoreError
from deltaml_core.store.book import Book, Card, RequestNote
from deltaml_core.store.database import Database


@pytest.fixture
def book(database: Database) -> Book:
    return Book(database)


def test_facts(book: Book) -> None:
    assert book.fact("x") is None
    for value in ({"a": [1, 2.5, None]}, "text", 3):
        book.note_fact("x", value)
        assert book.fact("x") == value


def test_a_store_belongs_to_one_identity(book: Book) -> None:
    book.claim(address="0xA", chain=1)
    book.claim(address="0xA", chain=1)
    with pytest.raises(StoreError, match=r"belongs to chain 1, not 2: use another home"):
        book.claim(address="0xA", chain=2)


def test_notes_of_requests_are_changed_one_by_one(book: Book) -> None:
    assert book.request(7) is None
    book.note_request(7, status="TRAINING", salt=b"s")
    book.note_request(3, answer="yes")
    book.note_request(7, nonce=b"n", known_releases=2)
    seven = RequestNote(7, "TRAINING", nonce=b"n", salt=b"s", known_releases=2)
    assert book.request(7) == seven
    assert book.requests() == [RequestNote(3, "OPEN", answer="yes"), seven]


def test_a_data_set_that_was_moved_keeps_its_card(book: Book) -> None:
    card = Card("d", "a.csv", 5, (("x", -1.0, 2.5), ("y", 0.0, 1.0)))
    book.note_card(card)
    book.note_card(Card("d", "b.csv", 5, card.columns))
    assert book.cards() == [Card("d", "b.csv", 5, card.columns)]


def test_peers_come_latest_first(book: Book) -> None:
    for address, url in (("0xA", "https://a"), ("0xB", ""), ("0xA", "https://new")):
        book.note_peer(address, "DATA_OWNER", url)
    assert [(peer.address, peer.url) for peer in book.peers()] == [("0xA", "https://new"), ("0xB", "")]


def test_keys_are_found_by_purpose(book: Book) -> None:
    book.note_key("b", "keys/2")
    book.note_key("a", "keys/1")
    book.note_key("b", "keys/3")
    assert book.key_paths() == [("a", "keys/1"), ("b", "keys/3")]
