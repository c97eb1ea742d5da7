"""An owner's rule for differential privacy, and the budget of each of its data sets (protocol.md §9, docs/privacy.md).

The rule stays in the store: a node that is started without one, on a page say, keeps the one it had. Who learns what: the store alone
has the noisy statistics; nothing of them is logged.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Literal

from deltaml_core import canonical
from deltaml_core.errors import DeltaMLError, PrivacyBudgetError, PrivacyError, TermsError
from deltaml_core.privacy import Guarantee, Release, epsilon_of, scale_for
from deltaml_core.privacy.mechanism import LARGEST_EPSILON, WEAK_EPSILON
from deltaml_core.statistics import Requirements, Selection
from deltaml_core.store.book import Book, Card
from deltaml_core.store.database import Database
from deltaml_core.store.privacy import Charge, PrivacyLedger
from deltaml_core.terms import TrainingTerms

_FACT = "privacy"


@dataclass(frozen=True)
class PrivacyRule:
    """With which noise an owner answers, and how often.

    Attributes:
        guarantee: of every acceptance.
        budget: the epsilon, at the guarantee's delta, that all acceptances of a data set may come to together.
    """

    guarantee: Guarantee
    budget: float = WEAK_EPSILON

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            PrivacyError: the budget is none, or does not bear a single acceptance.
        """
        least = self.guarantee.epsilon
        if isinstance(self.budget, bool) or not isinstance(self.budget, int | float) or not least <= self.budget <= LARGEST_EPSILON:
            raise PrivacyError(
                f"the privacy budget must be a number from {least:g}, the epsilon of one acceptance, to {LARGEST_EPSILON:g}, "
                f"not {self.budget!r}"
            )

    def to_json(self) -> dict[str, float]:
        """For the store."""
        return {"epsilon": self.guarantee.epsilon, "delta": self.guarantee.delta, "budget": self.budget}

    @classmethod
    def of(cls, book: Book) -> PrivacyRule | None:
        """The rule that a store holds; None where its owner answers without noise."""
        found = book.fact(_FACT)
        return None if found is None else cls(Guarantee(found["epsilon"], found["delta"]), found["budget"])


Choice = PrivacyRule | Literal["off"] | None
"""A rule from now on; none from now on; what it was before."""


@dataclass(frozen=True)
class Account:
    """How a data set stands, at the rule's delta.

    Attributes:
        rule: its owner's.
        spent: epsilon of all acceptances so far.
        following: epsilon after another acceptance that asks something new.
        unprotected: trainings it has taken part in without noise; no epsilon bounds what those tell.
    """

    rule: PrivacyRule
    spent: float
    following: float
    unprotected: int

    @property
    def left(self) -> float:
        """Of the budget; acceptances compose to less than the sum of their epsilons."""
        return max(0.0, self.rule.budget - self.spent)

    @property
    def bears_another(self) -> bool:
        """Whether the budget suffices for another acceptance."""
        return self.following <= self.rule.budget


class Accounts:
    """What every data set of a store has spent."""

    def __init__(self, database: Database) -> None:
        """Of this store; it is read at each call."""
        self._book, self._ledger = Book(database), PrivacyLedger(database)

    def of(self, digest: str, rule: PrivacyRule) -> Account:
        """How a data set stands.

        A file that was changed keeps what it had spent: most of its rows are the same.

        Raises:
            MissingExtraError: OpenDP is not installed.
        """
        rows = _lineage(self._book.cards(), digest)
        charges = [charge for charge in self._ledger.standing() if charge.dataset in rows]
        scales = tuple(sorted({(charge.dataset, charge.question): charge.scale for charge in charges}.values()))
        private = {charge.request for charge in charges}
        bare = [note for note in self._book.requests() if note.dataset in rows and note.seat is not None and note.id not in private]
        delta = rule.guarantee.delta
        return Account(rule, epsilon_of(scales, delta), epsilon_of((*scales, scale_for(rule.guarantee)), delta), len(bare))


class PrivacyGuard:
    """Draws an owner's noise, once for each question, as far as its budgets go.

    Attributes:
        rule: of this owner; None answers without noise.
    """

    def __init__(self, choice: Choice, database: Database, book: Book) -> None:
        """Take a rule, and keep it for nodes to come; None goes on with the one that was kept.

        Raises:
            MissingExtraError: there is a rule, and OpenDP is not installed.

        Warns:
            WeakPrivacyWarning: for a new rule with an epsilon above 10.
        """
        self._ledger, self._accounts = PrivacyLedger(database), Accounts(database)
        if isinstance(choice, PrivacyRule):
            choice.guarantee.warn()
            scale_for(choice.guarantee)
            book.note_fact(_FACT, choice.to_json())
        elif choice == "off":
            book.note_fact(_FACT, None)
        self.rule = PrivacyRule.of(book)
        if self.rule is not None:
            scale_for(self.rule.guarantee)

    def standing(self) -> tuple[int, ...]:
        """The requests that were charged for: what may be accepted changes with them."""
        return () if self.rule is None else tuple(charge.request for charge in self._ledger.standing())

    def fault(self, request: int, digest: str, rows: int, terms: TrainingTerms) -> str | None:
        """Why a data set may not answer a request with noise; None where it may, or where there is no rule."""
        try:
            self._check(request, digest, rows, terms)
        except DeltaMLError as error:
            return str(error)
        return None

    def accept(self, request: int, digest: str, dataset: Selection, terms: TrainingTerms) -> Guarantee | None:
        """Draw the noise for an acceptance, and charge the budget; once, however often it is called.

        Args:
            request: the contract's number.
            digest: of the data set.
            dataset: its rows, as the request selects them.
            terms: of the request.

        Returns:
            The guarantee; None where there is no rule.

        Raises:
            PrivacyBudgetError: the budget does not bear it.
            TermsError, PrivacyError: noise cannot protect these rows in this request.
        """
        kept = self._charge(request, digest)
        if kept is not None:
            return Guarantee(kept.epsilon, kept.delta)
        if self.rule is None:
            return None
        self._check(request, digest, dataset.rows, terms)
        guarantee, question = self.rule.guarantee, _question(terms.requirements, self.rule.guarantee)
        known = self._answered(digest, question)
        release = Release.of(dataset.statistics(), terms.requirements, guarantee) if known is None else Release.from_json(known.release)
        charge = Charge(request, digest, question, guarantee.epsilon, guarantee.delta, release.scale, release.to_json(), time.time())
        self._ledger.note(charge)
        return guarantee

    def release(self, request: int, digest: str) -> Release | None:
        """The noisy statistics that a request was accepted with; None where it was accepted without."""
        charge = self._charge(request, digest)
        return None if charge is None else Release.from_json(charge.release)

    def _check(self, request: int, digest: str, rows: int, terms: TrainingTerms) -> None:
        if self.rule is None:
            return
        if terms.metrics == "noise":
            raise TermsError('metrics="noise" shows the residual of every row, which noise on statistics does not hide')
        self.rule.guarantee.check(rows)
        if self._charge(request, digest) or self._answered(digest, _question(terms.requirements, self.rule.guarantee)):
            return
        account = self._accounts.of(digest, self.rule)
        if not account.bears_another:
            raise PrivacyBudgetError(
                f"its privacy budget of epsilon {self.rule.budget:g} does not bear this acceptance: {account.spent:.3g} is spent, and "
                f"{account.following:.3g} it would be with {self.rule.guarantee}"
            )

    def _charge(self, request: int, digest: str) -> Charge | None:
        charge = self._ledger.charge(request)
        return charge if charge is not None and charge.dataset == digest else None

    def _answered(self, digest: str, question: str) -> Charge | None:
        standing = (charge for charge in self._ledger.standing() if (charge.dataset, charge.question) == (digest, question))
        return next(standing, None)


def _question(requirements: Requirements, guarantee: Guarantee) -> str:
    columns = [asdict(column) for column in (*requirements.features, requirements.target)]
    return sha256(canonical.dump({"columns": columns, "epsilon": guarantee.epsilon, "delta": guarantee.delta})).hexdigest()


def _lineage(cards: Sequence[Card], digest: str) -> Collection[str]:
    """This data set, and what its file held before."""
    paths = {card.path for card in cards if card.digest == digest}
    return {digest, *(card.digest for card in cards if card.path in paths)}
