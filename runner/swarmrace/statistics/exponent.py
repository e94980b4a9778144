"""How time grows with swarm size: the exponent of a power law, fitted to runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from swarmrace.model import Model
from swarmrace.statistics.intervals import CONFIDENCE, t_quantile

MIN_SIZES = 3
"""A line always fits two sizes, so two sizes can't support a power law."""


class Exponent(Model):
    """The exponent b in t = a · n^b."""

    value: float
    low: float
    """Lower 95 % limit, by Student's t on logarithms. It assumes that the law holds, and log-normal
    times with the same spread at every size."""
    high: float
    """Upper 95 % limit."""
    sizes: int
    runs: int


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> Exponent | None:
    """Return the exponent fitted by least squares on logarithms, or None if there are fewer than
    `MIN_SIZES` sizes, a failed run, or a time of zero.

    Args:
        sizes: number of peers in each run's swarm.
        seconds: each run's number; infinite if the run failed.
    """
    count = len(set(sizes))
    if count < MIN_SIZES or not all(0 < value < math.inf for value in seconds):
        return None
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(seconds, float))
    centred = x - x.mean()
    slope = float((centred * (y - y.mean())).sum() / (centred**2).sum())
    residuals = y - y.mean() - slope * centred
    degrees = len(x) - 2
    half = 0.0
    if degrees > 0:
        error = math.sqrt(float((residuals**2).sum()) / degrees / float((centred**2).sum()))
        half = t_quantile(degrees, CONFIDENCE) * error
    return Exponent(
        value=slope, low=slope - half, high=slope + half, sizes=count, runs=len(seconds)
    )
