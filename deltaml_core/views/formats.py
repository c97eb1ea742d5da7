"""Numbers, times and addresses as every view shows them: ether with four decimals, the exact wei beside it for who points at it."""

from __future__ import annotations

import time
from html import escape

ETHER = 10**18


def ether(amount_wei: int) -> str:
    """An amount with its unit."""
    return f"{amount_wei / ETHER:,.4f} ether"


def wei(amount_wei: int) -> str:
    """The exact amount."""
    return f"{amount_wei:,} wei".replace(",", "\u202f")


def amount(amount_wei: int) -> str:
    """An amount as HTML, its wei on hover."""
    return f'<span title="{wei(amount_wei)}">{ether(amount_wei)}</span>'


def percent(share: float | None, decimals: int = 1) -> str:
    """A share of one in percent; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{decimals}f} %"


def number(value: float) -> str:
    """A measured number: four significant digits at least, all of a large one's."""
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def clock(unix: float) -> str:
    """A time of day with its date, of this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))


def ago(unix: float, now: float | None = None) -> str:
    """How long ago something was, or how far it is ahead."""
    seconds = round((time.time() if now is None else now) - unix)
    text = span(abs(seconds))
    return f"in {text}" if seconds < 0 else f"{text} ago"


def span(seconds: float) -> str:
    """A duration in one or two units."""
    left = round(seconds)
    parts: list[str] = []
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= length or (name == "s" and not parts):
            parts.append(f"{left // length} {name}")
            left %= length
    return " ".join(parts[:2])


def size(count: float) -> str:
    """A number of bytes."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def badge(tone: str, sign: str, word: str, title: str = "") -> str:
    """A word with a sign before it, in a tone, as HTML; the sign says what the colour says."""
    hover = f' title="{escape(title, quote=True)}"' if title else ""
    return f'<span class="d-badge d-{tone}"{hover}><span aria-hidden="true">{sign} </span>{escape(word)}</span>'


def mono(text: str, title: str = "") -> str:
    """An address or a hash as HTML."""
    return f'<code class="d-mono" title="{escape(title or text, quote=True)}">{escape(text)}</code>'
