"""How long the rest of a sweep will take, by what the cells that are done took."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles

_DRAWS = 400
_LEAST_DONE = 3
"""Below so many parts done, their spread says little: the estimate then has none."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """An estimate."""

    seconds: float
    low: float | None
    """10 % of what may come is below; None where too little is done to say."""
    high: float | None
    """10 % is above."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How this machine compares with the plan: seconds taken over seconds planned, by part."""

    ratios: tuple[float, ...]

    @classmethod
    def of(cls, took: Sequence[tuple[float, float]]) -> Pace:
        """Return the pace of parts that are done.

        Args:
            took: seconds planned and taken, of each.
        """
        pairs = [(planned, taken) for planned, taken in took if planned > 0 and taken > 0]
        return cls(tuple(taken / planned for planned, taken in pairs))

    def expect(self, planned: float) -> float:
        """Return about how long a part takes that was planned with so many seconds."""
        return planned * (fmean(self.ratios) if self.ratios else 1.0)

    def left(self, planned: Sequence[float]) -> TimeLeft:
        """Return how long parts take together, with the spread of the ratios so far.

        The spread is a bootstrap: the ratios seen, and each part's own of them, are drawn anew.
        """
        seconds = math.fsum(self.expect(each) for each in planned)
        if len(self.ratios) < _LEAST_DONE or not planned:
            return TimeLeft(seconds, None, None)
        source = random.Random(len(self.ratios))
        sums = []
        for _ in range(_DRAWS):
            seen = source.choices(self.ratios, k=len(self.ratios))
            drawn = source.choices(seen, k=len(planned))
            sums.append(math.fsum(p * ratio for p, ratio in zip(planned, drawn, strict=True)))
        cuts = quantiles(sums, n=10, method="inclusive")
        return TimeLeft(seconds, cuts[0], cuts[-1])
