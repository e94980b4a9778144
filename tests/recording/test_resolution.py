"""The resolution of a curve's marks: the mean time that a record takes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given

from made_arrivals import MS, SIZE, curve_of, record_lists, transfers


def pace_by_hand(curve):
    """Return the mean gap from the first instant to the last, excluding the longest."""
    kept = sorted(set(curve.t_ns.tolist()))
    gaps = sorted(after - before for before, after in pairwise(kept))
    if len(gaps) > 1:
        gaps.pop()
    return int(sum(gaps) / len(gaps)) if gaps else 0


@given(record_lists())
def test_the_resolution_of_a_mark_is_what_one_record_takes(rows):
    curve = curve_of(rows)
    for percent in (0, 1, 50, 99, 100):
        mark, t_ns = curve.mark(percent), curve.time_to_percent(percent)
        assert mark == (None if t_ns is None else (t_ns, min(t_ns, pace_by_hand(curve))))


@given(record_lists() | transfers())
def test_delivery_has_the_pace_of_the_records_it_is_derived_from(rows):
    curve = curve_of(rows)
    prefix = curve.prefix()
    mark = prefix.mark(0)
    if mark is not None:
        assert mark == (prefix.time_to_percent(0), min(mark[0], pace_by_hand(curve)))


def steady(count, step_ns, start_ns=0):
    return [(k, 1, start_ns + (k + 1) * step_ns) for k in range(count)]


@pytest.mark.parametrize(
    ("rows", "percent", "expected"),
    [
        # All in one record: that instant is exact.
        ([(0, SIZE, 10_000 * MS)], 100, (10_000 * MS, 0)),
        # A stall of a minute before the last block makes its mark no less exact.
        (
            [*steady(SIZE - 1, 20 * MS), (SIZE - 1, 1, 61_180 * MS)],
            100,
            (61_180 * MS, 20 * MS),
        ),
        # Bursts of four blocks, a microsecond apart, every 6 ms: not exact to the microsecond.
        (
            [(k, 1, (1 + k // 4) * 6 * MS + k % 4 * 1_000) for k in range(40)],
            40,
            (36 * MS + 3_000, (8 * (6 * MS - 3_000) + 30 * 1_000) // 38),
        ),
        # A first byte, silence, then a steady stream.
        (
            [(0, 1, 70 * MS), *[(k, 1, 3000 * MS + k * MS) for k in range(1, SIZE)]],
            0,
            (70 * MS, MS),
        ),
        ([(0, 1, MS // 2), *steady(SIZE, MS)], 0, (MS // 2, MS // 2)),
        # Records of one instant count as one.
        ([(k, 1, 5 * MS if k < 30 else 7 * MS) for k in range(SIZE)], 100, (7 * MS, 2 * MS)),
    ],
)
def test_resolution_computed_by_hand(rows, percent, expected):
    assert curve_of(rows).mark(percent) == expected
