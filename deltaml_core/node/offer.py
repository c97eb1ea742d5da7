"""What a buyer asks for and offers, as a file it writes by hand: the training's terms and the request's conditions on the market."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from eth_utils.address import is_checksum_address

from deltaml_core import canonical
from deltaml_core.errors import TermsError
from deltaml_core.statistics import Requirements
from deltaml_core.terms import TrainingTerms

HOUR, DAY = 3600, 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A request that is not posted yet.

    Attributes:
        terms: how to train and measure, and on which data.
        aggregator: the address of whoever is to run it.
        escrow_wei: what is locked.
        minimum_owners, maximum_owners: how many owners, validators included.
        acceptance_seconds: how long owners may accept.
        training_seconds: how long the training may take after that.
        challenge_seconds: how long a result can be refuted, an hour at least.
        minimum_reward_wei: what every owner with a role gets in any case.
        trainers_bps, validators_bps, aggregator_bps: shares in basis points; they sum to 10000.
        validators: addresses of named validators; empty lets the contract deal the roles.
    """

    terms: TrainingTerms
    aggregator: str
    escrow_wei: int
    minimum_owners: int
    maximum_owners: int
    acceptance_seconds: int = HOUR
    training_seconds: int = DAY
    challenge_seconds: int = HOUR
    minimum_reward_wei: int = 0
    trainers_bps: int = 7000
    validators_bps: int = 2000
    aggregator_bps: int = 1000
    validators: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be meant; the contract checks the rest.

        Raises:
            TermsError: an address that is none, or a number that is not whole and positive.
        """
        for address in (self.aggregator, *self.validators):
            if not isinstance(address, str) or not is_checksum_address(address):
                raise TermsError(f"{address!r} is not an address with its checksum: copy it from where it is shown")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int" and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise TermsError(f"{field.name} must be a whole number of at least 0, not {value!r}")

    @property
    def token(self) -> str:
        """What tells this offer from others: the same offer is posted once."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """As the file holds it."""
        return canonical.dump(self._content()).decode()

    @classmethod
    def from_json(cls, text: str) -> Offer:
        """Read an offer.

        Raises:
            TermsError: it is none, or contradicts itself; says which entry.
        """
        try:
            content: dict[str, Any] = dict(canonical.load(text))
            stated = dict(content.pop("terms"))
            requirements = Requirements.of_content(stated.pop("requirements"))
            content["validators"] = tuple(content.get("validators", ()))
            return cls(terms=TrainingTerms(requirements, **stated), **content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, TermsError):
                raise
            raise TermsError(f"this is no offer: {error!r}") from error

    @classmethod
    def read(cls, path: Path) -> Offer:
        """Read an offer from a file.

        Raises:
            TermsError: it cannot be read, or is no offer.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise TermsError(f"the offer {path} cannot be read: {error}") from error

    def write(self, path: Path) -> None:
        """Write it for people to edit."""
        path.write_text(json.dumps(self._content(), indent=2) + "\n", encoding="utf-8")

    def _content(self) -> dict[str, Any]:
        content = asdict(self)
        content["terms"]["requirements"] = self.terms.requirements.content()
        return content
