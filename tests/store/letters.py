"""Signed messages for the store's tests."""

from __future__ import annotations

from deltaml_core.messages import Message, OwnerReady
from deltaml_core.signatures import LocalSigner, SignedMessage

ALICE, BOB, CAROL = LocalSigner(), LocalSigner(), LocalSigner()


def letter(rows: int, sender: LocalSigner = ALICE, recipient: LocalSigner = BOB, request: str = "1") -> tuple[SignedMessage, Message]:
    """A message that is told from others by its number of rows."""
    message = OwnerReady(request=request, round=0, sender=sender.address, recipient=recipient.address, rows=rows)
    return SignedMessage.of(message, sender), message
