"""How surprising runs would be if a bound did not hold: the p that judging many cells needs.

They are the tests whose inversion the exact intervals are (`intervals`), so a p of at most half of
1 - confidence and an interval on one side of the bound say the same. Below the blocks from which
ranks give an interval there is no p: one by Student's t would rest on log-normal tails, which is
where the smallest p of many cells come from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from swarmrace.statistics import ranks
from swarmrace.statistics.intervals import (
    LEAST_RANKED,
    LEAST_RANKED_RUNS,
    log_ratios,
    walsh_averages,
)


def p_below(a: Sequence[float], b: Sequence[float], bound: float, *, paired: bool) -> float | None:
    """Return the one-sided p of so low a ratio a/b if the true one were at least `bound`; None
    where there are too few blocks for ranks.

    Args:
        a: times in seconds, infinite for failed runs, all above 0.
        b: the other's; of paired blocks in the same order.
        bound: of the ratio.
        paired: whether they are blocks.
    """
    if paired:
        return _paired(log_ratios(a, b) - math.log(bound))
    return _unpaired(np.log(np.asarray(a, float)) - math.log(bound), np.log(np.asarray(b, float)))


def p_above(a: Sequence[float], b: Sequence[float], bound: float, *, paired: bool) -> float | None:
    """Return the one-sided p of so high a ratio a/b if the true one were at most `bound`."""
    return p_below(b, a, 1 / bound, paired=paired)


def _paired(logs: ranks.Floats) -> float | None:
    count = len(logs)
    if count >= LEAST_RANKED:
        averages = walsh_averages(logs)
        # What can't be told, and what lies on the bound, speaks against it.
        against = int(np.sum(np.isnan(averages) | (averages >= 0)))
        return ranks.signed_rank_p(count, against)
    return None


def _unpaired(a: ranks.Floats, b: ranks.Floats) -> float | None:
    fewer = min(len(a), len(b))
    with np.errstate(invalid="ignore"):
        shifts = (a[:, None] - b[None, :]).ravel()
    if fewer >= LEAST_RANKED_RUNS:
        against = int(np.sum(np.isnan(shifts) | (shifts >= 0)))
        return ranks.rank_sum_below(len(a), len(b), against)
    return None
