"""Medians with infinities, and other figures of a few numbers.

A failed transfer counts as slower than any: its time is `math.inf`. Everything here is defined for
it, and what can't be said of it is None rather than a number that looks like one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def middle(values: Sequence[float]) -> float:
    """Return the median: the middle value, or the mean of the middle two, which is infinite if
    either is.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("the median of nothing is not defined")
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """Return sample standard deviation over mean, or None of fewer than two or with infinities."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    mean = math.fsum(values) / len(values)
    return float(np.std(values, ddof=1)) / mean if mean else None


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """Return the percentile by nearest rank: a value that occurred.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("a percentile of nothing is not defined")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
