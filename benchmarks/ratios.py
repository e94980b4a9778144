"""Means with standard errors, and ratios taken pair by pair."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def mean_of(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error (0 for a single value)."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return statistics.mean(values), error


def ratio_of(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the geometric mean of ratios and its standard error.

    Unlike the arithmetic mean, the geometric mean of a/b is the inverse of that of b/a.
    """
    mean, error = mean_of([math.log(ratio) for ratio in ratios])
    return math.exp(mean), math.exp(mean) * error
