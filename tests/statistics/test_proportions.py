from __future__ import annotations

import pytest
from scipy import stats as scipy_stats

from swarmrace.statistics import proportions


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (1, 4), (3, 3), (17, 20), (45, 50)])
def test_limits_of_a_share_agree_with_scipy(hits, count):
    test = scipy_stats.binomtest(hits, count)
    expected = test.proportion_ci(0.95, method="exact")
    assert proportions.share_limits(hits, count) == pytest.approx(tuple(expected))
    less = scipy_stats.binomtest(hits, count, alternative="less").proportion_ci(0.95, "exact")
    assert proportions.upper_bound(hits, count) == pytest.approx(less.high)


def test_a_share_of_nothing_is_between_0_and_1():
    assert proportions.share_limits(0, 0) == (0, 1)


@pytest.mark.parametrize(
    ("more", "less", "p"), [(0, 0, 1), (5, 0, 0.0625), (3, 0, 0.25), (4, 1, 0.375), (2, 2, 1)]
)
def test_sign_test(more, less, p):
    assert proportions.sign_test(more, less) == pytest.approx(p)
    assert proportions.sign_test(less, more) == pytest.approx(p)


@pytest.mark.parametrize(("more", "less", "p"), [(5, 0, 1 / 32), (4, 0, 1 / 16), (0, 0, 1)])
def test_mcnemar_is_one_sided(more, less, p):
    assert proportions.more_p(more, less) == pytest.approx(p)


@pytest.mark.parametrize("table", [(5, 5, 1, 6), (3, 4, 3, 4), (10, 10, 9, 10)])
def test_fisher_agrees_with_scipy(table):
    hits_a, count_a, hits_b, count_b = table
    expected = scipy_stats.fisher_exact(
        [[hits_a, count_a - hits_a], [hits_b, count_b - hits_b]], alternative="greater"
    ).pvalue
    assert proportions.fisher_p(*table) == pytest.approx(expected)
