"""What an audit found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """The first thing that does not hold.

    Attributes:
        check: what was checked.
        reason: what is wrong.
        entry: the message's number, counted from 1; None for the record as a whole.
        kind, round, sender: of that message, as far as it can be read.
    """

    check: str
    reason: str
    entry: int | None = None
    kind: str | None = None
    round: int | None = None
    sender: str | None = None

    def __str__(self) -> str:
        if self.entry is None:
            return f"{self.check}: {self.reason}"
        named = f"{self.kind} of round {self.round} from {self.sender}" if self.kind else "sealed or unreadable"
        return f"message {self.entry} ({named}), {self.check}: {self.reason}"


@dataclass(frozen=True)
class AuditReport:
    """An audit's outcome.

    Attributes:
        entries: how many messages the record has.
        sealed: how many of them are shown by digest and signature only.
        checked: what was checked, with counts.
        beyond: what no audit of this record can recheck.
        failure: the first thing that does not hold; None when all does.
    """

    entries: int
    sealed: int
    checked: tuple[str, ...]
    beyond: tuple[str, ...]
    failure: Failure | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was checked holds."""
        return self.failure is None

    @property
    def verdict(self) -> str:
        """One line."""
        if self.failure is not None:
            return f"FAILS: {self.failure}"
        sealed = f", {self.sealed} of them sealed" if self.sealed else ""
        return f"ok: {self.entries} messages{sealed}; " + "; ".join(self.checked)

    def __str__(self) -> str:
        """Several lines, the verdict last."""
        return "\n".join([*(f"not rechecked: {limit}" for limit in self.beyond), self.verdict])
