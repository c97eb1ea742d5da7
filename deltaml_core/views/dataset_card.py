"""A data set as its owner sees it: columns, ranges, and which requests it serves or why not. No rows."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

import ipywidgets as widgets

from deltaml_core.node.privacy import Account
from deltaml_core.store.book import Card
from deltaml_core.views.formats import badge, mono


class DatasetCard(widgets.HTML):
    """One data set."""

    def __init__(self, card: Card, reasons: Mapping[int, str | None] | None = None, account: Account | None = None) -> None:
        """What it is made of.

        Args:
            card: its columns and about their ranges.
            reasons: by request, why the data set does not serve it; None where it does.
            account: of its privacy budget; None where its owner adds no noise.
        """
        super().__init__()
        self.add_class("t-dataset")
        self.show(card, reasons or {}, account)

    def show(self, card: Card, reasons: Mapping[int, str | None], account: Account | None = None) -> None:
        """Show this."""
        columns = "".join(
            f"<tr><td>{escape(name)}</td><td class=d-numeric>{low:g}</td><td class=d-numeric>{high:g}</td></tr>"
            for name, low, high in card.columns
        )
        serves = "".join(f"<li>{_verdict(number, reason)}</li>" for number, reason in sorted(reasons.items()))
        self.value = (
            f'<article class="d-card"><h3>{escape(Path(card.path).name)}</h3>'
            f'<p>{card.rows} rows · digest {mono(card.digest[:12], card.digest)}<br><span class="d-muted">{escape(card.path)}</span></p>'
            f"{_privacy(account)}"
            f'<ul class="d-plain">{serves or "<li class=d-muted>no open request was compared with it yet</li>"}</ul>'
            f"<details><summary>{len(card.columns)} columns and about their ranges</summary>"
            '<table class="d-table"><thead><tr><th scope=col>column</th><th scope=col class=d-numeric>from</th>'
            f"<th scope=col class=d-numeric>to</th></tr></thead><tbody>{columns}</tbody></table></details></article>"
        )


def _privacy(account: Account | None) -> str:
    if account is None:
        return ""
    rule, tone = account.rule, ("good", "✓") if account.bears_another else ("bad", "✕")
    bare = f" Trainings without noise, which no budget bounds: {account.unprotected}." if account.unprotected else ""
    return (
        f'<p class="t-privacy">{badge(*tone, "privacy")} epsilon {account.spent:.3g} spent, {account.left:.3g} left of {rule.budget:g}. '
        f"Another acceptance with {escape(str(rule.guarantee))} makes it {account.following:.3g}.{bare}</p>"
    )


def _verdict(number: int, reason: str | None) -> str:
    if reason is None:
        return f"{badge('good', '✓', f'request {number}')} it matches"
    return f"{badge('quiet', '✕', f'request {number}')} {escape(reason)}"
