from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmrace.statistics import summary as stats

times = st.floats(min_value=1e-3, max_value=1e5)


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


def test_the_median_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="median of nothing"):
        stats.middle([])


@given(st.lists(times, min_size=1))
def test_middle_is_the_median(values):
    assert stats.middle(values) == pytest.approx(statistics.median(values))


def test_spread_and_rank():
    assert stats.coefficient_of_variation([1, 3]) == pytest.approx(math.sqrt(2) / 2)
    assert stats.coefficient_of_variation([1]) is None
    assert stats.coefficient_of_variation([1, math.inf]) is None
    assert stats.nearest_rank(list(range(1, 101)), 99) == 99
    assert stats.nearest_rank([5], 99) == 5
    assert stats.nearest_rank([3, 1, 2], 50) == 2
