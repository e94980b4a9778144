"""How long the rest takes, and how sure that is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrace.sweep.estimate import Pace

SECONDS = st.floats(0.1, 1e5)


def test_without_anything_done_it_is_the_plan():
    left = Pace.of([]).left([10, 20])
    assert (left.seconds, left.low, left.high) == (30, None, None)


def test_what_is_done_corrects_the_plan():
    left = Pace.of([(10, 20), (20, 40), (5, 10)]).left([10, 20])
    assert left.seconds == pytest.approx(60)
    assert (left.low, left.high) == (pytest.approx(60), pytest.approx(60))
    assert Pace.of([(10, 20)]).expect(7) == 14


@given(
    st.lists(st.tuples(SECONDS, SECONDS), min_size=3, max_size=30), st.lists(SECONDS, min_size=1)
)
def test_the_spread_is_within_what_was_seen(took, planned):
    left = Pace.of(took).left(planned)
    ratios = [taken / plan for plan, taken in took]
    total = sum(planned)
    assert total * min(ratios) * 0.999 <= left.low <= left.high <= total * max(ratios) * 1.001


def test_more_left_is_relatively_surer():
    took = [(1, ratio) for ratio in (0.5, 0.8, 1, 1.2, 1.6, 0.7, 0.9, 1.1) * 4]
    few, many = (Pace.of(took).left([1.0] * count) for count in (1, 100))
    assert (many.high - many.low) / many.seconds < (few.high - few.low) / few.seconds
