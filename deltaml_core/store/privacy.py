"""What an owner has published of its data sets with noise, request by request, and what it has cost.

A row is written before the acceptance that it goes with, and never changed once a seat was taken: a node that was killed finds the
noise it had drawn, draws none anew, and pays nothing twice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import and_, not_, select
from sqlalchemy.dialects.sqlite import insert

from deltaml_core.store.database import Database
from deltaml_core.store.schema import privacy, requests


@dataclass(frozen=True)
class Charge:
    """One acceptance with noise.

    Attributes:
        request: the contract's number.
        dataset: digest of the rows.
        question: digest of the columns, ranges, epsilon and delta: the same asked of the same rows has the same answer, at no further cost.
        epsilon, delta: the guarantee, as it was shown at acceptance.
        scale: of the noise (`privacy/mechanism.py`), which composition is counted with.
        release: the noisy statistics, `Release.to_json`.
        noted: when, Unix seconds.
    """

    request: int
    dataset: str
    question: str
    epsilon: float
    delta: float
    scale: float
    release: str
    noted: float


class PrivacyLedger:
    """The charges of one store; safe for several threads."""

    def __init__(self, database: Database) -> None:
        """Charges of this database."""
        self._database = database

    def charge(self, request: int) -> Charge | None:
        """What was noted for a request."""
        with self._database.reading() as connection:
            row = connection.execute(select(privacy).where(privacy.c.request == request)).first()
        return None if row is None else Charge(*row)

    def standing(self) -> list[Charge]:
        """All that count, by request: those of requests that ended without a seat for this owner do not, nothing was sent for them."""
        nothing_sent = and_(requests.c.ended, requests.c.seat.is_(None))
        counted = select(privacy).join(requests, privacy.c.request == requests.c.id).where(not_(nothing_sent)).order_by(privacy.c.request)
        with self._database.reading() as connection:
            return [Charge(*row) for row in connection.execute(counted)]

    def note(self, charge: Charge) -> None:
        """Note a charge; it replaces one for the same request, whose acceptance was never sent."""
        row = asdict(charge)
        with self._database.writing() as connection:
            connection.execute(insert(privacy).values(row).on_conflict_do_update(["request"], set_=row))
