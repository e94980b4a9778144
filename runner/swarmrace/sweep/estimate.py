"""Estimates how long the rest of a sweep takes, from the durations of the cells that are done."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles

_RESAMPLES = 400
_MIN_DONE = 3
"""With fewer parts done, their spread means little, and the estimate has none."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """An estimate of the time left, in seconds."""

    seconds: float
    low: float | None
    """10th percentile; None if too few parts are done."""
    high: float | None
    """90th percentile; None if too few parts are done."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How this machine compares with the plan: seconds taken / seconds planned, for each part."""

    ratios: tuple[float, ...]

    @classmethod
    def from_durations(cls, took: Sequence[tuple[float, float]]) -> Pace:
        """Return the pace of the parts that are done.

        Args:
            took: seconds planned and seconds taken, for each part.
        """
        pairs = [(planned, taken) for planned, taken in took if planned > 0 and taken > 0]
        return cls(tuple(taken / planned for planned, taken in pairs))

    def expect(self, planned: float) -> float:
        """Return the expected seconds of a part that was planned to take `planned` seconds."""
        return planned * (fmean(self.ratios) if self.ratios else 1.0)

    def left(self, planned: Sequence[float]) -> TimeLeft:
        """Return the total time of parts, with a range from the spread of the ratios so far.

        The range is a bootstrap: each resample draws new ratios, then one of them for each part.
        """
        seconds = math.fsum(self.expect(each) for each in planned)
        if len(self.ratios) < _MIN_DONE or not planned:
            return TimeLeft(seconds, None, None)
        source = random.Random(len(self.ratios))
        sums = []
        for _ in range(_RESAMPLES):
            seen = source.choices(self.ratios, k=len(self.ratios))
            drawn = source.choices(seen, k=len(planned))
            sums.append(math.fsum(p * ratio for p, ratio in zip(planned, drawn, strict=True)))
        cuts = quantiles(sums, n=10, method="inclusive")
        return TimeLeft(seconds, cuts[0], cuts[-1])
