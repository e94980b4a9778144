"""Bytes that came more than once: which record of them was the first."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

_Int64s = npt.NDArray[np.int64]


def first_only(
    offset: _Int64s, length: _Int64s, t_ns: _Int64s
) -> tuple[_Int64s, _Int64s, _Int64s, int]:
    """Sort by time and drop what had come before; return the columns and the bytes dropped."""
    order = np.lexsort((t_ns, offset))
    rows = np.stack((offset, length, t_ns), axis=1)[order]
    # Records that share a byte, directly or by others, form a group; few do, and only those are
    # gone through one by one.
    reach = np.maximum.accumulate(rows[:, 0] + rows[:, 1])
    joins = np.zeros(len(rows), dtype=bool)
    joins[1:] = rows[1:, 0] < reach[:-1]
    grouped = joins.copy()
    grouped[:-1] |= joins[1:]
    if joins.any():
        shared = rows[grouped]
        shared = shared[np.lexsort((shared[:, 0], shared[:, 2]))]
        covered: list[tuple[int, int]] = []  # disjoint, sorted
        kept = [
            (a, b - a, when)
            for start, size, when in shared.tolist()
            for a, b in _add(covered, start, start + size)
        ]
        rows = np.concatenate((rows[~grouped], np.array(kept, dtype=np.int64).reshape(-1, 3)))
    rows = rows[np.lexsort((rows[:, 0], rows[:, 2]))]
    dropped = int(length.sum() - rows[:, 1].sum())
    return rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy(), dropped


def _add(covered: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    """Add [start, stop) to `covered`; return the parts that were new."""
    low = bisect_left(covered, (start, start))
    if low and covered[low - 1][1] >= start:
        low -= 1
    high, new, at = low, [], start
    while high < len(covered) and covered[high][0] <= stop:
        if covered[high][0] > at:
            new.append((at, covered[high][0]))
        at = max(at, covered[high][1])
        high += 1
    if at < stop:
        new.append((at, stop))
    if low == high:
        covered.insert(low, (start, stop))
    else:
        covered[low:high] = [(min(start, covered[low][0]), max(stop, covered[high - 1][1]))]
    return new
