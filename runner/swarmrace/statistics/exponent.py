"""How time grows with the size of the swarm: the exponent of a power law, fitted to runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from swarmrace.model import Model
from swarmrace.statistics.intervals import CONFIDENCE, t_quantile

MIN_SIZES = 3
"""Through two sizes a line always passes, and says nothing of a law."""


class Exponent(Model):
    """The b of t = a · n^b."""

    value: float
    low: float
    """Limits of 95 %, by Student's t on logarithms; they assume that the law holds, and log-normal
    times of equal spread at every size."""
    high: float
    sizes: int
    runs: int


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> Exponent | None:
    """Return the fitted exponent by least squares on logarithms, or None of fewer than
    `MIN_SIZES` sizes, of a failed run, or of a time of zero.

    Args:
        sizes: peers of each run's swarm.
        seconds: the run's number; infinite for a failed one.
    """
    count = len(set(sizes))
    if count < MIN_SIZES or not all(0 < value < math.inf for value in seconds):
        return None
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(seconds, float))
    around = x - x.mean()
    slope = float((around * (y - y.mean())).sum() / (around**2).sum())
    left = y - y.mean() - slope * around
    degrees = len(x) - 2
    half = 0.0
    if degrees > 0:
        error = math.sqrt(float((left**2).sum()) / degrees / float((around**2).sum()))
        half = t_quantile(degrees, CONFIDENCE) * error
    return Exponent(
        value=slope, low=slope - half, high=slope + half, sizes=count, runs=len(seconds)
    )
