"""The estimate of the time left, and its range."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrace.sweep.estimate import Pace

SECONDS = st.floats(0.1, 1e5)


def test_before_a_part_is_done_the_estimate_is_the_plan():
    left = Pace.from_durations([]).left([10, 20])
    assert (left.seconds, left.low, left.high) == (30, None, None)


def test_parts_that_are_done_correct_the_plan():
    left = Pace.from_durations([(10, 20), (20, 40), (5, 10)]).left([10, 20])
    assert left.seconds == pytest.approx(60)
    assert (left.low, left.high) == (pytest.approx(60), pytest.approx(60))
    assert Pace.from_durations([(10, 20)]).expect(7) == 14


@given(
    st.lists(st.tuples(SECONDS, SECONDS), min_size=3, max_size=30), st.lists(SECONDS, min_size=1)
)
def test_the_range_is_within_the_observed_ratios(took, planned):
    left = Pace.from_durations(took).left(planned)
    ratios = [taken / plan for plan, taken in took]
    total = sum(planned)
    assert total * min(ratios) * 0.999 <= left.low <= left.high <= total * max(ratios) * 1.001


def test_the_relative_range_shrinks_with_more_parts_left():
    took = [(1, ratio) for ratio in (0.5, 0.8, 1, 1.2, 1.6, 0.7, 0.9, 1.1) * 4]
    few, many = (Pace.from_durations(took).left([1.0] * count) for count in (1, 100))
    assert (many.high - many.low) / many.seconds < (few.high - few.low) / few.seconds
