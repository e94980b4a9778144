from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrace.verdict import stats

times = st.floats(min_value=1e-3, max_value=1e5)
several = st.lists(times, min_size=3, max_size=12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3], 3),
        ([3, 1], 2),
        ([1, math.inf, 2], 2),
        ([1, math.inf], math.inf),
        ([1, 2, math.inf, math.inf], math.inf),
        ([1, 2, 3, math.inf], 2.5),
        ([math.inf, math.inf], math.inf),
    ],
)
def test_middle(values, expected):
    assert stats.middle(values) == expected


def test_middle_of_nothing():
    with pytest.raises(ValueError, match="median of nothing"):
        stats.middle([])


@given(st.lists(times, min_size=1))
def test_middle_is_the_median(values):
    assert stats.middle(values) == pytest.approx(statistics.median(values))


def test_paired_by_hand():
    # Ratios 2, 2, 4: log2 is 1, 1, 2; mean 4/3, sd 1/sqrt(3), t(0.975, 2) = 4.302653.
    found = stats.paired([2, 4, 8], [1, 2, 2])
    half = 4.302653 * (1 / math.sqrt(3)) / math.sqrt(3)
    assert math.log2(found.estimate) == pytest.approx(4 / 3)
    assert math.log2(found.low) == pytest.approx(4 / 3 - half, rel=1e-6)
    assert math.log2(found.high) == pytest.approx(4 / 3 + half, rel=1e-6)


def test_below_three_blocks_no_interval():
    assert stats.paired([2, 4], [1, 2]) == stats.Interval(pytest.approx(2), None, None)
    assert stats.welch([2, 4], [1, 2, 3]).low is None


def test_welch_by_hand():
    # Logs to base 2: (1, 2, 3) against (0, 0, 3): means 2 and 1, variances 1 and 3;
    # se² = 1/3 + 3/3, degrees (4/3)² / ((1/3)²/2 + 1²/2) = 3.2; the quantile
    # comes from the incomplete beta function, not from stdtrit.
    found = stats.welch([2, 4, 8], [1, 1, 8])
    assert math.log2(found.estimate) == pytest.approx(1)
    half = math.log2(found.high) - 1
    assert 1 - math.log2(found.low) == pytest.approx(half)
    assert half / math.sqrt(4 / 3) == pytest.approx(_t_975(3.2), rel=1e-6)


def _t_975(degrees):
    from scipy.special import betainc

    low, high = 0.0, 100.0
    for _ in range(200):
        t = (low + high) / 2
        tail = betainc(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2
        low, high = (t, high) if tail > 0.025 else (low, t)
    return low


def test_runs_without_any_spread_have_an_interval_of_no_width():
    assert stats.paired([2, 2, 2], [1, 1, 1]) == stats.Interval(2, 2, 2)
    assert stats.welch([2, 2, 2], [1, 1, 1]) == stats.Interval(2, 2, 2)


@given(several, st.data())
def test_ratios_turn_round_and_scale(a, data):
    b = data.draw(st.lists(times, min_size=len(a), max_size=len(a)))
    for method in (stats.paired, stats.welch):
        there, back = method(a, b), method(b, a)
        assert there.estimate == pytest.approx(1 / back.estimate, rel=1e-9)
        assert there.low == pytest.approx(1 / back.high, rel=1e-6)
        assert there.low <= there.estimate <= there.high
        scaled = method([3 * value for value in a], b)
        assert scaled.high == pytest.approx(3 * there.high, rel=1e-6)


@given(several)
def test_pairing_takes_a_block_effect_out(blocks):
    found = stats.paired([2 * value for value in blocks], blocks)
    assert found.low == pytest.approx(2)
    assert found.high == pytest.approx(2)


@pytest.mark.parametrize(
    ("more", "less", "p"), [(0, 0, 1), (5, 0, 0.0625), (3, 0, 0.25), (4, 1, 0.375), (2, 2, 1)]
)
def test_sign_test(more, less, p):
    assert stats.sign_test(more, less) == pytest.approx(p)
    assert stats.sign_test(less, more) == pytest.approx(p)


def test_spread_and_rank():
    assert stats.coefficient_of_variation([1, 3]) == pytest.approx(math.sqrt(2) / 2)
    assert stats.coefficient_of_variation([1]) is None
    assert stats.coefficient_of_variation([1, math.inf]) is None
    assert stats.nearest_rank(list(range(1, 101)), 99) == 99
    assert stats.nearest_rank([5], 99) == 5
    assert stats.nearest_rank([3, 1, 2], 50) == 2


def test_half_widths_of_many_races_at_once_are_those_of_each():
    rows = np.random.default_rng(1).normal(size=(20, 5))
    together = stats.t_half_widths(rows)
    for row, half in zip(rows, together, strict=True):
        alone = stats.paired(np.exp(row), np.ones(5))
        assert math.log(alone.high / alone.estimate) == pytest.approx(half)
