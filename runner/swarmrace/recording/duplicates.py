"""Bytes that came more than once: finding their first record."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

_Int64s = npt.NDArray[np.int64]
_MAX_SPARSE = 8
"""A table with a place for each block is used up to this many places for a record."""


def first_only(
    offset: _Int64s, length: _Int64s, t_ns: _Int64s
) -> tuple[_Int64s, _Int64s, _Int64s, int]:
    """Sort by time and drop bytes that had come before; return the columns and the dropped bytes'
    count."""
    if _in_order(offset, length, t_ns):  # a stored curve, or a stream: nothing to do
        return offset, length, t_ns, 0
    order = np.lexsort((t_ns, offset))
    rows = np.stack((offset, length, t_ns), axis=1)[order]
    # Records that share a byte, directly or through other records, form a group. Few do, and only
    # those are processed one by one.
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


def _in_order(offset: _Int64s, length: _Int64s, t_ns: _Int64s) -> bool:
    """Return whether the records are sorted by time and offset, and share no byte."""
    later = t_ns[1:] > t_ns[:-1]
    if not np.all(later | ((t_ns[1:] == t_ns[:-1]) & (offset[1:] > offset[:-1]))):
        return False
    ends = offset + length
    if np.all(offset[1:] >= ends[:-1]):
        return True
    block = int(length.max())
    if int(ends.max()) <= _MAX_SPARSE * block * len(offset):
        slot = offset // block
        if np.all(ends <= (slot + 1) * block):  # blocks of one size: has each only one record?
            taken = np.zeros(int(slot.max()) + 1, dtype=bool)
            taken[slot] = True
            if int(np.count_nonzero(taken)) == len(slot):
                return True
    order = np.argsort(offset)
    return bool(np.all(offset[order][1:] >= ends[order][:-1]))


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
