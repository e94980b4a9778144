"""Medians with infinities, and intervals of ratios on logarithms.

A failed transfer counts as slower than any: its time is `math.inf`. Everything here is defined for
it, and what can't be said of it is None rather than a number that looks like one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
LEAST_BLOCKS = 3
"""Below it no interval is given: two numbers say next to nothing of their spread."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio of geometric means with its confidence interval."""

    estimate: float
    low: float | None
    """None below `LEAST_BLOCKS`."""
    high: float | None


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


def t_half_widths(log_ratios: Floats, confidence: float = CONFIDENCE) -> Floats:
    """Return the half widths of Student's t intervals for the means along the last axis."""
    count = log_ratios.shape[-1]
    spread = np.std(log_ratios, axis=-1, ddof=1)
    return t_quantile(count - 1, confidence) * spread / math.sqrt(count)


def paired(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Return the ratio a/b over blocks: geometric mean of the blocks' ratios, Student's t interval
    on logarithms. All numbers must be finite and above 0."""
    log_ratios = np.log(np.asarray(a, dtype=float)) - np.log(np.asarray(b, dtype=float))
    mean = float(log_ratios.mean())
    half = float(t_half_widths(log_ratios)) if len(log_ratios) >= LEAST_BLOCKS else None
    return _interval(mean, half)


def welch(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Return the ratio a/b of unpaired runs: ratio of geometric means, Welch's t interval on
    logarithms (B. L. Welch, Biometrika 34, 1947). All numbers must be finite and above 0."""
    log_a, log_b = np.log(np.asarray(a, dtype=float)), np.log(np.asarray(b, dtype=float))
    mean = float(log_a.mean() - log_b.mean())
    if min(len(log_a), len(log_b)) < LEAST_BLOCKS:
        return _interval(mean, None)
    var_a, var_b = log_a.var(ddof=1) / len(log_a), log_b.var(ddof=1) / len(log_b)
    var = float(var_a + var_b)
    if var == 0.0:
        return _interval(mean, 0.0)
    degrees = var**2 / (var_a**2 / (len(log_a) - 1) + var_b**2 / (len(log_b) - 1))
    return _interval(mean, t_quantile(float(degrees)) * math.sqrt(var))


def t_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))


def sign_test(more: int, less: int) -> float:
    """Return the two-sided p of so uneven a split if either were equally likely; ties left out."""
    count = more + less
    if count == 0:
        return 1.0
    tail = sum(math.comb(count, k) for k in range(min(more, less) + 1))
    return min(1.0, 2 * tail / 2**count)


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


def _interval(mean: float, half: float | None) -> Interval:
    if half is None:
        return Interval(math.exp(mean), None, None)
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half))
