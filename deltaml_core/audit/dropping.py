"""Which owners the aggregator has dropped, on its word, and whether everybody was told of it."""

from __future__ import annotations

from deltaml_core.audit.record import Fault
from deltaml_core.messages import OwnerDropped
from deltaml_core.transcript import Header


class Dropping:
    """The owners that are gone, and those that still take part.

    Attributes:
        dropped: in the order they were.
    """

    def __init__(self, header: Header) -> None:
        """Everybody is there."""
        self._header = header
        self.dropped: list[str] = []
        self._posted: set[str] = set()
        self._untold: dict[str, set[str]] = {}

    @property
    def trainers(self) -> tuple[str, ...]:
        """Those that still take part."""
        return tuple(trainer for trainer in self._header.trainers if trainer not in self.dropped)

    @property
    def validators(self) -> tuple[str, ...]:
        """Likewise."""
        return tuple(validator for validator in self._header.validators if validator not in self.dropped)

    @property
    def owners(self) -> tuple[str, ...]:
        """Trainers, then validators."""
        return (*self.trainers, *self.validators)

    def post(self, message: OwnerDropped) -> None:
        """The aggregator puts on record that an owner was silent."""
        self._posted.add(message.owner)

    def posted(self, owner: str) -> bool:
        """Whether that an owner still there was silent is on record."""
        return owner in self._posted and owner in self.owners

    def drop(self, owner: str) -> None:
        """From here on the run goes on without it."""
        self._untold[owner] = {self._header.buyer, *self.owners}
        self.dropped.append(owner)

    def tell(self, message: OwnerDropped) -> None:
        """The aggregator tells somebody of it.

        Raises:
            Fault: it is not on record, or told once too often.
        """
        if message.owner not in self.dropped:
            raise Fault("dropped", f"it is not on record that {message.owner} was dropped, or nobody waited for it")
        if message.recipient not in self._untold[message.owner]:
            raise Fault("dropped", "everybody who still takes part is told once")
        self._untold[message.owner].discard(message.recipient)

    def complete(self) -> None:
        """See that everybody was told.

        Raises:
            Fault: somebody was not.
        """
        for owner, untold in self._untold.items():
            if untold:
                raise Fault("dropped", f"not everybody was told that {owner} was dropped")
