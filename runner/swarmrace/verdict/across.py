"""Compare two races of one scenario, raced at different times or on different machines.

Times of two races are not comparable, because they depend on the machine, its load and its kernel.
If both races have the same baseline, each block's time is divided by the baseline's time in that
block, and these ratios are compared: what changed for both cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from swarmrace.model import Model
from swarmrace.statistics import intervals
from swarmrace.statistics.intervals import Method
from swarmrace.statistics.significance import p_above, p_below
from swarmrace.verdict.model import FAILED, Value, Verdict, to_value


class Change(Model):
    """A figure of the new race over that of the old race."""

    estimate: Value = None
    low: Value = None
    high: Value = None
    method: Method = "none"
    counts: tuple[int, int]
    """Number of blocks, or runs, of the new and of the old race."""
    p_slower: float | None = None
    """One-sided p; null with fewer than 5 + 5."""
    p_faster: float | None = None
    """One-sided p; null with fewer than 5 + 5."""

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1."""
        return (self.low is not None and _number(self.low) > 1) or (
            self.high is not None and _number(self.high) < 1
        )


def change(new: Sequence[float], old: Sequence[float]) -> Change:
    """Return the unpaired ratio of `new` over `old` by Hodges and Lehmann, with exact Mann–Whitney
    limits from 5 + 5 on."""
    found = intervals.unpaired(new, old)
    counts = (len(new), len(old))
    if not new or not old:
        return Change(counts=counts)
    return Change(
        estimate=to_value(found.estimate),
        low=to_value(found.low),
        high=to_value(found.high),
        method=found.method,
        counts=counts,
        p_slower=p_above(new, old, 1.0, paired=False),
        p_faster=p_below(new, old, 1.0, paired=False),
    )


def numbers(verdict: Verdict, entrant: str) -> dict[int, float]:
    """Return an entrant's t100 by block, infinite if it failed; missing runs are absent."""
    return {
        run.repetition: math.inf if run.t100 == FAILED else float(run.t100)
        for run in verdict.runs
        if run.entrant == entrant and run.status != "missing" and run.t100 is not None
    }


def block_ratios(verdict: Verdict, entrant: str, baseline: str) -> list[float]:
    """Return each block's ratio of an entrant over the baseline: infinite if the entrant failed.
    Blocks in which the baseline failed are left out, because they don't show the machine's
    speed."""
    one, other = numbers(verdict, entrant), numbers(verdict, baseline)
    return [
        one[block] / other[block]
        for block in sorted(one.keys() & other.keys())
        if one[block] > 0 and 0 < other[block] < math.inf
    ]


def _number(value: Value) -> float:
    return math.inf if value == FAILED else float(value or 0)
