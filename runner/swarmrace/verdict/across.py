"""Two races of one scenario at different times: a new release, another machine, yesterday.

Times of two races don't compare: the machine, its load and its kernel are in both. Where both hold
the same baseline, each block's time is taken over the baseline's in that block, and these ratios
are set against the other race's: what changed for both cancels.
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
    """A figure of the new race over that of the old one."""

    estimate: Value = None
    low: Value = None
    high: Value = None
    method: Method = "none"
    counts: tuple[int, int]
    """How many blocks, or runs, of the new and of the old race went into it."""
    p_slower: float | None = None
    """One-sided; null below 5 + 5."""
    p_faster: float | None = None

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1."""
        return (self.low is not None and _number(self.low) > 1) or (
            self.high is not None and _number(self.high) < 1
        )


def change(new: Sequence[float], old: Sequence[float]) -> Change:
    """Return the unpaired ratio of `new` over `old`: Hodges and Lehmann's, with exact Mann–Whitney
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
    """Return an entrant's t100 by block, infinite where it failed; missing runs are absent."""
    return {
        run.repetition: math.inf if run.t100 == FAILED else float(run.t100)
        for run in verdict.runs
        if run.entrant == entrant and run.status != "missing" and run.t100 is not None
    }


def block_ratios(verdict: Verdict, entrant: str, baseline: str) -> list[float]:
    """Return each block's ratio of an entrant over the baseline: infinite where the entrant failed,
    none where the baseline did, which then says nothing of the machine."""
    one, other = numbers(verdict, entrant), numbers(verdict, baseline)
    return [
        one[block] / other[block]
        for block in sorted(one.keys() & other.keys())
        if one[block] > 0 and 0 < other[block] < math.inf
    ]


def _number(value: Value) -> float:
    return math.inf if value == FAILED else float(value or 0)
