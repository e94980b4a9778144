"""p values of runs under the hypothesis that a bound doesn't hold, for judging many cells.

The exact intervals (`intervals`) are the inversion of these tests: a p of at most half of
1 - confidence is equivalent to an interval on one side of the bound. With too few blocks for an
interval from ranks there is no p. One by Student's t would depend on log-normal tails, and the
smallest p of many cells come from the tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from swarmrace.statistics import ranks
from swarmrace.statistics.intervals import (
    MIN_RANKED_BLOCKS,
    MIN_RANKED_RUNS,
    log_ratios,
    walsh_averages,
)

FAMILY_ERROR = 0.05
"""Maximum chance, one-sided, that any cell is named wrongly, over all cells together."""


def blocks_needed(cells: int, error: float = FAMILY_ERROR) -> int:
    """Return the minimum number of complete blocks for naming one of `cells` cells by Holm's
    procedure: the most extreme outcome of n blocks has probability 2⁻ⁿ."""
    return math.ceil(math.log2(max(1, cells) / error))


def p_below(a: Sequence[float], b: Sequence[float], bound: float, *, paired: bool) -> float | None:
    """Return the one-sided p of a ratio a/b this low if the true ratio is at least `bound`; None
    if there are too few blocks for ranks.

    Args:
        a: times in seconds, all above 0; infinite for failed runs.
        b: the other entrant's times; if paired, in the same order of blocks.
        bound: the ratio to test against.
        paired: whether a and b are pairs of the same blocks.
    """
    if paired:
        return _paired(log_ratios(a, b) - math.log(bound))
    return _unpaired(np.log(np.asarray(a, float)) - math.log(bound), np.log(np.asarray(b, float)))


def p_above(a: Sequence[float], b: Sequence[float], bound: float, *, paired: bool) -> float | None:
    """Return the one-sided p of a ratio a/b this high if the true ratio is at most `bound`."""
    return p_below(b, a, 1 / bound, paired=paired)


def _paired(logs: ranks.Floats) -> float | None:
    count = len(logs)
    if count >= MIN_RANKED_BLOCKS:
        averages = walsh_averages(logs)
        # Undefined averages and those on the bound count against the ratio being below it.
        against = int(np.sum(np.isnan(averages) | (averages >= 0)))
        return ranks.signed_rank_p(count, against)
    return None


def _unpaired(a: ranks.Floats, b: ranks.Floats) -> float | None:
    fewer = min(len(a), len(b))
    with np.errstate(invalid="ignore"):
        shifts = (a[:, None] - b[None, :]).ravel()
    if fewer >= MIN_RANKED_RUNS:
        against = int(np.sum(np.isnan(shifts) | (shifts >= 0)))
        return ranks.rank_sum_below(len(a), len(b), against)
    return None
