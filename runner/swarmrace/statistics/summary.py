"""Medians with infinities, and other summary statistics.

A failed transfer counts as slower than any: its time is `math.inf`. Every function here accepts
infinite times, and returns None if its figure is undefined for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def middle(values: Sequence[float]) -> float:
    """Return the median: the middle value or the mean of the middle two, which is infinite if one
    of them is.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("the median of nothing is not defined")
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def coefficient_of_variation(values: Sequence[float]) -> float | None:
    """Return sample standard deviation over mean; None for fewer than two values or infinities."""
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    mean = math.fsum(values) / len(values)
    return float(np.std(values, ddof=1)) / mean if mean else None


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """Return the percentile by nearest rank, which is one of the values.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("a percentile of nothing is not defined")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]
