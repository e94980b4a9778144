"""Exact rank distributions, compared with published tables and scipy's tests."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats

from swarmrace.statistics import ranks

# Hollander, Wolfe, Chicken: Nonparametric Statistical Methods, tables A.4 and A.6: P(T+ <= t).
SIGNED_RANKS = {(3, 0): 0.125, (5, 0): 0.031, (6, 0): 0.016, (8, 3): 0.020, (10, 8): 0.024}


@pytest.mark.parametrize(("key", "chance"), SIGNED_RANKS.items())
def test_signed_ranks_agree_with_published_tables(key, chance):
    count, most = key
    assert ranks._signed_rank(count)[: most + 1].sum() == pytest.approx(chance, abs=6e-4)


@pytest.mark.parametrize(
    ("count", "rank", "attained"),
    [(5, 0, 1), (6, 1, 0.96875), (7, 3, 0.953125), (10, 9, 0.951171875)],
)
def test_limits_of_paired_values(count, rank, attained):
    assert ranks.signed_rank_order(count, 0.95) == (rank, pytest.approx(attained))


@pytest.mark.parametrize(
    ("count_a", "count_b", "rank", "attained"),
    [(5, 5, 3, 1 - 8 / 252), (3, 3, 0, 1), (10, 10, 24, 0.9568)],
)
def test_limits_of_unpaired_values(count_a, count_b, rank, attained):
    found = ranks.rank_sum_order(count_a, count_b, 0.95)
    assert found == (rank, pytest.approx(attained, abs=1e-4))
    assert ranks.rank_sum_order(count_b, count_a, 0.95) == found


@pytest.mark.parametrize("count", [4, 9, 25])
def test_signed_ranks_agree_with_scipy(count):
    values = np.random.default_rng(count).normal(0.3, 1, count)
    order = np.argsort(np.argsort(np.abs(values))) + 1
    positive = int(order[values > 0].sum())
    chances = ranks._signed_rank(count)
    extreme = min(positive, len(chances) - 1 - positive)
    p = min(1.0, 2 * chances[: extreme + 1].sum())
    assert p == pytest.approx(scipy_stats.wilcoxon(values, method="exact").pvalue)


@pytest.mark.parametrize(("count_a", "count_b"), [(1, 4), (3, 8), (12, 9), (30, 41)])
def test_rank_sums_agree_with_scipy(count_a, count_b):
    rng = np.random.default_rng(count_a)
    a, b = rng.normal(0.4, 1, count_a), rng.normal(0, 1, count_b)
    expected = scipy_stats.mannwhitneyu(a, b, method="exact").pvalue
    assert ranks.rank_sum_p(a, b) == pytest.approx(expected)


@pytest.mark.parametrize("count", [200, 1000])
def test_large_counts_agree_with_the_normal_approximation(count):
    rank, attained = ranks.signed_rank_order(count, 0.95)
    mean, deviation = count * (count + 1) / 4, (count * (count + 1) * (2 * count + 1) / 24) ** 0.5
    assert rank == pytest.approx(mean - 1.96 * deviation, rel=1e-3)
    assert 0.95 <= attained < 0.951
    rank, attained = ranks.rank_sum_order(count // 2, count // 2, 0.95)
    half = count // 2
    assert rank == pytest.approx(half**2 / 2 - 1.96 * (half**2 * (count + 1) / 12) ** 0.5, rel=1e-3)
    assert 0.95 <= attained < 0.951


def test_ties_count_half_towards_no_difference():
    same = np.ones(4)
    assert ranks.rank_sum_p(same, same) == 1
