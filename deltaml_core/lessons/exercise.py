"""An exercise at the end of a chapter: a question whose answer is a number or several, and what is said to an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from deltaml_core.errors import DataError


@dataclass(frozen=True)
class Verdict:
    """What is said to an answer.

    Attributes:
        right: whether it is.
        text: the sentence.
    """

    right: bool
    text: str

    def __repr__(self) -> str:
        return f"{'Right' if self.right else 'Not yet'}: {self.text}"

    def _repr_html_(self) -> str:
        sign, colour = ("✓ Right", "#0d9488") if self.right else ("… Not yet", "#d97706")
        said = self.text[:1].upper() + self.text[1:]
        return f'<p style="border-left:4px solid {colour};padding:6px 12px"><strong>{sign}.</strong> {escape(said)}</p>'


@dataclass(frozen=True)
class Exercise:
    """A question with an answer that is checked.

    Attributes:
        answer: one number or several, in the order asked for.
        why: said when it is right.
        hint: said when it is not.
        tolerance: how far off an answer may be, as a share of the largest number of the answer.
    """

    answer: Sequence[float]
    why: str
    hint: str
    tolerance: float = 0.005

    def check(self, answer: npt.ArrayLike | None) -> Verdict:
        """What is said to an answer; None stands for one not given yet.

        Raises:
            DataError: it holds something else than numbers.
        """
        if answer is None:
            return Verdict(False, f"no answer so far. {self.hint}")
        try:
            given = np.atleast_1d(np.asarray(answer, dtype=np.float64)).ravel()
        except (TypeError, ValueError) as error:
            raise DataError(f"an answer is a number, or a list of {len(self.answer)} numbers, not {answer!r}") from error
        right = np.asarray(self.answer, dtype=np.float64)
        if given.shape != right.shape:
            return Verdict(False, f"{len(right)} number(s) are asked for, not {len(given)}. {self.hint}")
        if np.abs(given - right).max() <= self.tolerance * np.abs(right).max():
            return Verdict(True, self.why)
        return Verdict(False, self.hint)
