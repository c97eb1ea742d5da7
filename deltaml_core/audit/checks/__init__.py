"""What each kind of message must be, given those before it: one function a kind, found by `check`.

Every check takes a message whose signature and place in the record hold, compares it with what follows from earlier messages and
the terms, and notes what later ones will be compared with. In the public part what rests on sealed messages is skipped.
"""

from deltaml_core.audit.checks import measuring, training
from deltaml_core.audit.checks.common import check

__all__ = ["check", "measuring", "training"]
