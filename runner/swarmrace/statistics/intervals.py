"""The interval of a ratio: which method, and from how many blocks on.

Numbers are compared on their logarithms. A failed run's logarithm is +∞, so a block's log ratio may
be infinite; limits from ranks stay valid then. They estimate the typical block: the pseudo-median
of the block's log ratio (the median of the mean of two independent blocks).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from swarmrace.statistics.ranks import Floats, rank_sum_order, signed_rank_order

CONFIDENCE = 0.95
MIN_BLOCKS = 3
"""With fewer blocks there is no interval: two numbers hardly show their spread."""
MIN_RANKED_BLOCKS = 6
"""Minimum number of complete blocks for a 95 % interval from ranks."""
MIN_RANKED_RUNS = 5
"""The same for unpaired runs, on each side."""

Method = Literal[
    "paired Hodges–Lehmann, exact signed-rank limits",
    "Hodges–Lehmann shift, exact Mann–Whitney limits",
    "paired t on logarithms",
    "Welch's t on logarithms",
    "points",
    "none",
]
LOG_NORMAL: tuple[Method, ...] = ("paired t on logarithms", "Welch's t on logarithms")
"""Methods whose interval assumes log-normal times."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A ratio a/b with its confidence interval. It is 0 if b failed, infinite if a failed."""

    estimate: float | None
    """None if failures of both sides leave no estimate."""
    low: float | None
    """None without an interval."""
    high: float | None
    """None without an interval."""
    method: Method
    confidence: float | None = None
    """Attained confidence; that of an exact interval is at least the requested one."""


def paired(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the ratio a/b over the blocks in which at most one is infinite.

    Args:
        a: times of each block, all above 0; infinite for a failed run.
        b: the other entrant's, in the same order.
        confidence: the requested confidence.
    """
    ratios = log_ratios(a, b)
    count = len(ratios)
    if not count:
        return Interval(None, None, None, "none")
    if count >= MIN_RANKED_BLOCKS:
        averages = walsh_averages(ratios)
        low, high = limits(averages, signed_rank_order(count, confidence).rank)
        return Interval(
            _ratio(_middle(averages)),
            _ratio(float(low)),
            _ratio(float(high)),
            "paired Hodges–Lehmann, exact signed-rank limits",
            signed_rank_order(count, confidence).attained,
        )
    if count >= MIN_BLOCKS and np.isfinite(ratios).all():
        mean, half = float(ratios.mean()), float(t_half_widths(ratios, confidence))
        return _around(mean, half, "paired t on logarithms", confidence)
    return Interval(_ratio(_middle(walsh_averages(ratios))), None, None, "points")


def unpaired(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the ratio a/b of unpaired runs, whose times are all above 0.

    With fewer than 5 + 5 runs, the interval is Welch's t (B. L. Welch, Biometrika 34, 1947).
    """
    log_a, log_b = _logs(a), _logs(b)
    fewer = min(len(log_a), len(log_b))
    if not fewer:
        return Interval(None, None, None, "none")
    with np.errstate(invalid="ignore"):
        shifts = (log_a[:, None] - log_b[None, :]).ravel()
    if fewer >= MIN_RANKED_RUNS:
        order = rank_sum_order(len(log_a), len(log_b), confidence)
        low, high = limits(shifts, order.rank)
        return Interval(
            _ratio(_middle(shifts)),
            _ratio(float(low)),
            _ratio(float(high)),
            "Hodges–Lehmann shift, exact Mann–Whitney limits",
            order.attained,
        )
    if not np.isfinite(shifts).all() or fewer < MIN_BLOCKS:
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
    """Return each block's log ratio, without blocks in which both failed."""
    log_a, log_b = _logs(a), _logs(b)
    either = np.isfinite(log_a) | np.isfinite(log_b)
    return log_a[either] - log_b[either]


def walsh_averages(values: Floats) -> Floats:
    """Return the means of all pairs of values along the last axis, including each value with
    itself.

    The mean of +∞ and -∞ is NaN.
    """
    first, second = np.triu_indices(values.shape[-1])
    with np.errstate(invalid="ignore"):
        return (values[..., first] + values[..., second]) / 2


def limits(values: Floats, rank: int) -> tuple[Floats, Floats]:
    """Return the `rank`-th smallest and the `rank`-th largest value along the last axis.

    A NaN (failures of both sides) counts as -∞ for the lower limit and as +∞ for the upper.
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
    """Return the median without NaNs; it is NaN if the middle two values are +∞ and -∞."""
    defined = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):
        return float(np.median(defined)) if len(defined) else math.nan


def _ratio(log: float) -> float | None:
    return None if math.isnan(log) else math.exp(log)


def _around(mean: float, half: float, method: Method, confidence: float) -> Interval:
    return Interval(
        math.exp(mean), math.exp(mean - half), math.exp(mean + half), method, confidence
    )
