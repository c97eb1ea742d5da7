"""What a request asks of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deltaml_core.statistics.preprocessing import AS_THEY_ARE, Preprocessing

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """A column as a request declares it; ranges come from the request, never from the data.

    Attributes:
        name: the column's name in the request's data dictionary.
        low: smallest value allowed, in the column's own unit.
        high: largest value allowed; not below `low`.
    """

    name: str
    low: float
    high: float

    @property
    def magnitude(self) -> float:
        """The largest absolute value allowed."""
        return max(abs(self.low), abs(self.high))

    def fault(self, values: Array) -> str | None:
        """Why these values do not fit the range, or None."""
        outside = int(((values < self.low) | (values > self.high)).sum())
        return self.outside(outside, len(values), values.min(), values.max()) if outside else None

    def outside(self, count: int, rows: int, lowest: float, highest: float) -> str:
        """Say that so many of the rows' values do not fit the range."""
        return f"{count} of {rows} values of {self.name!r} lie outside [{self.low:g}, {self.high:g}] (they span [{lowest:g}, {highest:g}])"


@dataclass(frozen=True)
class Requirements:
    """What a request asks of a data set.

    Attributes:
        features: the model's inputs, in the order of its weights.
        target: what the model predicts.
        minimum_rows: the fewest rows worth training on, at least 1.
        preprocessing: how an owner's columns become these; by default they are taken as they are.
    """

    features: tuple[Column, ...]
    target: Column
    minimum_rows: int = 1
    preprocessing: Preprocessing = AS_THEY_ARE

    @property
    def columns(self) -> tuple[Column, ...]:
        """The features, then the target."""
        return (*self.features, self.target)

    def content(self) -> dict[str, Any]:
        """As JSON holds it; without preprocessing where there is none, as documents were before there was any."""
        content = asdict(self)
        del content["preprocessing"]
        return content | ({"preprocessing": self.preprocessing.content()} if self.preprocessing else {})

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> Requirements:
        """Read what `content` wrote, or somebody by hand.

        Raises:
            TermsError: the preprocessing cannot be meant.
            AttributeError, KeyError, TypeError, ValueError: it is something else.
        """
        features = tuple(Column(**column) for column in content["features"])
        preprocessing = Preprocessing.of_content(content.get("preprocessing", {}))
        return cls(features, Column(**content["target"]), content.get("minimum_rows", 1), preprocessing)
