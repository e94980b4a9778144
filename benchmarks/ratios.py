"""Means with standard errors, and ratios taken pair by pair."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def mean_of(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard error (0 of a single value)."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return statistics.mean(values), error


def ratio_of(ratios: Sequence[float]) -> tuple[float, float]:
    """Return geometric mean and standard error of ratios: of theirs over ours it is the inverse of
    ours over theirs, which isn't so of the arithmetic mean."""
    mean, error = mean_of([math.log(ratio) for ratio in ratios])
    return math.exp(mean), math.exp(mean) * error
