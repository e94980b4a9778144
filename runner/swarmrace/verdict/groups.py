"""Detect runs that fall into two groups, like those of a swarm that sometimes breaks down.

A median and its interval describe one group. If there are two groups, a reader must know that. The
test is that of Engelman and Hartigan ("Percentage Points of a Test for Clusters", JASA 64, 1969):
over all ways to cut the sorted values in two, the largest ratio of the sum of squares between the
two groups to that within them. On logarithms, its distribution under log-normal noise depends only
on the number of runs. The percentage points are simulated.

Runs are flagged when the ratio is above its 90 % point (3 to 5 runs) or 95 % point (from 6 runs on)
and the groups' typical times differ by a factor of at least 1.4. False alarms on log-normal noise,
by benchmarks/two_groups.py: below 0.3 % at a coefficient of variation of 10 %, 6 % at 20 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from swarmrace.units import format_seconds
from swarmrace.verdict.runs import RunView
from swarmrace.verdict.serving import leechers_share

MIN_RUNS = 3
FACTOR = 1.4
"""Minimum ratio of the two groups' geometric means."""
LIMITS = (
    *(362.99, 34.32, 15.16),  # 3 to 5 runs: 90 % point
    *(14.41, 10.42, 8.39, 7.17, 6.36),  # 6 to 10: 95 % point
    *(5.78, 5.34, 5.00, 4.73, 4.50),
    *(4.32, 4.15, 4.02, 3.90, 3.79),
)
"""Percentage points by number of runs, from 3 to 20 (2 million normal samples each). More runs use
the last one, which is stricter than their own."""


@dataclass(frozen=True, slots=True)
class TwoGroups:
    """Indexes of the runs in each group, in ascending order."""

    fast: tuple[int, ...]
    slow: tuple[int, ...]


def two_groups(seconds: Sequence[float]) -> TwoGroups | None:
    """Return the two groups that the times fall into, or None if the test doesn't find any.

    Args:
        seconds: one positive, finite time per run.
    """
    count = len(seconds)
    if count < MIN_RUNS:
        return None
    order = np.argsort(seconds, kind="stable")
    logs = np.log(np.asarray(seconds, dtype=float)[order])[None, :]
    if not in_two_groups(logs)[0]:
        return None
    cut = int(separation(logs)[1][0])
    fast, slow = (sorted(part.tolist()) for part in np.split(order, [cut]))
    return TwoGroups(tuple(fast), tuple(slow))


def in_two_groups(logs: np.ndarray) -> np.ndarray:
    """Return for each sample whether it falls into two groups.

    Args:
        logs: logarithms of the times, one sorted sample of at least three per row.
    """
    ratio, _, distance = separation(logs)
    limit = LIMITS[min(logs.shape[1] - MIN_RUNS, len(LIMITS) - 1)]
    return (ratio > limit) & (distance >= math.log(FACTOR))


def separation(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each sample's statistic, the size of its lower group, and the distance between the
    groups' means.

    Args:
        logs: one sorted sample per row.
    """
    samples, count = logs.shape
    below = np.arange(1, count)
    sums = np.cumsum(logs, axis=1)
    low = sums[:, :-1] / below
    high = (sums[:, -1:] - sums[:, :-1]) / (count - below)
    between = below * (count - below) / count * (high - low) ** 2
    best = between.argmax(axis=1)
    rows = np.arange(samples)
    spread = ((logs - logs.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    within = np.maximum(spread - between[rows, best], 1e-12)
    return between[rows, best] / within, best + 1, (high - low)[rows, best]


_FIGURES: tuple[tuple[str, Callable[[RunView], float | None]], ...] = (
    ("t100 of the median leecher", lambda view: view.number),
    ("t100 of the last leecher", lambda view: view.last),
)


def group_flags(views: Sequence[RunView]) -> Iterator[str]:
    """Yield a line for each figure whose runs fall into two groups.

    The last leecher's line is left out if its groups are the median leecher's.

    Args:
        views: one entrant's runs.
    """
    seen: list[TwoGroups] = []
    for name, get in _FIGURES:
        known = [(view, value) for view in views if (value := get(view)) and math.isfinite(value)]
        groups = two_groups([value for _, value in known])
        if groups is None or groups in seen:
            continue
        seen.append(groups)
        fast, slow = ([known[index] for index in part] for part in (groups.fast, groups.slow))
        yield (
            f"the runs fall into two groups by {name}: {_described(fast)}, and {_described(slow)}; "
            "a median or an interval over both describes neither; find out what decides which "
            "group a run falls into"
        )


def _described(runs: Sequence[tuple[RunView, float]]) -> str:
    """Describe a group: its number of runs, their range, and the share that leechers served."""
    times = [value for _, value in runs]
    text = f"{len(runs)} at {format_seconds(min(times))}"
    if len(runs) > 1:
        text += f" to {format_seconds(max(times))}"
    shares = [share for view, _ in runs if (share := leechers_share(view)) is not None]
    if shares:
        ends = sorted({f"{min(shares):.0%}", f"{max(shares):.0%}"}, key=lambda end: float(end[:-1]))
        text += f" (leechers served {' to '.join(ends).replace('%', ' %')} of the payload)"
    return text
