"""The one place where a ratio gets its interval: which method, from how many blocks.

Numbers are compared on their logarithms. A failed run's is +∞, so a block's log ratio may be
infinite; limits that rest on ranks hold with it. What they estimate is the typical block: the
pseudo-median of the block's log ratio (the median of the mean of two independent blocks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from swarmrace.statistics.ranks import Floats, rank_sum_order, signed_rank_order

CONFIDENCE = 0.95
LEAST_BLOCKS = 3
"""Below it no interval is given: two numbers say next to nothing about their spread."""
LEAST_RANKED = 6
"""Complete blocks from which ranks give an interval of 95 %."""
LEAST_RANKED_RUNS = 5
"""Likewise of unpaired runs, on each side."""

Method = Literal[
    "paired Hodges–Lehmann, exact signed-rank limits",
    "Hodges–Lehmann shift, exact Mann–Whitney limits",
    "paired t on logarithms",
    "Welch's t on logarithms",
    "points",
    "none",
]
LOG_NORMAL: tuple[Method, ...] = ("paired t on logarithms", "Welch's t on logarithms")
"""Methods whose interval rests on the assumption of log-normal times."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio with its confidence interval. 0 and infinity: the one or the other failed."""

    estimate: float | None
    """None where failures of both sides leave none."""
    low: float | None
    """None without an interval."""
    high: float | None
    method: Method
    confidence: float | None = None
    """As attained; of an exact interval at least what was asked for."""


def paired(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the ratio a/b over blocks in which not both are infinite. All must be above 0."""
    ratios = log_ratios(a, b)
    count = len(ratios)
    if not count:
        return Interval(None, None, None, "none")
    if count >= LEAST_RANKED:
        averages = walsh_averages(ratios)
        low, high = limits(averages, signed_rank_order(count, confidence).rank)
        return Interval(
            _ratio(_middle(averages)),
            _ratio(float(low)),
            _ratio(float(high)),
            "paired Hodges–Lehmann, exact signed-rank limits",
            signed_rank_order(count, confidence).attained,
        )
    if count >= LEAST_BLOCKS and np.isfinite(ratios).all():
        mean, half = float(ratios.mean()), float(t_half_widths(ratios, confidence))
        return _around(mean, half, "paired t on logarithms", confidence)
    return Interval(_ratio(_middle(walsh_averages(ratios))), None, None, "points")


def unpaired(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the ratio a/b of runs that are not paired. All must be above 0.

    Below 5 + 5 runs Welch's t interval (B. L. Welch, Biometrika 34, 1947).
    """
    log_a, log_b = _logs(a), _logs(b)
    fewer = min(len(log_a), len(log_b))
    if not fewer:
        return Interval(None, None, None, "none")
    with np.errstate(invalid="ignore"):
        shifts = (log_a[:, None] - log_b[None, :]).ravel()
    if fewer >= LEAST_RANKED_RUNS:
        order = rank_sum_order(len(log_a), len(log_b), confidence)
        low, high = limits(shifts, order.rank)
        return Interval(
            _ratio(_middle(shifts)),
            _ratio(float(low)),
            _ratio(float(high)),
            "Hodges–Lehmann shift, exact Mann–Whitney limits",
            order.attained,
        )
    if not np.isfinite(shifts).all() or fewer < LEAST_BLOCKS:
        return Interval(_ratio(_middle(shifts)), None, None, "points")
    mean = float(log_a.mean() - log_b.mean())
    var_a, var_b = log_a.var(ddof=1) / len(log_a), log_b.var(ddof=1) / len(log_b)
    var = float(var_a + var_b)
    half = 0.0
    if var:
        degrees = var**2 / (var_a**2 / (len(log_a) - 1) + var_b**2 / (len(log_b) - 1))
        half = t_quantile(float(degrees), confidence) * math.sqrt(var)
    return _around(mean, half, "Welch's t on logarithms", confidence)


def log_ratios(a: Sequence[float], b: Sequence[float]) -> Floats:
    """Return each block's log ratio; a block in which both failed has none and is left out."""
    log_a, log_b = _logs(a), _logs(b)
    either = np.isfinite(log_a) | np.isfinite(log_b)
    return log_a[either] - log_b[either]


def walsh_averages(values: Floats) -> Floats:
    """Return the means of all pairs of values, each with itself too, along the last axis.

    That of +∞ and -∞ is NaN.
    """
    first, second = np.triu_indices(values.shape[-1])
    with np.errstate(invalid="ignore"):
        return (values[..., first] + values[..., second]) / 2


def limits(values: Floats, rank: int) -> tuple[Floats, Floats]:
    """Return the `rank`-th smallest and largest along the last axis.

    A NaN, which failures of both sides leave, counts as -∞ for the lower and as +∞ for the upper.
    """
    undefined = np.isnan(values)
    low = np.where(undefined, -np.inf, values)
    high = np.where(undefined, np.inf, values)
    last = values.shape[-1] - rank
    return np.partition(low, rank - 1)[..., rank - 1], np.partition(high, last)[..., last]


def t_half_widths(ratios: Floats, confidence: float = CONFIDENCE) -> Floats:
    """Return the half widths of Student's t intervals for the means along the last axis."""
    count = ratios.shape[-1]
    spread: Floats = np.std(ratios, axis=-1, ddof=1)
    widths: Floats = t_quantile(count - 1, confidence) * spread / math.sqrt(count)
    return widths


def t_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Return the two-sided quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + confidence / 2))


def _logs(values: Sequence[float]) -> Floats:
    logs: Floats = np.log(np.asarray(values, dtype=float))
    return logs


def _middle(values: Floats) -> float:
    """Return the median of what is defined; NaN where the middle two are +∞ and -∞."""
    defined = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):
        return float(np.median(defined)) if len(defined) else math.nan


def _ratio(log: float) -> float | None:
    return None if math.isnan(log) else math.exp(log)


def _around(mean: float, half: float, method: Method, confidence: float) -> Interval:
    return Interval(
        math.exp(mean), math.exp(mean - half), math.exp(mean + half), method, confidence
    )
