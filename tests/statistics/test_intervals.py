from __future__ import annotations

import math
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc

from swarmrace.statistics import intervals

INF = math.inf
RANKED = "paired Hodges–Lehmann, exact signed-rank limits"
times = st.floats(min_value=1e-3, max_value=1e5)
several = st.lists(times, min_size=3, max_size=12)


def test_six_blocks_use_ranks():
    # Log ratios to base 2: 0, 1, 2, 3, 4, 10: 21 Walsh averages, the 11th is 2.5.
    found = intervals.paired([2**n for n in (0, 1, 2, 3, 4, 10)], [1] * 6)
    averages = sorted(
        (a + b) / 2 for i, a in enumerate([0, 1, 2, 3, 4, 10]) for b in [0, 1, 2, 3, 4, 10][i:]
    )
    assert math.log2(found.estimate) == pytest.approx(median(averages))
    assert (math.log2(found.low), math.log2(found.high)) == pytest.approx((0, 10))
    assert found.method == RANKED
    assert found.confidence == 0.96875


def test_at_ten_blocks_the_ninth_average_from_each_end():
    rng = np.random.default_rng(3)
    logs = rng.normal(0, 1, 10)
    found = intervals.paired(np.exp(logs), np.ones(10))
    averages = np.sort(intervals.walsh_averages(logs))
    assert math.log(found.low) == pytest.approx(averages[8])
    assert math.log(found.high) == pytest.approx(averages[-9])


def test_unpaired_runs_by_their_differences():
    found = intervals.unpaired([2, 4, 8, 16, 32], [1, 1, 1, 1, 1])
    # Differences of logs to base 2: each of 1 … 5 five times; the third from each end.
    assert [math.log2(v) for v in (found.low, found.estimate, found.high)] == pytest.approx(
        [1, 3, 5]
    )
    assert found.method == "Hodges–Lehmann shift, exact Mann–Whitney limits"
    assert found.confidence == pytest.approx(1 - 8 / 252)


@pytest.mark.parametrize(
    ("a", "b", "estimate", "low", "high"),
    [
        ([INF] * 6, [1] * 6, INF, INF, INF),
        ([1] * 6, [INF] * 6, 0, 0, 0),
        # One block of six lost: the typical block is still one that worked.
        ([INF, 2, 2, 2, 2, 2], [1] * 6, 2, 2, INF),
        ([1, 2, 2, 2, 2, 2], [INF, 1, 1, 1, 1, 1], 2, 0, 2),
        # One of each: +∞ and -∞ average to nothing, which is -∞ below and +∞ above.
        ([INF, 1, 2, 2, 2, 2], [1, INF, 1, 1, 1, 1], 2, 0, INF),
        # Four of six lost: the typical block is a failure.
        ([INF, INF, INF, INF, 2, 2], [1] * 6, INF, 2, INF),
        ([INF] * 3 + [1] * 3, [1] * 3 + [INF] * 3, None, 0, INF),
    ],
)
def test_failures_make_a_limit_infinite(a, b, estimate, low, high):
    found = intervals.paired(a, b)
    assert found.estimate == (None if estimate is None else pytest.approx(estimate))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_block_in_which_both_failed_has_no_ratio():
    found = intervals.paired([INF, *[2] * 6], [INF, *[1] * 6])
    assert (found.estimate, found.confidence) == (pytest.approx(2), 0.96875)
    assert intervals.paired([INF] * 9, [INF] * 9).method == "none"


@pytest.mark.parametrize(
    ("a", "estimate"), [([INF, 2, 2], INF), ([INF, 2, 2, 2, 2], 2), ([2, 2], 2), ([INF], INF)]
)
def test_too_few_blocks_or_failures_among_few_have_no_interval(a, estimate):
    found = intervals.paired(a, [1] * len(a))
    assert found.estimate == pytest.approx(estimate)
    assert (found.low, found.high, found.method) == (None, None, "points")


def test_students_t_by_hand():
    # Ratios 2, 2, 4: log2 is 1, 1, 2; mean 4/3, sd 1/sqrt(3), t(0.975, 2) = 4.302653.
    found = intervals.paired([2, 4, 8], [1, 2, 2])
    half = 4.302653 * (1 / math.sqrt(3)) / math.sqrt(3)
    assert math.log2(found.estimate) == pytest.approx(4 / 3)
    assert math.log2(found.low) == pytest.approx(4 / 3 - half, rel=1e-6)
    assert math.log2(found.high) == pytest.approx(4 / 3 + half, rel=1e-6)
    assert found.method in intervals.LOG_NORMAL


def test_welch_by_hand():
    # Logs to base 2: (1, 2, 3) against (0, 0, 3): means 2 and 1, variances 1 and 3;
    # se² = 1/3 + 3/3, degrees (4/3)² / ((1/3)²/2 + 1²/2) = 3.2; the quantile
    # comes from the incomplete beta function, not from stdtrit.
    found = intervals.unpaired([2, 4, 8], [1, 1, 8])
    assert math.log2(found.estimate) == pytest.approx(1)
    half = math.log2(found.high) - 1
    assert 1 - math.log2(found.low) == pytest.approx(half)
    assert half / math.sqrt(4 / 3) == pytest.approx(_t_975(3.2), rel=1e-6)
    assert found.method in intervals.LOG_NORMAL


def _t_975(degrees):
    low, high = 0.0, 100.0
    for _ in range(200):
        t = (low + high) / 2
        tail = betainc(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2
        low, high = (t, high) if tail > 0.025 else (low, t)
    return low


@pytest.mark.parametrize("count", [3, 7])
def test_runs_without_spread_have_an_interval_of_zero_width(count):
    for method in (intervals.paired, intervals.unpaired):
        found = method([2] * count, [1] * count)
        assert (found.low, found.estimate, found.high) == pytest.approx((2, 2, 2))


@given(several, st.data())
def test_ratios_invert_and_scale(a, data):
    b = data.draw(st.lists(times, min_size=len(a), max_size=len(a)))
    for method in (intervals.paired, intervals.unpaired):
        there, back = method(a, b), method(b, a)
        assert there.estimate == pytest.approx(1 / back.estimate, rel=1e-9)
        assert there.low == pytest.approx(1 / back.high, rel=1e-6)
        assert there.low <= there.estimate <= there.high
        scaled = method([3 * value for value in a], b)
        assert scaled.high == pytest.approx(3 * there.high, rel=1e-6)


@given(several)
def test_pairing_removes_a_block_effect(blocks):
    found = intervals.paired([2 * value for value in blocks], blocks)
    assert found.low == pytest.approx(2)
    assert found.high == pytest.approx(2)


@given(
    st.lists(st.tuples(times | st.just(INF), times | st.just(INF)), min_size=6, max_size=9),
    st.integers(0, 8),
)
def test_a_failure_never_makes_its_side_look_faster(blocks, which):
    a, b = ([block[side] for block in blocks] for side in (0, 1))
    worse = [INF if n == which else value for n, value in enumerate(a)]
    before, after = intervals.paired(a, b), intervals.paired(worse, b)
    if (
        before.low is not None
        and after.low is not None
        and len(intervals.log_ratios(a, b)) == len(intervals.log_ratios(worse, b))
    ):
        assert after.low >= before.low or INF in b
        assert after.high >= before.high


def test_many_races_at_once_give_the_same_as_one_by_one():
    rows = np.random.default_rng(1).normal(size=(20, 5))
    together = intervals.t_half_widths(rows)
    for row, half in zip(rows, together, strict=True):
        alone = intervals.paired(np.exp(row), np.ones(5))
        assert math.log(alone.high / alone.estimate) == pytest.approx(half)
    rows = np.random.default_rng(1).normal(size=(20, 8))
    low, high = intervals.limits(intervals.walsh_averages(rows), 4)
    for row, each in zip(rows, zip(low, high, strict=True), strict=True):
        alone = intervals.paired(np.exp(row), np.ones(8))
        assert (math.log(alone.low), math.log(alone.high)) == pytest.approx(each)
