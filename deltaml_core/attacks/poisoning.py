"""Spoiling the model: a trainer that multiplies its encrypted update.

    who attacks     a Data Owner dealt the role of a trainer
    what it holds   its own rows; the encrypted weights it is sent
    what it sees    nothing it should not
    what it does    it takes its honest update `[[w]]` and sends `[[factor w]]`; under encryption nobody sees the difference
    what it learns  nothing; the model is spoilt for everybody

Without `robust=True` the average follows it, or the run fails at the next measurement. With it the updates are measured against each
other every round, and whoever makes every coalition's error much worse is left out and earns nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from deltaml_core.messages import Message, SentModel, Update
from deltaml_core.party import Party
from deltaml_core.transcript import ciphertexts_hash
from deltaml_core.transport.base import Role


class ScalingTrainer:
    """Answers as a trainer does, but for the size of its updates."""

    leaves_no_trace: ClassVar[tuple[type[Message], ...]] = ()

    def __init__(self, party: Party, honest: Role, factor: int, since: int = 1) -> None:
        """From round `since` on every update is multiplied by `factor`."""
        self._key = party.key
        self._honest = honest
        self._factor, self._since = factor, since

    def handle(self, message: Message) -> list[Message]:
        """The honest answer, spoilt, and told to the validators as it is: another story would only give it away."""
        answers = [self._spoilt(answer) if isinstance(answer, Update) else answer for answer in self._honest.handle(message)]
        for update in [answer for answer in answers if isinstance(answer, Update)]:
            digest = ciphertexts_hash(update.weights, self._key).hex()
            answers = [replace(answer, digest=digest) if isinstance(answer, SentModel) else answer for answer in answers]
        return answers

    def _spoilt(self, update: Update) -> Update:
        if update.round < self._since:
            return update
        scaled = self._key.scale(update.weights, [self._factor] * len(update.weights))
        return replace(update, weights=self._key.rerandomise(scaled))
