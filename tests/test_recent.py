"""A few values, those used last."""

from __future__ import annotations

from deltaml_core.recent import Recent


def test_the_one_used_longest_ago_goes() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    recent: Recent[str, str] = Recent(2)
    assert [recent.get(key, lambda key=key: make(key)) for key in "abacab"] == list("ABACAB")
    assert made == list("abcb")
    assert len(recent) == 2
